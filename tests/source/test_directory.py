from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.model import Item, Refused
from batch_scan.source.directory import DirectorySource
from batch_scan.source.options import SourceOptions
from batch_scan.vocabulary import Reason, Status
from tests.source.contract import Case, SourceContract, only_item, only_refused, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOSTILE_NAMES = [
    b"-rf",
    b"a\nb",
    b"a:b",
    b"\xff\xfe.mp4",
    b"\\xff\\xfe.mp4",
    b" ",
    b"*",
    b"http:",
    "ü\u202e".encode(),
    b".hidden",
]


def _names(source: DirectorySource) -> list[str]:
    return [_uri(entry).removeprefix(source.uri + "/") for entry in source.entries()]


def _uri(entry: Item | Refused) -> str:
    return entry.item.uri if isinstance(entry, Refused) else entry.uri


class TestContract(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        root, scratch = tmp_path / "archive", tmp_path / "scratch"
        scratch.mkdir()
        (root / "d" / "e").mkdir(parents=True)
        for name in _HOSTILE_NAMES:
            Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
        (root / "d" / "f.mp4").write_bytes(b"f")
        (root / "d" / "e" / "g.mp4").write_bytes(b"g")
        (root / "d" / "h.txt").write_bytes(b"h")
        (root / "d" / "i.mp4").touch()
        (root / "d" / "link").symlink_to("f.mp4")
        os.mkfifo(root / "d" / "pipe")
        source = DirectorySource(str(root), SourceOptions(exclude=("*.txt",), scratch=scratch))
        contents = [*sorted(_HOSTILE_NAMES, key=os.fsdecode), b"f", b"g"]
        return Case(
            source, contents, [Reason.EXCLUDED, Reason.EMPTY, Reason.SPECIAL_FILE, Reason.SPECIAL_FILE], scratch
        )


def test_files_come_before_subdirectories_each_sorted_by_name(tmp_path: Path) -> None:
    for name in ("z.mp4", "a/z.mp4", "a/a.mp4", "a/b/c.mp4", "m.mp4", "b/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    found = _names(DirectorySource(str(tmp_path), SourceOptions()))
    assert found == ["m.mp4", "z.mp4", "a/a.mp4", "a/z.mp4", "a/b/c.mp4", "b/a.mp4"]


def test_links_to_files_and_directories_are_rows_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"x")
    root = tmp_path / "root"
    root.mkdir()
    (root / "directory").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    (root / "dangling").symlink_to("nowhere")
    (root / "circle").symlink_to(".")
    source = DirectorySource(str(root), SourceOptions())
    assert _names(source) == ["circle", "dangling", "directory", "file"]
    assert reasons(source) == [Reason.SPECIAL_FILE] * 4


def test_a_socket_is_a_row(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        refused = only_refused(DirectorySource(str(tmp_path), SourceOptions()))
    assert refused.status is Status.FAILED
    assert "socket" in refused.shortfall.detail


def test_the_directory_itself_may_be_a_link_and_is_shown_as_its_user_named_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    item = only_item(DirectorySource(str(tmp_path / "link"), SourceOptions()))
    assert item.uri == item.identity == str(tmp_path / "link" / "f")
    assert item.locator == str(tmp_path.resolve() / "real" / "f")


def test_names_that_would_look_the_same_are_told_apart(tmp_path: Path) -> None:
    for name in (b"\xff", b"\\xff"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    one, other = DirectorySource(str(tmp_path), SourceOptions()).entries()
    assert isinstance(one, Item)
    assert isinstance(other, Item)
    assert {one.uri, other.uri} == {f"{tmp_path}/\\xff", f"file://{tmp_path}/%FF"}
    assert {one.identity, other.identity} == {one.uri, other.uri}


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory for trees that Python's own removal is too recursive for."""
    yield tmp_path
    subprocess.run(["find", tmp_path, "-mindepth", "1", "-delete"], check=True)


def _nest(top: Path, name: str, depth: int) -> None:
    """Make directories in each other, one at a time: their full name may be longer than the system takes."""
    home = Path.cwd()
    os.chdir(top)
    try:
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)
        Path("f").write_bytes(b"x")
    finally:
        os.chdir(home)


def test_a_directory_that_cannot_be_listed_is_a_row_and_the_rest_goes_on(deep: Path) -> None:
    _nest(deep, "n" * 250, 20)
    (deep / "z").mkdir()
    (deep / "z" / "f").write_bytes(b"x")
    entries = list(DirectorySource(str(deep), SourceOptions()).entries())
    assert len(entries) == 2
    assert isinstance(entries[0], Refused)
    assert entries[0].shortfall.reason is Reason.UNREADABLE
    assert entries[0].item.uri.endswith("/" + "n" * 250)
    assert isinstance(entries[1], Item)


def test_a_tree_deeper_than_the_recursion_limit_is_walked(deep: Path) -> None:
    _nest(deep, "d", 1500)
    assert only_item(DirectorySource(str(deep), SourceOptions())).uri.endswith("/d/d/f")


def test_excluded_files_get_their_row(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.txt", "raw/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    source = DirectorySource(str(tmp_path), SourceOptions(include=("*.mp4",), exclude=("raw/",)))
    assert reasons(source) == [None, Reason.EXCLUDED, Reason.EXCLUDED]


def test_directories_of_the_tool_itself_are_not_walked_at_all(tmp_path: Path) -> None:
    for name in ("a", "reports/p", "x/reports/q", "state/s"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to("state")
    options = SourceOptions(skip_directories=(tmp_path / "reports", tmp_path / "link", Path("/elsewhere"), tmp_path))
    assert _names(DirectorySource(str(tmp_path), options)) == ["a", "link", "x/reports/q"]


def test_a_directory_that_vanishes_while_it_is_walked_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "d").mkdir()
    entries = DirectorySource(str(tmp_path), SourceOptions()).entries()
    next(entries)
    (tmp_path / "d").rmdir()
    (refused,) = entries
    assert isinstance(refused, Refused)
    assert refused.shortfall.reason is Reason.UNREADABLE


def test_an_empty_directory_has_no_entries(tmp_path: Path) -> None:
    assert list(DirectorySource(str(tmp_path), SourceOptions()).entries()) == []
