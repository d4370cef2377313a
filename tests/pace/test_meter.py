from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.pace.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Sequence


@given(
    rate=st.floats(0.1, 1000.0),
    burst=st.integers(1, 10),
    delays=st.lists(st.one_of(st.just(0.0), st.floats(0.0, 30.0)), min_size=1, max_size=80),
)
def test_no_window_holds_more_than_its_rate_and_one_burst(rate: float, burst: int, delays: Sequence[float]) -> None:
    meter, now_s, taken = Meter(rate, burst), 1000.0, list[float]()
    for delay_s in delays:
        now_s = max(now_s + delay_s, meter.ready_at_s(1.0))
        meter.take(1.0, now_s)
        taken.append(now_s)
    for first, last in itertools.combinations(range(len(taken)), 2):
        assert last - first + 1 <= rate * (taken[last] - taken[first]) + burst + 1e-6


@given(burst=st.integers(1, 10), idle_s=st.floats(10.0, 1e6))
def test_idling_saves_up_one_burst_and_no_more(burst: int, idle_s: float) -> None:
    meter = Meter(4.0, burst)
    meter.take(1.0, 0.0)
    at_once = 0
    while meter.ready_at_s(1.0) <= idle_s:
        meter.take(1.0, idle_s)
        at_once += 1
    assert at_once == burst


def test_something_larger_than_the_capacity_goes_and_what_comes_later_pays() -> None:
    meter = Meter(100.0, 100.0)
    assert meter.ready_at_s(1000.0) <= 0.0
    meter.take(1000.0, 0.0)
    assert meter.ready_at_s(1.0) == pytest.approx(9.01)
    assert meter.ready_at_s(1000.0) == pytest.approx(10.0)


def test_a_rate_of_nothing_is_no_limit() -> None:
    meter = Meter(0.0, 1.0)
    for _ in range(1000):
        assert meter.ready_at_s(1e9) <= 0.0
        meter.take(1e9, 0.0)


def test_putting_the_latest_back_is_as_if_it_had_never_been_taken() -> None:
    meter = Meter(1.0, 1.0)
    meter.take(1.0, 0.0)
    meter.put_back(meter.take(1.0, 1.0))
    assert meter.ready_at_s(1.0) == 1.0


def test_a_new_rate_keeps_what_is_owed_in_units() -> None:
    meter = Meter(1.0, 1.0)
    meter.take(1.0, 0.0)
    meter.change_rate(0.1, 1.0, 0.5)
    assert meter.ready_at_s(1.0) == pytest.approx(5.5)


def test_a_rate_named_for_the_first_time_starts_with_its_burst() -> None:
    meter = Meter(0.0, 2.0)
    meter.take(1.0, 0.0)
    meter.change_rate(1.0, 2.0, 0.0)
    meter.take(1.0, 0.0)
    meter.take(1.0, 0.0)
    assert meter.ready_at_s(1.0) == pytest.approx(1.0)
