from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.wanted import WantedTimes, spread

INTERVALS = st.integers(1, 600).map(lambda tenths: tenths / 10)
TICKS = st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True).map(sorted)


def taken_by(wanted: WantedTimes, times_s: list[float]) -> list[float]:
    taken = []
    for time_s in times_s:
        if wanted.wants(time_s):
            wanted.answer(time_s)
            taken.append(time_s)
    return taken


@given(INTERVALS, TICKS)
def test_every_wanted_time_gets_the_first_picture_at_or_after_it(interval_s: float, ticks: list[int]) -> None:
    times_s = [tick / 10 for tick in ticks]
    expected = {times_s[0]}
    for index in range(math.floor(times_s[-1] / interval_s + 1e-9) + 1):
        later = [time_s for time_s in times_s if time_s >= index * interval_s - 1e-6]
        expected.update(later[:1])
    assert taken_by(WantedTimes(interval_s), times_s) == sorted(expected)


@given(INTERVALS, st.integers(0, 3000))
def test_wanted_times_before_an_end_are_counted_without_listing_them(interval_s: float, end_tenths: int) -> None:
    end_s = end_tenths / 10
    listed = sum(index * interval_s < end_s - 1e-6 for index in range(end_tenths + 2))
    assert WantedTimes(interval_s).left_before(end_s) == listed


def test_a_hole_of_weeks_is_one_step() -> None:
    wanted = WantedTimes(0.1)
    assert wanted.answer(0.0) == 1
    assert wanted.answer(1e7) == 10**8
    assert not wanted.wants(1e7)


def test_the_first_picture_is_wanted_whenever_it_is_shown() -> None:
    assert WantedTimes(5.0).wants(-3.0)
    wanted = WantedTimes(5.0)
    wanted.answer(-3.0)
    assert wanted.next_s == 5.0


@given(INTERVALS, st.floats(0.04, 1e6), st.integers(1, 1000))
def test_a_cap_spreads_evenly_and_is_never_exceeded(interval_s: float, duration_s: float, max_frames: int) -> None:
    spaced_s = spread(interval_s, duration_s, max_frames)
    assert spaced_s >= interval_s
    assert WantedTimes(spaced_s).left_before(duration_s) <= max_frames


def test_without_a_cap_or_a_duration_the_interval_stays() -> None:
    assert spread(5.0, 100.0, 0) == 5.0
    assert spread(5.0, None, 3) == 5.0
