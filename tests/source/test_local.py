from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.errors import FetchError
from batch_scan.model import Item
from batch_scan.source.local import LocalFiles, absolute
from batch_scan.vocabulary import Reason
from tests.source.rights import without_root_rights

if TYPE_CHECKING:
    from collections.abc import Iterator


def _item(path: Path) -> Item:
    return Item(0, str(path), str(path), str(path))


async def _fetch_failure(files: LocalFiles, item: Item) -> FetchError:
    with pytest.raises(FetchError) as caught:
        async with files.fetch(item):
            pytest.fail("was opened")
    return caught.value


@pytest.fixture(scope="module")
def maze() -> Iterator[Path]:
    """A root with links inside, out and round in circles, beside a secret."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory).resolve()
        root = top / "root"
        for one in (root / "a" / "b", top / "outside", top / "root-not"):
            one.mkdir(parents=True)
        for file in (
            root / "f",
            root / "a" / "f",
            root / "a" / "b" / "f",
            top / "outside" / "f",
            top / "root-not" / "f",
        ):
            file.write_bytes(b"x")
        for link, target in {
            root / "in": root / "a",
            root / "out": top / "outside",
            root / "a" / "up": Path(".."),
            root / "a" / "top": Path("../.."),
            root / "loop": Path("loop"),
            root / "filelink": root / "f",
            root / "secretlink": top / "outside" / "f",
        }.items():
            link.symlink_to(target)
        yield root


_SEGMENTS = [
    "a",
    "b",
    "f",
    "..",
    ".",
    "",
    "in",
    "out",
    "up",
    "top",
    "loop",
    "root",
    "root-not",
    "outside",
    "filelink",
    "none",
]


@given(st.lists(st.sampled_from(_SEGMENTS), max_size=9))
@settings(deadline=None, max_examples=300)
def test_no_path_leads_outside_and_every_file_inside_is_reached(maze: Path, segments: list[str]) -> None:
    path = "/".join([str(maze), *segments])
    files = LocalFiles(str(maze))
    truth = Path(os.path.realpath(path))
    try:
        located = files.locate(path)
        files.examine(located)
    except FetchError:
        # Refused rightly: it is outside, no file, or a link itself.
        assert not truth.is_relative_to(maze) or not Path(path).is_file() or Path(path).is_symlink()
    else:
        assert located == str(truth)
        assert truth.is_relative_to(maze)
        assert truth.is_file()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../outside/f", Reason.OUTSIDE_ROOT),
        ("../outside/none", Reason.OUTSIDE_ROOT),
        ("../root-not/f", Reason.OUTSIDE_ROOT),
        ("out/f", Reason.OUTSIDE_ROOT),
        ("in/../../outside/f", Reason.OUTSIDE_ROOT),
        ("a/top/outside/f", Reason.OUTSIDE_ROOT),
        ("..", Reason.OUTSIDE_ROOT),
        ("none", Reason.MISSING),
        ("none/f", Reason.MISSING),
        ("f/f", Reason.MISSING),
        ("a", Reason.SPECIAL_FILE),
        ("a/", Reason.SPECIAL_FILE),
        ("a/b/..", Reason.SPECIAL_FILE),
        ("filelink", Reason.SPECIAL_FILE),
        ("secretlink", Reason.SPECIAL_FILE),
        ("loop", Reason.SPECIAL_FILE),
        ("loop/f", Reason.UNREADABLE),
        ("n" * 300, Reason.UNREADABLE),
    ],
)
def test_what_cannot_be_opened_has_its_reason(maze: Path, path: str, reason: Reason) -> None:
    files = LocalFiles(str(maze))
    with pytest.raises(FetchError) as caught:
        files.examine(files.locate(f"{maze}/{path}"))
    assert caught.value.reason is reason


def test_a_root_that_is_a_link_holds_what_is_behind_it(maze: Path) -> None:
    files = LocalFiles(str(maze / "in"))
    assert files.locate(str(maze / "in" / "f")) == files.locate(str(maze / "a" / "f")) == str(maze / "a" / "f")


def test_the_file_system_itself_can_be_the_root(maze: Path) -> None:
    files = LocalFiles("/")
    assert files.relative(files.locate(str(maze / "f"))) == str(maze / "f")[1:]


def test_pipes_sockets_and_devices_are_special_and_nothing_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    files = LocalFiles("/")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path, word in {
            tmp_path / "pipe": "pipe",
            tmp_path / "socket": "socket",
            Path("/dev/null"): "device",
        }.items():
            with pytest.raises(FetchError, match=word) as caught:
                files.examine(str(path))
            assert caught.value.reason is Reason.SPECIAL_FILE


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(FetchError) as caught:
        LocalFiles(str(tmp_path)).examine(str(tmp_path / "empty"))
    assert caught.value.reason is Reason.EMPTY


async def test_a_file_is_fetched_in_place(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    async with LocalFiles(str(tmp_path)).fetch(_item(tmp_path / "f")) as path:
        assert path == tmp_path / "f"


async def test_a_directory_replaced_by_a_link_after_listing_leads_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for directory in (root / "d", outside):
        directory.mkdir(parents=True)
        (directory / "f").write_bytes(b"x")
    files = LocalFiles(str(root))
    item = _item(Path(files.locate(str(root / "d" / "f"))))
    (root / "d" / "f").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to(outside)
    assert (await _fetch_failure(files, item)).reason is Reason.OUTSIDE_ROOT


@pytest.mark.parametrize("kind", ["pipe", "link", "nothing", "directory"])
async def test_a_file_replaced_after_listing_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "f"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to("/etc/passwd")
        case "directory":
            path.mkdir()
    failure = await _fetch_failure(LocalFiles(str(tmp_path)), _item(path))
    assert failure.reason is (Reason.MISSING if kind == "nothing" else Reason.SPECIAL_FILE)
    assert LocalFiles(str(tmp_path)).stat(_item(path)) is None


async def test_a_file_without_read_permission_is_unreadable(public_directory: Path) -> None:
    path = public_directory / "f"
    path.write_bytes(b"x")
    path.chmod(0)
    with without_root_rights():
        failure = await _fetch_failure(LocalFiles(str(public_directory)), _item(path))
    assert failure.reason is Reason.UNREADABLE
    assert "Permission denied" in failure.detail


def test_a_directory_without_permission_makes_its_files_unreadable(public_directory: Path) -> None:
    locked = public_directory / "locked"
    locked.mkdir()
    (locked / "f").write_bytes(b"x")
    locked.chmod(0)
    with without_root_rights(), pytest.raises(FetchError) as caught:
        LocalFiles(str(public_directory)).examine(str(locked / "f"))
    assert caught.value.reason is Reason.UNREADABLE


def test_stat_changes_with_the_content(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    files = LocalFiles(str(tmp_path))
    before = files.stat(_item(path))
    assert before is not None
    assert before.size_bytes == 3
    assert before.modified_ns == path.stat().st_mtime_ns
    assert files.stat(_item(path)) == before
    path.write_bytes(b"three")
    assert files.stat(_item(path)) != before


def test_stat_notices_a_file_put_in_the_place_of_another_with_the_same_times(tmp_path: Path) -> None:
    path, other = tmp_path / "f", tmp_path / "g"
    for one in (path, other):
        one.write_bytes(b"xyz")
        os.utime(one, ns=(1, 1))
    files = LocalFiles(str(tmp_path))
    before = files.stat(_item(path))
    other.rename(path)
    after = files.stat(_item(path))
    assert before is not None
    assert after is not None
    assert (before.size_bytes, before.modified_ns) == (after.size_bytes, after.modified_ns)
    assert before.version != after.version


def test_messages_show_hostile_names_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        LocalFiles(str(tmp_path)).examine(f"{tmp_path}/a\nb\x1b[31m\udcff\u202e")
    assert caught.value.detail.isprintable()
    assert "\\xff" in caught.value.detail


def test_an_absolute_path_is_as_its_user_wrote_it_unless_it_climbs(maze: Path) -> None:
    assert absolute(f"{maze}/in//./f") == f"{maze}/in/f"
    assert absolute(f"{maze}/in/b/../f") == f"{maze}/a/f"
    assert absolute(f"{maze}/a..b") == f"{maze}/a..b"
