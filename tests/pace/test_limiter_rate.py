from __future__ import annotations

import asyncio
import bisect
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.endpoint.config import LimitTable
from batch_scan.pace.clock import SystemClock
from batch_scan.pace.interface import Feedback
from batch_scan.pace.limiter import MINUTE_S, MOST_LATE_S, LocalLimiter
from tests.pace.virtual_time import FakeClock, now, run_virtual, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "service"


class CountingClock(FakeClock):
    """Counts how often somebody goes to sleep."""

    def __init__(self) -> None:
        self.sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


def limiter_of(limit: LimitTable, clock: FakeClock | None = None) -> LocalLimiter:
    return LocalLimiter({NAME: limit}, clock or FakeClock())


def assert_within_rate(sent_s: Sequence[float], per_s: float, burst: float) -> None:
    for first, last in itertools.combinations(range(len(sent_s)), 2):
        assert last - first + 1 <= per_s * (sent_s[last] - sent_s[first]) + burst + 1e-6


async def ask(limiter: LocalLimiter, sent_s: list[float], latency_s: float = 0.0) -> None:
    slot = await limiter.acquire(NAME, 0)
    sent_s.append(now())
    await asyncio.sleep(latency_s)
    await limiter.release(slot, Feedback.ANSWERED)


@pytest.mark.parametrize("burst", [1, 3])
def test_a_rate_of_four_per_second_is_used_and_never_exceeded(burst: int) -> None:
    async def main() -> list[float]:
        limiter, sent_s = limiter_of(LimitTable(requests_per_minute=240, burst=burst)), list[float]()
        await asyncio.gather(*(ask(limiter, sent_s, latency_s=1.0) for _ in range(400)))
        return sent_s

    sent_s = run_virtual(main())
    assert_within_rate(sent_s, 4.0, burst)
    assert len(sent_s) >= 0.95 * 4.0 * (sent_s[-1] - sent_s[0])


@dataclass(frozen=True)
class Arrival:
    after_s: float
    latency_s: float
    feedback: Feedback
    retry_after_s: float | None
    cancel_after_s: float | None


ARRIVALS = st.builds(
    Arrival,
    after_s=st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3, 2.0, 40.0]),
    latency_s=st.sampled_from([0.0, 0.05, 1.0, 7.0]),
    feedback=st.sampled_from(Feedback),
    retry_after_s=st.sampled_from([None, None, 0.0, 0.5, 20.0]),
    cancel_after_s=st.sampled_from([None, None, None, 0.0, 0.1, 3.0]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ARRIVALS, min_size=1, max_size=60), st.sampled_from([6.0, 100.0, 240.0]), st.integers(1, 4))
def test_no_window_exceeds_the_rate_whatever_arrives_fails_pauses_or_is_cancelled(
    arrivals: list[Arrival], requests_per_minute: float, burst: int
) -> None:
    async def main() -> list[float]:
        limiter = limiter_of(LimitTable(requests_per_minute=requests_per_minute, burst=burst, concurrency=6))
        sent_s: list[float] = []

        async def request(arrival: Arrival) -> None:
            slot = await limiter.acquire(NAME, 0)
            if arrival.feedback is not Feedback.NOT_SENT:
                sent_s.append(now())
            try:
                await asyncio.sleep(arrival.latency_s)
            finally:
                await limiter.release(slot, arrival.feedback, arrival.retry_after_s)

        tasks = []
        for arrival in arrivals:
            await asyncio.sleep(arrival.after_s)
            tasks.append(asyncio.create_task(request(arrival)))
            if arrival.cancel_after_s is not None:
                asyncio.get_running_loop().call_later(arrival.cancel_after_s, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        service = limiter.of(NAME)
        assert service.in_flight == 0
        assert service.waiting == 0
        return sent_s

    assert_within_rate(run_virtual(main()), requests_per_minute / 60.0, burst)


def test_the_service_names_the_rate_where_the_user_does_not() -> None:
    async def main() -> list[float]:
        limiter, sent_s = limiter_of(LimitTable()), list[float]()
        await limiter.set_rate(NAME, MINUTE_S)
        await asyncio.gather(*(ask(limiter, sent_s) for _ in range(4)))
        return [at_s - sent_s[0] for at_s in sent_s]

    assert run_virtual(main()) == pytest.approx([0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("own", "named", "used"), [(30.0, 60.0, 30.0), (60.0, 30.0, 30.0), (30.0, 0.0, 30.0), (0.0, 0.0, 0.0)]
)
def test_the_lower_of_two_rates_holds(own: float, named: float, used: float) -> None:
    async def main() -> float:
        limiter = limiter_of(LimitTable(requests_per_minute=own))
        await limiter.set_rate(NAME, named)
        return limiter.of(NAME).requests_per_minute

    assert run_virtual(main()) == pytest.approx(used)


def test_without_any_rate_only_concurrency_holds_requests_back() -> None:
    async def main() -> float:
        limiter, sent_s = limiter_of(LimitTable(concurrency=4)), list[float]()
        await asyncio.gather(*(ask(limiter, sent_s, latency_s=1.0) for _ in range(40)))
        return sent_s[-1] - sent_s[0]

    assert run_virtual(main()) == pytest.approx(9.0)


def test_a_new_rate_moves_whoever_waits_under_the_old_one() -> None:
    async def main() -> float:
        limiter, sent_s = limiter_of(LimitTable()), list[float]()
        await limiter.set_rate(NAME, 1.0)
        start_s = now()
        waiting = asyncio.gather(*(ask(limiter, sent_s) for _ in range(3)))
        await asyncio.sleep(1.0)
        await limiter.set_rate(NAME, 60.0)
        await waiting
        return sent_s[-1] - start_s

    assert run_virtual(main()) < 4.0


def test_a_new_rate_replaces_the_timer() -> None:
    async def main() -> int:
        limiter = limiter_of(LimitTable(requests_per_minute=60))
        await limiter.acquire(NAME, 0)
        waiting = asyncio.create_task(limiter.acquire(NAME, 0))
        for requests_per_minute in (30.0, 20.0, 10.0):
            await settle()
            await limiter.set_rate(NAME, requests_per_minute)
        await settle()
        tasks = len(asyncio.all_tasks() - {asyncio.current_task(), waiting})
        waiting.cancel()
        return tasks

    assert run_virtual(main()) == 1


def test_an_unused_slot_from_before_a_new_rate_does_not_bring_the_old_one_back() -> None:
    async def main() -> float:
        limiter, start_s = limiter_of(LimitTable(requests_per_minute=600, burst=3)), now()
        slots = [await limiter.acquire(NAME, 0) for _ in range(3)]
        await limiter.set_rate(NAME, MINUTE_S)
        await limiter.release(slots[-1], Feedback.NOT_SENT)
        for _ in range(2):
            await limiter.acquire(NAME, 0)
        return now() - start_s

    assert run_virtual(main()) == pytest.approx(2.0, abs=1e-5)


def test_it_wakes_up_once_per_request_and_never_looks_just_in_case() -> None:
    async def main() -> int:
        clock = CountingClock()
        limiter, sent_s = limiter_of(LimitTable(requests_per_minute=60), clock), list[float]()
        await asyncio.gather(*(ask(limiter, sent_s) for _ in range(50)))
        return clock.sleeps

    assert run_virtual(main()) <= 50


class LateClock(FakeClock):
    """Wakes whoever sleeps after the time that was asked for, as a busy machine does."""

    def __init__(self, late_s: Sequence[float]) -> None:
        self._late_s = itertools.cycle(late_s)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + next(self._late_s))


def sent_late(requests_per_minute: float, late_s: Sequence[float], number: int, burst: int = 1) -> list[float]:
    async def main() -> list[float]:
        limit = LimitTable(requests_per_minute=requests_per_minute, burst=burst, concurrency=number)
        limiter, sent_s = limiter_of(limit, LateClock(late_s)), list[float]()
        await asyncio.gather(*(ask(limiter, sent_s) for _ in range(number)))
        return sent_s

    return run_virtual(main())


def most_within(sent_s: Sequence[float], window_s: float) -> int:
    return max(bisect.bisect_left(sent_s, first_s + window_s) - at for at, first_s in enumerate(sent_s))


LATE_S = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.004, MOST_LATE_S, 0.1, 3.0]), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(LATE_S, st.sampled_from([1.0, 30.0, 100.0, 240.0]), st.integers(1, 3))
def test_no_minute_sees_more_than_the_rate_however_late_timers_fire(
    late_s: list[float], requests_per_minute: float, burst: int
) -> None:
    sent_s = sent_late(requests_per_minute, late_s, number=round(2.5 * requests_per_minute) + 2, burst=burst)
    assert most_within(sent_s, 60.0) <= requests_per_minute + burst - 1


@settings(max_examples=50, deadline=None)
@given(LATE_S)
def test_no_window_sees_more_than_late_timers_can_move_into_it(late_s: list[float]) -> None:
    sent_s = sent_late(4800.0, late_s, number=300)
    assert_within_rate(sent_s, 80.0, 1 + MOST_LATE_S * 80.0)


@pytest.mark.parametrize("requests_per_minute", [300.0, 1200.0, 4800.0])
def test_timers_that_fire_late_cost_no_rate(requests_per_minute: float) -> None:
    sent_s = sent_late(requests_per_minute, [0.0007, 0.0012, 0.004, 0.011, 0.019], number=800)
    used = (len(sent_s) - 1) / (sent_s[-1] - sent_s[0]) / (requests_per_minute / 60.0)
    assert used >= 0.99


def test_who_comes_late_himself_is_not_counted_as_having_waited() -> None:
    async def main() -> float:
        limiter, sent_s = limiter_of(LimitTable(requests_per_minute=MINUTE_S)), list[float]()
        await ask(limiter, sent_s)
        await asyncio.sleep(1.01)
        await ask(limiter, sent_s)
        await ask(limiter, sent_s)
        return sent_s[2] - sent_s[1]

    assert run_virtual(main()) == pytest.approx(1.0, abs=1e-5)


async def test_the_rate_holds_on_the_machines_own_clock_too() -> None:
    limiter = LocalLimiter({NAME: LimitTable(requests_per_minute=6000, burst=1)}, SystemClock())
    clock, sent_s = SystemClock(), list[float]()
    for _ in range(30):
        slot = await limiter.acquire(NAME, 0)
        sent_s.append(clock.now())
        await limiter.release(slot, Feedback.ANSWERED)
    assert sent_s[-1] - sent_s[0] >= 29 / 100.0 - MOST_LATE_S
