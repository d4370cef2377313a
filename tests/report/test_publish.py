from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

import pytest

from batch_scan.report.publish import make_directory, publish_all, publish_bytes, stage, sweep, sync_directory


def test_a_file_appears_whole_under_its_name_and_nothing_else_does(tmp_path: Path) -> None:
    target = tmp_path / "new" / "below" / "file.bin"
    publish_bytes(target, b"whole")
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


def test_until_it_is_published_a_file_has_a_name_that_readers_of_parquet_leave_aside(tmp_path: Path) -> None:
    target = tmp_path / "part-00001.parquet"
    target.write_bytes(b"old")
    staged = stage(target, lambda file: file.write(b"new"))
    assert staged.temporary.name.startswith(".")
    assert staged.temporary.suffix != ".parquet"
    assert target.read_bytes() == b"old"
    publish_all([staged])
    assert target.read_bytes() == b"new"
    staged.discard()
    assert target.read_bytes() == b"new"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        stage(tmp_path / "file", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_file: IO[bytes]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path / "file", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_published_files_have_the_permissions_that_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        publish_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_two_writers_of_one_name_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    first = stage(tmp_path / "file", lambda file: file.write(b"first"))
    second = stage(tmp_path / "file", lambda file: file.write(b"second"))
    publish_all([second, first])
    assert (tmp_path / "file").read_bytes() == b"first"


def test_sweeping_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    stage(tmp_path / "part", lambda file: file.write(b"left"))
    for name in ("part", ".hidden", "x.partial"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"part", ".hidden", "x.partial"}


def test_directories_can_be_made_twice_and_synced_where_the_file_system_cannot(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    sync_directory(tmp_path / "a" / "b")
    sync_directory(Path("/proc"))
