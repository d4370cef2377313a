from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from batch_scan.scratch import scratch_of


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in this test."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def made_by(state: Path, temporary: Path) -> Path:
    with scratch_of(state):
        (own,) = temporary.iterdir()
    return own


def test_temporary_files_lie_in_one_private_directory_that_goes_away(temporary: Path, tmp_path: Path) -> None:
    with scratch_of(tmp_path):
        made = Path(tempfile.mkdtemp())
        assert made.parent.parent == temporary
        assert made.parent.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []
    assert tempfile.gettempdir() == str(temporary)


def test_what_a_killed_run_left_is_removed_by_the_next(temporary: Path, tmp_path: Path) -> None:
    left = made_by(tmp_path, temporary) / "batch-scan-abc"
    left.mkdir(parents=True)
    with scratch_of(tmp_path):
        assert not left.exists()


def test_another_state_directory_has_another_one(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with scratch_of(tmp_path):
        made = Path(tempfile.mkdtemp())
        with scratch_of(tmp_path / "other"):
            assert made.is_dir()


def test_a_name_that_is_taken_is_left_alone(temporary: Path, tmp_path: Path) -> None:
    """A link, say, that another user put there."""
    taken, elsewhere = made_by(tmp_path, temporary), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    taken.symlink_to(elsewhere)
    with scratch_of(tmp_path):
        assert Path(tempfile.mkdtemp()).parent == temporary
    assert (elsewhere / "precious").exists()
