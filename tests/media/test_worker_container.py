"""What tells of a damaged container, against files made by the book."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from batch_scan.media.worker_container import Marks, is_gif_whole
from tests.corpus_media import make, numbered_source

if TYPE_CHECKING:
    from pathlib import Path

PICTURE_S = 0.1


def marks(container: str, *packets: tuple[str, float]) -> int:
    """How many marks count; a packet is told by `K` for a keyframe, `!` for a mark and `<` for a jump back."""
    counted = Marks(container)
    for told, decoded_s in packets:
        packet = cast("Any", SimpleNamespace(is_keyframe="K" in told, is_corrupt="!" in told))
        counted.note(packet, decoded_s, breaks="<" in told, picture_s=PICTURE_S)
    return counted.count


@pytest.mark.parametrize(
    ("following", "counts"),
    [
        ((), True),
        ((("", 0.3),), True),
        ((("", 0.3), ("", 0.4), ("K", 0.5)), True),
        ((("K", 0.3),), False),
        ((("", 0.3), ("K", 0.4)), False),
        ((("<K", 0.3),), False),
        ((("<", 9.0),), False),
        ((("K", 0.7),), True),  # some are lost between
    ],
)
def test_a_mark_counts_but_where_a_recording_goes_on_in_another(
    following: tuple[tuple[str, float], ...], *, counts: bool
) -> None:
    packets = (("K", 0.0), ("", 0.1), ("!", 0.2), *following)
    assert marks("mpegts", *packets) == counts
    assert marks("mpeg", *packets) == 1


@pytest.fixture(scope="module")
def gif(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("gif") / "a.gif"
    return make(path, *numbered_source(1.0, 10, "64x48"), "-c:v", "gif").read_bytes()


def test_a_gif_is_whole_with_its_trailer_and_whatever_lies_behind_it(gif: bytes) -> None:
    assert is_gif_whole(gif)
    assert is_gif_whole(gif + bytes(100))


def test_a_gif_cut_anywhere_is_not_whole(gif: bytes) -> None:
    assert not any(is_gif_whole(gif[:end]) for end in range(len(gif)))


def test_what_is_no_block_of_a_gif_ends_it(gif: bytes) -> None:
    assert not is_gif_whole(gif[:-1] + b"\x77;")
