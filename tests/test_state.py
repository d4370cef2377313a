from __future__ import annotations

from pathlib import Path

import pytest

from batch_scan.errors import UsageError
from batch_scan.state import default_state_dir


def test_the_ledger_of_a_report_in_a_directory_lies_in_it() -> None:
    assert default_state_dir("/archive/reports", {}) == Path("/archive/reports/.state")


def test_the_ledger_of_a_report_in_a_bucket_lies_at_home_under_a_name_of_its_own() -> None:
    one = default_state_dir("s3://bucket/reports", {})
    assert one.parent == Path.home() / ".local" / "state" / "batch-scan"
    assert one == default_state_dir("s3://bucket/reports/", {})
    assert one != default_state_dir("s3://bucket/other", {})
    assert one.name.isalnum()
    assert len(one.name) == 16


def test_the_directory_for_state_that_the_user_chose_is_heeded_where_it_is_absolute() -> None:
    chosen = default_state_dir("gs://bucket/reports", {"XDG_STATE_HOME": "/var/state"})
    assert chosen.parent == Path("/var/state/batch-scan")
    assert default_state_dir("gs://bucket/reports", {"XDG_STATE_HOME": "state"}).parent.parent.parent.name == ".local"


def test_without_a_home_the_mend_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_type: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    with pytest.raises(UsageError, match="no home directory to keep the ledger in; name a directory with --state"):
        default_state_dir("s3://bucket/reports", {})
