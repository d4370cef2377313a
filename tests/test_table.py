from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from batch_scan.table import JobPath, JobUri, Table


class Places(Table):
    """Two places."""

    path: JobPath = Path("here")
    uri: JobUri = "here"
    number: float = 0.0


def places(base: Path | None = Path("/job"), /, **given: object) -> Places:
    return Places.model_validate(given, context={"base": base} if base is not None else None)


def test_relative_paths_start_at_the_job_file_and_absolute_ones_stay() -> None:
    assert places(path="a/b", uri="a/b") == places(path="/job/a/b", uri="/job/a/b")
    assert places(path="/x", uri="/x") == places(None, path="/x", uri="/x")
    assert places(None, path="a").path == Path("a")


def test_the_home_directory_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert places(path="~/a", uri="~/a") == places(path="/home/someone/a", uri="/home/someone/a")


@pytest.mark.parametrize("uri", ["https://example.org/m.csv", "s3://bucket/prefix"])
def test_a_url_is_left_alone(uri: str) -> None:
    assert places(uri=uri).uri == uri


@pytest.mark.parametrize("given", [{"numbr": 1}, {"number": float("nan")}, {"number": float("inf")}])
def test_unknown_keys_and_numbers_that_are_none_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        places(**given)


def test_a_table_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        places().number = 1.0  # type: ignore[misc]
