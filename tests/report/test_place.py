from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import UsageError
from batch_scan.report.place import check_report_place
from batch_scan.report.writer import ReportWriter
from tests.report import made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_place_that_is_not_there_yet_is_good_and_stays_as_it_is(tmp_path: Path) -> None:
    check_report_place(tmp_path / "deep" / "below" / "reports")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_place_is_good_and_so_is_one_with_hidden_things(tmp_path: Path) -> None:
    check_report_place(tmp_path)
    (tmp_path / ".state").mkdir()
    check_report_place(tmp_path)


def test_a_report_is_good_with_whatever_lies_beside_its_tables(tmp_path: Path) -> None:
    ReportWriter(tmp_path, made.run())
    (tmp_path / "evidence").mkdir()
    (tmp_path / "my notebook.ipynb").touch()
    (tmp_path / "files" / ".directory").touch()
    check_report_place(tmp_path)


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"report: .*file is not a directory; choose another place"):
        check_report_place(tmp_path / "file")
    with pytest.raises(UsageError, match=r"cannot be made, .*file is not a directory"):
        check_report_place(tmp_path / "file" / "reports")


def test_a_link_that_leads_nowhere_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not a directory"):
        check_report_place(tmp_path / "link")


def test_a_name_too_long_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        check_report_place(tmp_path / ("x" * 300))


def test_a_place_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(UsageError, match=r"holds other things \('holiday\.mp4'\); choose an empty directory"):
        check_report_place(tmp_path)


def test_a_directory_called_like_a_table_must_be_one(tmp_path: Path) -> None:
    ReportWriter(tmp_path, made.run())
    (tmp_path / "files" / "own.csv").touch()
    with pytest.raises(UsageError, match=r"files holds other things \('own\.csv'\)"):
        check_report_place(tmp_path)


def test_a_file_called_like_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "scores").touch()
    with pytest.raises(UsageError, match="scores is not a directory of parts"):
        check_report_place(tmp_path)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory that cannot be written to, by root neither."""
    place = tmp_path / "read only"
    place.mkdir(mode=0o555)
    if os.geteuid() != 0:
        yield place
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=16k", "none", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("root writes anywhere, and here cannot mount a read-only file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_place_that_cannot_be_written_is_refused(read_only: Path) -> None:
    with pytest.raises(UsageError, match="read only cannot be written to; change its permissions"):
        check_report_place(read_only)
    with pytest.raises(UsageError, match=r"reports cannot be made, .*read only cannot be written to"):
        check_report_place(read_only / "deep" / "reports")


def test_a_table_that_cannot_be_written_is_refused(read_only: Path, tmp_path: Path) -> None:
    root = tmp_path / "reports"
    root.mkdir()
    (root / "runs").symlink_to(read_only)
    with pytest.raises(UsageError, match="runs cannot be written to; change its permissions"):
        check_report_place(root)
