from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import av
import pytest

from batch_scan.media.worker_open import LibavLog, open_container
from batch_scan.media.worker_shelf import MAX_BYTES, MAX_FILES, Shelf, identity_of
from tests.corpus_media import tone

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer

LIMITS = {"max_streams": 64, "max_pixels": 1 << 20}


@pytest.fixture(scope="module")
def log() -> LibavLog:
    return LibavLog()


def put(shelf: Shelf, path: Path, log: LibavLog) -> InputContainer:
    log.reset()
    identity = identity_of(str(path))
    container = open_container(str(path), LIMITS, log)
    shelf.put(str(path), identity, container, log.state())
    return container


def is_open(container: InputContainer) -> bool:
    try:
        return next(container.demux()).size > 0
    except (AssertionError, ValueError):
        return False


def test_what_was_put_is_given_out_once_with_what_was_said_of_it(tmp_path: Path, log: LibavLog) -> None:
    shelf = Shelf()
    path = tone(tmp_path / "a.mp3", 1)
    path.write_bytes(path.read_bytes()[:2000])  # libav has something to say about it
    container = put(shelf, path, log)
    said = log.state()
    assert said.untrusted_lines
    log.reset()
    taken = shelf.take(str(path))
    assert taken is not None
    assert taken == (container, said)
    log.go_back_to(taken[1])
    assert log.state() == said
    assert shelf.take(str(path)) is None
    assert is_open(container)


@pytest.mark.parametrize("how", ["written again", "replaced", "gone"])
def test_a_file_that_is_not_what_it_was_is_not_given_out(tmp_path: Path, log: LibavLog, how: str) -> None:
    shelf = Shelf()
    path = tone(tmp_path / "a.wav", 1)
    container = put(shelf, path, log)
    if how == "written again":
        with path.open("ab") as file:
            file.write(b"more")
    elif how == "replaced":
        shutil.copy2(path, tmp_path / "b.wav")
        (tmp_path / "b.wav").replace(path)
    else:
        path.unlink()
    assert shelf.take(str(path)) is None
    assert not is_open(container)


def test_only_the_latest_few_are_kept(tmp_path: Path, log: LibavLog) -> None:
    shelf = Shelf()
    first = tone(tmp_path / "0.wav", 1)
    paths = [first, *(tmp_path / f"{at}.wav" for at in range(1, MAX_FILES + 1))]
    for path in paths[1:]:
        shutil.copy(first, path)
    containers = [put(shelf, path, log) for path in paths]
    assert not is_open(containers[0])
    assert [shelf.take(str(path)) is not None for path in paths] == [False] + [True] * MAX_FILES


def test_a_large_file_is_not_kept(tmp_path: Path, log: LibavLog) -> None:
    shelf = Shelf()
    path = tone(tmp_path / "a.wav", 1)
    with path.open("ab") as file:
        file.truncate(MAX_BYTES + 1)
    container = put(shelf, path, log)
    assert shelf.take(str(path)) is None
    assert not is_open(container)


def test_a_file_is_opened_anew_where_it_was_put_again(tmp_path: Path, log: LibavLog) -> None:
    shelf = Shelf()
    path = tone(tmp_path / "a.wav", 1)
    first, second = put(shelf, path, log), put(shelf, path, log)
    assert not is_open(first)
    taken = shelf.take(str(path))
    assert taken is not None
    assert taken[0] is second
    assert isinstance(second, av.container.InputContainer)
