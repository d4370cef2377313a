from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.config import LimitTable
from batch_scan.pace.interface import Feedback
from batch_scan.pace.limiter import MAX_PAUSE_S, MINUTE_S, LocalLimiter
from batch_scan.pace.retry import RATE_WINDOW_S
from tests.pace.virtual_time import FakeClock, now, run_virtual, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "service"


def limiter_of(limit: LimitTable) -> LocalLimiter:
    return LocalLimiter({NAME: limit}, FakeClock())


# ----------------------------------------------------------------------------------------------------- bytes, order


def test_bytes_per_second_hold_and_a_body_larger_than_that_still_goes() -> None:
    async def main() -> list[float]:
        limiter, sent_s = limiter_of(LimitTable(bytes_per_second=1000, concurrency=8)), list[float]()

        async def send(size_bytes: int) -> None:
            slot = await limiter.acquire(NAME, size_bytes)
            sent_s.append(now())
            await limiter.release(slot, Feedback.ANSWERED)

        start_s = now()
        await asyncio.gather(*(send(size) for size in (500, 500, 500, 5000, 1)))
        return [at_s - start_s for at_s in sent_s]

    assert run_virtual(main()) == pytest.approx([0.0, 0.0, 0.5, 1.5, 5.501])


def test_first_come_first_served_also_where_a_smaller_one_could_go() -> None:
    async def main() -> list[int]:
        limiter, order = limiter_of(LimitTable(bytes_per_second=1000)), list[int]()

        async def send(size_bytes: int) -> None:
            slot = await limiter.acquire(NAME, size_bytes)
            order.append(size_bytes)
            await limiter.release(slot, Feedback.ANSWERED)

        await asyncio.gather(*(send(size) for size in (900, 800, 10, 700, 20)))
        return order

    assert run_virtual(main()) == [900, 800, 10, 700, 20]


def test_services_do_not_hold_each_other_back() -> None:
    async def main() -> float:
        limiter = LocalLimiter({"slow": LimitTable(requests_per_minute=1), "quick": LimitTable()}, FakeClock())
        await limiter.acquire("slow", 0)
        waiting = asyncio.create_task(limiter.acquire("slow", 0))
        await settle()
        start_s = now()
        for _ in range(10):
            await limiter.release(await limiter.acquire("quick", 0), Feedback.ANSWERED)
        waiting.cancel()
        return now() - start_s

    assert run_virtual(main()) == 0.0


# ------------------------------------------------------------------------------------------------- pauses, episodes


async def _pause_after(releases: Sequence[tuple[Feedback, float | None]]) -> float:
    """Release several requests at once, and return how long the next one then waits."""
    limiter = limiter_of(LimitTable(concurrency=4))
    slots = [await limiter.acquire(NAME, 0) for _ in releases]
    for slot, (feedback, retry_after_s) in zip(slots, releases, strict=True):
        await limiter.release(slot, feedback, retry_after_s)
    start_s = now()
    await limiter.acquire(NAME, 0)
    return now() - start_s


@pytest.mark.parametrize(
    ("releases", "pause_s"),
    [
        ([(Feedback.RATE_LIMITED, 20.0)], 20.0),
        ([(Feedback.RATE_LIMITED, 20.0), (Feedback.RATE_LIMITED, 5.0)], 20.0),
        ([(Feedback.RATE_LIMITED, 5.0), (Feedback.RATE_LIMITED, 20.0)], 20.0),
        ([(Feedback.TROUBLED, 7.0)], 7.0),
        ([(Feedback.RATE_LIMITED, 1e9)], MAX_PAUSE_S),
        ([(Feedback.RATE_LIMITED, -5.0)], 0.0),
        ([(Feedback.RATE_LIMITED, None)], 15.0),
        ([(Feedback.RATE_LIMITED, None)] * 4, 15.0),
        ([(Feedback.TROUBLED, None), (Feedback.ANSWERED, None), (Feedback.NOT_SENT, None)], 0.0),
    ],
)
def test_a_retry_after_pauses_the_whole_service_and_the_longest_wins(
    releases: list[tuple[Feedback, float | None]], pause_s: float
) -> None:
    assert run_virtual(_pause_after(releases)) == pytest.approx(pause_s, abs=1e-5)


def test_pauses_without_retry_after_grow_to_the_window_and_start_again_after_an_answer() -> None:
    async def main() -> list[float]:
        limiter, pauses_s = limiter_of(LimitTable()), list[float]()
        feedbacks = [Feedback.RATE_LIMITED] * 4 + [Feedback.ANSWERED, Feedback.RATE_LIMITED]
        for feedback in feedbacks:
            await limiter.release(await limiter.acquire(NAME, 0), feedback)
            start_s = now()
            await limiter.release(await limiter.acquire(NAME, 0), Feedback.NOT_SENT)
            pauses_s.append(now() - start_s)
        return pauses_s

    assert run_virtual(main()) == pytest.approx([15.0, 30.0, RATE_WINDOW_S, RATE_WINDOW_S, 0.0, 15.0], abs=1e-5)


def test_a_rate_limit_halves_concurrency_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> LocalLimiter:
        limiter = limiter_of(LimitTable(concurrency=4))
        slots = [await limiter.acquire(NAME, 0) for _ in range(4)]
        for slot in slots:
            await limiter.release(slot, Feedback.RATE_LIMITED, 1.0)
        return limiter

    with caplog.at_level("INFO"):
        service = run_virtual(main()).of(NAME)
    assert service.concurrency == 2
    assert "2 at a time" in caplog.text


# ------------------------------------------------------------------------------------------- cancelling, mistakes


def test_a_cancelled_wait_neither_blocks_nor_delays_those_behind_it() -> None:
    async def main() -> float:
        limiter = limiter_of(LimitTable(requests_per_minute=MINUTE_S))
        await limiter.acquire(NAME, 0)
        start_s = now()
        first = asyncio.create_task(limiter.acquire(NAME, 0))
        second = asyncio.create_task(limiter.acquire(NAME, 0))
        await settle()
        first.cancel()
        await second
        return now() - start_s

    assert run_virtual(main()) == pytest.approx(1.0, abs=1e-5)


def test_an_acquire_cancelled_in_the_moment_it_is_granted_gives_slot_and_rate_back() -> None:
    async def main() -> float:
        limiter = limiter_of(LimitTable(requests_per_minute=MINUTE_S, concurrency=1))
        held = await limiter.acquire(NAME, 0)
        waiting = asyncio.create_task(limiter.acquire(NAME, 0))
        await asyncio.sleep(5.0)
        await limiter.release(held, Feedback.ANSWERED)  # grants it; the waiter has not run yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        start_s = now()
        await limiter.acquire(NAME, 0)
        return now() - start_s

    assert run_virtual(main()) == 0.0


def test_a_slot_that_was_not_used_costs_no_rate_unless_a_later_one_was_granted() -> None:
    async def main() -> tuple[float, float]:
        limiter = limiter_of(LimitTable(requests_per_minute=MINUTE_S, burst=2))
        start_s = now()
        await limiter.release(await limiter.acquire(NAME, 0), Feedback.NOT_SENT)
        first = await limiter.acquire(NAME, 0)
        await limiter.acquire(NAME, 0)
        both_s = now() - start_s
        await limiter.release(first, Feedback.NOT_SENT)
        await limiter.acquire(NAME, 0)
        return both_s, now() - start_s

    assert run_virtual(main()) == pytest.approx((0.0, 1.0), abs=1e-5)


def test_when_the_last_waiter_leaves_no_timer_stays_behind() -> None:
    async def main() -> int:
        limiter = limiter_of(LimitTable(requests_per_minute=1))
        await limiter.acquire(NAME, 0)
        waiting = asyncio.create_task(limiter.acquire(NAME, 0))
        await settle()
        waiting.cancel()
        await settle()
        return len(asyncio.all_tasks())

    assert run_virtual(main()) == 1


def test_releasing_twice_and_unknown_services_are_mistakes() -> None:
    async def main() -> None:
        limiter = limiter_of(LimitTable())
        slot = await limiter.acquire(NAME, 0)
        await limiter.release(slot, Feedback.ANSWERED)
        with pytest.raises(KeyError):
            await limiter.release(slot, Feedback.ANSWERED)
        with pytest.raises(KeyError):
            await limiter.acquire("unheard of", 0)

    run_virtual(main())


# --------------------------------------------------------------------------------------------------- further calls


def test_further_calls_hold_no_slot_and_go_before_those_who_wait_for_one() -> None:
    async def main() -> list[str]:
        limiter, order = limiter_of(LimitTable(requests_per_minute=MINUTE_S, concurrency=1)), list[str]()
        held = await limiter.acquire(NAME, 0)

        async def wait_for_slot() -> None:
            slot = await limiter.acquire(NAME, 0)
            order.append("next request")
            await limiter.release(slot, Feedback.ANSWERED)

        waiting = asyncio.create_task(wait_for_slot())
        await settle()
        for number in (1, 2):
            await limiter.pace(NAME, 0)
            order.append(f"poll {number}")
        await limiter.release(held, Feedback.ANSWERED)
        await waiting
        return order

    assert run_virtual(main()) == ["poll 1", "poll 2", "next request"]


def test_further_calls_count_for_the_rate() -> None:
    async def main() -> float:
        limiter, start_s = limiter_of(LimitTable(requests_per_minute=MINUTE_S)), now()
        slot = await limiter.acquire(NAME, 0)
        await limiter.pace(NAME, 0)
        await limiter.release(slot, Feedback.ANSWERED)
        await limiter.acquire(NAME, 0)
        return now() - start_s

    assert run_virtual(main()) == pytest.approx(2.0, abs=1e-5)


def test_a_further_call_that_is_given_up_lets_the_others_go() -> None:
    async def main() -> float:
        limiter = limiter_of(LimitTable(requests_per_minute=MINUTE_S))
        await limiter.acquire(NAME, 0)
        start_s = now()
        given_up, waiting = (asyncio.create_task(limiter.pace(NAME, 0)) for _ in range(2))
        await settle()
        given_up.cancel()
        await waiting
        return now() - start_s

    assert run_virtual(main()) == pytest.approx(1.0, abs=1e-5)
