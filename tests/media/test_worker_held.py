"""What is still to come of held packets, against the definition."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.worker_held import Held, Outlook
from batch_scan.media.worker_packets import TrackPacket

TIMES = st.lists(st.integers(0, 200).map(lambda tick: tick / 25), max_size=40)


def packet(time_s: float, size: int = 10, *, is_second: bool = False) -> TrackPacket:
    told = cast("Any", SimpleNamespace(size=size, is_keyframe=False))
    return TrackPacket(told, time_s, None, 0.0, breaks=False, is_second=is_second)


def taken_bytes(sizes: range) -> int:
    """What packets of these sizes take in memory: each about a kilobyte besides what is in it."""
    return sum(sizes) + 1024 * len(sizes)


@given(TIMES, st.data())
def test_how_far_the_rest_reaches_is_the_latest_of_it_that_needs_what_comes_before_a_restart(
    times_s: list[float], data: st.DataObject
) -> None:
    packets = [packet(time_s) for time_s in times_s]
    place = data.draw(st.integers(0, len(packets)))
    restart = packets[place] if place < len(packets) else None
    outlook = Outlook(packets, restart)
    assert outlook.restart_at == place
    for at in range(len(packets) + 1):
        rest_s = [time_s for i, time_s in enumerate(times_s) if i >= at and (i < place or time_s < times_s[place])]
        assert outlook.reach_s(at) == max(rest_s, default=-math.inf)


@given(TIMES, st.integers(0, 40), st.integers(0, 200).map(lambda tick: tick / 25))
def test_a_picture_is_past_when_no_packet_of_it_follows(times_s: list[float], at: int, time_s: float) -> None:
    at = min(at, len(times_s))
    outlook = Outlook([packet(one_s) for one_s in times_s], None)
    assert outlook.is_past(time_s, at) == (time_s not in times_s[at:])


def test_a_picture_is_not_past_once_the_packet_to_restart_at_is_decoded() -> None:
    before, key, lead = packet(1.0), packet(2.0), packet(1.5)
    outlook = Outlook([before, key, lead], key)
    assert outlook.is_past(1.0, 1)
    assert not outlook.is_past(1.5, 3)


def test_a_picture_is_its_packet_and_that_of_its_second_field() -> None:
    held = Held()
    before, key, second, lead = packet(1.0), packet(2.0), packet(2.0, is_second=True), packet(1.5)
    for one in (before, key, second, lead):
        held.append(one)
    assert held.picture_of(before) == [before]
    assert held.picture_of(key) == [key, second]


@given(TIMES, st.data())
def test_what_is_held_knows_its_size_and_its_reach(times_s: list[float], data: st.DataObject) -> None:
    packets = [packet(time_s, size) for size, time_s in enumerate(times_s)]
    held = Held()
    for one in packets:
        held.append(one)
    assert list(held) == packets
    assert (held.size_bytes, held.reach_s) == (taken_bytes(range(len(packets))), max(times_s, default=-math.inf))
    if packets:
        place = data.draw(st.integers(0, len(packets) - 1))
        held.drop_before(packets[place])
        assert held.first is packets[place]
        assert held.size_bytes == taken_bytes(range(place, len(packets)))
        assert held.reach_s == max(times_s[place:])
    rest = list(held)
    assert held.take() == rest
    assert not held
    assert (held.size_bytes, held.reach_s, held.first) == (0, -math.inf, None)
