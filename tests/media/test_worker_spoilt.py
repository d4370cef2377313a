"""Which pictures lean on a damaged one, where packets and pictures come in different orders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from batch_scan.media.worker_packets import TrackPacket
from batch_scan.media.worker_spoilt import Spoilt

# I0 P4 B2 B1 B3 P8 B6 B5 B7, and an open group: I12 B10 B9 B11 P16
DECODED = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16]
KEYS = {0, 12}
DELAY = 3


def damaged(corrupt: set[int], *, blame: bool = True) -> tuple[set[int], set[int]]:
    """Which pictures come out as damaged, and which are found to be so afterwards."""
    spoilt, given, belated = Spoilt(), set[int](), set[int]()
    waiting: list[int] = []

    def show() -> None:
        ticks = min(waiting)
        waiting.remove(ticks)
        if spoilt.show(ticks, float(ticks), is_key=ticks in KEYS, is_corrupt=ticks in corrupt):
            given.add(ticks)
        belated.update(map(int, spoilt.take_belated_s()))

    for ticks in DECODED:
        packet = cast("Any", SimpleNamespace(pts=ticks, is_keyframe=ticks in KEYS))
        spoilt.note(TrackPacket(packet, float(ticks), None, 0.0, breaks=False), blame=blame)
        waiting.append(ticks)
        if len(waiting) > DELAY:
            show()
    while waiting:
        show()
    return given, belated


@pytest.mark.parametrize(
    ("corrupt", "given", "belated"),
    [
        (set[int](), set[int](), set[int]()),
        ({0}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, set[int]()),
        ({4}, {4, 5, 6, 7, 8, 9, 10, 11}, {1, 2, 3}),  # shown before it, predicted from it
        ({8}, {8, 9, 10, 11}, {5, 6, 7}),
        ({12}, {12, 16}, {9, 10, 11}),
        ({16}, {16}, set[int]()),
        ({4, 8}, {4, 5, 6, 7, 8, 9, 10, 11}, {1, 2, 3}),
    ],
)
def test_what_is_decoded_after_a_damaged_picture_leans_on_it_until_a_keyframe_is_shown(
    corrupt: set[int], given: set[int], belated: set[int]
) -> None:
    assert damaged(corrupt) == (given, belated)


def test_nothing_leans_on_a_picture_at_which_decoding_was_begun_on_purpose() -> None:
    assert damaged({4}, blame=False) == ({4}, set())


def test_without_times_a_damaged_picture_spoils_all_that_come_out_until_a_keyframe() -> None:
    spoilt = Spoilt()
    came = [
        spoilt.show(None, 0.0, is_key=is_key, is_corrupt=is_corrupt)
        for is_key, is_corrupt in ((True, False), (False, True), (False, False), (True, False), (False, False))
    ]
    assert came == [False, True, True, False, False]


def test_after_a_fresh_start_nothing_is_spoilt() -> None:
    spoilt = Spoilt()
    packet = cast("Any", SimpleNamespace(pts=0, is_keyframe=True))
    spoilt.note(TrackPacket(packet, 0.0, None, 0.0, breaks=False), blame=True)
    assert spoilt.show(0, 0.0, is_key=True, is_corrupt=True)
    spoilt.clear()
    packet = cast("Any", SimpleNamespace(pts=1, is_keyframe=False))
    spoilt.note(TrackPacket(packet, 1.0, None, 0.0, breaks=False), blame=True)
    assert not spoilt.show(1, 1.0, is_key=False, is_corrupt=False)
