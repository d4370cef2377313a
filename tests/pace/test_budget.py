from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.endpoint.config import BudgetTable, WhenReached
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.interface import ReservationId
from tests.pace.virtual_time import run_virtual

CAUTIOUS, SOFT = WhenReached.CAUTIOUS, WhenReached.SOFT


def budget_of(
    tokens: int | None, when_reached: WhenReached = CAUTIOUS, spent: dict[str, int] | None = None
) -> LocalBudget:
    return LocalBudget(BudgetTable(tokens=tokens, when_reached=when_reached), {}, spent)


async def reserved(budget: LocalBudget, tokens: int, service: str = "a") -> ReservationId:
    reservation = await budget.reserve(service, tokens)
    assert reservation is not None
    return reservation


async def started(budget: LocalBudget, tokens: int, service: str = "a") -> asyncio.Task[ReservationId | None]:
    """Begin to reserve, and come back once that is granted, refused or waiting."""
    task = asyncio.create_task(budget.reserve(service, tokens))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_without_a_budget_everything_is_granted_and_counted() -> None:
    budget = LocalBudget(BudgetTable(), {})
    await budget.settle(await reserved(budget, 10**9), 7)
    await budget.settle(await reserved(budget, 1, "b"), 1)
    assert (budget.spent("a"), budget.spent("b"), budget.spent(), budget.spent("c")) == (7, 1, 8, 0)


async def test_what_was_spent_before_counts() -> None:
    budget = budget_of(10, spent={"a": 6, "b": 3})
    assert (budget.spent("a"), budget.spent()) == (6, 9)
    assert await budget.reserve("a", 2) is None
    assert await budget.reserve("a", 1) is not None


async def test_cautious_refuses_what_can_never_fit_and_goes_on_with_what_does() -> None:
    budget = budget_of(10)
    assert await budget.reserve("a", 11) is None
    assert await budget.reserve("a", 10) is not None


async def test_cautious_waits_for_settlements_that_make_room() -> None:
    budget = budget_of(10)
    first = await reserved(budget, 8)
    waiting = await started(budget, 5)
    assert not waiting.done()
    await budget.settle(first, 3)
    assert await waiting is not None


async def test_cautious_refuses_whoever_waited_in_vain() -> None:
    budget = budget_of(10)
    first, second = await reserved(budget, 4), await reserved(budget, 4)
    waiting = await started(budget, 5)
    await budget.settle(first, 4)
    assert not waiting.done()
    await budget.settle(second, 4)
    assert await waiting is None


async def test_soft_starts_nothing_new_once_spent_but_lets_what_is_in_flight_exceed() -> None:
    budget = budget_of(10, SOFT)
    flights = [await reserved(budget, 8) for _ in range(3)]
    await budget.settle(flights[0], 8)
    fourth = await reserved(budget, 8)
    await budget.settle(flights[1], 8)
    assert await budget.reserve("a", 1) is None
    await budget.settle(flights[2], 8)
    await budget.settle(fourth, 8)
    assert budget.spent() == 32


@pytest.mark.parametrize("when_reached", [CAUTIOUS, SOFT])
async def test_what_costs_nothing_passes_even_when_all_is_spent(when_reached: WhenReached) -> None:
    budget = budget_of(10, when_reached, spent={"a": 12})
    assert await budget.reserve("a", 1) is None
    assert await budget.reserve("a", 0) is not None


async def test_a_service_with_a_budget_of_its_own_stops_alone() -> None:
    budget = LocalBudget(BudgetTable(tokens=100), {"a": BudgetTable(tokens=5), "b": BudgetTable()})
    assert await budget.reserve("a", 6) is None
    assert await budget.reserve("b", 50) is not None
    assert await budget.reserve("without one", 50) is not None


async def test_both_budgets_must_have_room() -> None:
    budget = LocalBudget(BudgetTable(tokens=10), {"a": BudgetTable(tokens=8, when_reached=SOFT)})
    held = await reserved(budget, 9, "b")
    waiting = await started(budget, 5, "a")
    assert not waiting.done()
    await budget.settle(held, 9)
    assert await waiting is None


async def test_a_cancelled_wait_leaves_no_trace() -> None:
    budget = budget_of(10)
    first = await reserved(budget, 10)
    waiting = await started(budget, 5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await budget.settle(first, 0)
    async with asyncio.timeout(10.0):
        assert await budget.reserve("a", 10) is not None


async def test_a_reserve_cancelled_in_the_moment_it_is_granted_gives_the_tokens_back() -> None:
    budget = budget_of(10)
    first = await reserved(budget, 10)
    waiting = await started(budget, 10)
    await budget.settle(first, 0)  # grants it; the waiter has not run yet
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(10.0):
        assert await budget.reserve("a", 10) is not None


async def test_settling_twice_or_what_was_never_reserved_is_a_mistake() -> None:
    budget = budget_of(10)
    reservation = await reserved(budget, 1)
    await budget.settle(reservation, 1)
    with pytest.raises(KeyError):
        await budget.settle(reservation, 1)
    with pytest.raises(KeyError):
        await budget.settle(ReservationId(12345), 1)


async def test_negative_tokens_are_a_mistake() -> None:
    budget = budget_of(10)
    with pytest.raises(ValueError, match="-1"):
        await budget.reserve("a", -1)
    reservation = await reserved(budget, 1)
    with pytest.raises(ValueError, match="-1"):
        await budget.settle(reservation, -1)
    await budget.settle(reservation, 1)


@dataclass(frozen=True)
class Ask:
    service: str
    after_s: float
    tokens_max: int
    charged_share: float
    latency_s: float
    cancel_after_s: float | None

    @property
    def tokens_charged(self) -> int:
        return int(self.tokens_max * self.charged_share)


ASKS = st.builds(
    Ask,
    service=st.sampled_from(["a", "b", "c"]),
    after_s=st.sampled_from([0.0, 0.0, 0.5, 3.0]),
    tokens_max=st.integers(0, 30),
    charged_share=st.sampled_from([0.0, 0.5, 1.0]),
    latency_s=st.sampled_from([0.0, 1.0, 4.0]),
    cancel_after_s=st.sampled_from([None, None, 0.0, 1.0]),
)


@settings(max_examples=200, deadline=None)
@given(
    asks=st.lists(ASKS, max_size=40),
    run_tokens=st.integers(0, 120),
    own_tokens=st.integers(0, 60),
    own_mode=st.sampled_from(WhenReached),
)
def test_cautious_is_never_exceeded_and_nobody_waits_for_ever(
    asks: list[Ask], run_tokens: int, own_tokens: int, own_mode: WhenReached
) -> None:
    async def main() -> None:
        budget = LocalBudget(
            BudgetTable(tokens=run_tokens), {"a": BudgetTable(tokens=own_tokens, when_reached=own_mode)}
        )
        out: dict[ReservationId, Ask] = {}

        def check() -> None:
            assert budget.spent() + sum(ask.tokens_max for ask in out.values()) <= run_tokens
            if own_mode is CAUTIOUS:
                mine = sum(ask.tokens_max for ask in out.values() if ask.service == "a")
                assert budget.spent("a") + mine <= own_tokens

        async def request(ask: Ask) -> None:
            reservation = await budget.reserve(ask.service, ask.tokens_max)
            if reservation is None:
                return
            out[reservation] = ask
            check()
            charged = 0
            try:
                await asyncio.sleep(ask.latency_s)
                charged = ask.tokens_charged
            finally:
                del out[reservation]
                await budget.settle(reservation, charged)
                check()

        tasks = []
        for ask in asks:
            await asyncio.sleep(ask.after_s)
            tasks.append(asyncio.create_task(request(ask)))
            if ask.cancel_after_s is not None:
                asyncio.get_running_loop().call_later(ask.cancel_after_s, tasks[-1].cancel)
        # A deadlock would raise StuckError: virtual time cannot go on while everybody waits.
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ends if end is not None and not isinstance(end, asyncio.CancelledError)] == []
        left = run_tokens - budget.spent()
        assert await budget.reserve("c", left) is not None  # nothing leaked: all that is unspent can be reserved

    run_virtual(main())


async def test_a_soft_budget_stops_what_waited_while_it_was_spent() -> None:
    budget = LocalBudget(BudgetTable(tokens=10, when_reached=WhenReached.SOFT), {})
    first, waiting = await budget.reserve("a", 10), await budget.reserve("a", 10)
    assert first is not None
    assert waiting is not None
    assert await budget.may_start(waiting)
    await budget.settle(first, 10)
    assert not await budget.may_start(waiting)


async def test_what_a_cautious_budget_set_aside_may_always_start() -> None:
    budget = LocalBudget(BudgetTable(tokens=20), {})
    first, waiting = await budget.reserve("a", 10), await budget.reserve("a", 10)
    assert first is not None
    assert waiting is not None
    await budget.settle(first, 10)
    assert await budget.may_start(waiting)
