from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch_scan.delivery import NotSentError, UnreadableError
from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.errors import EndpointError, Failure, LedgerError
from batch_scan.model import Request, RequestId, Shortfall
from batch_scan.pace.clock import SystemClock
from batch_scan.pace.interface import Feedback
from batch_scan.vocabulary import Reason
from tests.asking_kit import UNREADABLE, Desk, Hold, ToyEndpoint, desk_of, ledger_in, sample_of
from tests.ledger_kit import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.delivery import Delivered
    from batch_scan.model import Answer

ONE_AT_A_TIME = ServiceConfig(limit=LimitTable(concurrency=1))


def request_of(*words: str) -> tuple[Request, list[str]]:
    samples = tuple(sample_of(word) for word in words)
    return Request(RequestId("-".join(words)), "toy", "judge", samples, 2 * len(samples)), [
        f"key {word}" for word in words
    ]


def attempt(desk: Desk, *words: str) -> asyncio.Task[Delivered]:
    return asyncio.create_task(desk.asker.delivery.attempt(*request_of(*words)))


async def cancelled(task: asyncio.Task[Delivered]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ------------------------------------------------------------------------------------------------------------ order


async def test_an_answer_is_durable_before_it_is_handed_on(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint())
        delivered = await attempt(desk, "a", "b")
        stored = ledger.answers(["key a", "key b"])
    assert {key: one.position for key, one in stored.items()} == {"key a": 0, "key b": 1}
    assert stored["key b"].answer.raw == delivered.answer.raw == '["a", "b"]'
    assert delivered.sent_at <= delivered.answered_at


async def test_a_request_is_written_down_before_it_goes(tmp_path: Path) -> None:
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(hold))
        sending = attempt(desk, "a")
        await hold.arrived.wait()
        assert rows_of(tmp_path / "state", "SELECT request_id, state, tokens_max FROM requests") == [
            ("a", "sending", 2)
        ]
        assert (desk.in_flight, desk.reserved) == (1, 2)
        hold.let_go.set()
        await sending
        assert (desk.in_flight, desk.reserved) == (0, 0)


async def test_a_cheap_answer_settles_at_its_price(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(), tokens=4)
        for words in ("a", "b", "c"):  # two tokens at most, one charged
            await attempt(desk, words)
        with pytest.raises(NotSentError) as caught:
            await attempt(desk, "d")
        assert caught.value.shortfall.reason is Reason.BUDGET
        assert ledger.spent("run-1") == {"toy": 3}


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (EndpointError(Failure.TRANSIENT, "reset", maybe_charged=True), 2),
        (EndpointError(Failure.TRANSIENT, "no connection"), 0),
        (EndpointError(Failure.RATE_LIMITED, "slow"), 0),
        (EndpointError(Failure.REFUSED, "bad picture"), 0),
        (RuntimeError("oops"), 2),
    ],
)
async def test_what_may_have_been_charged_counts_as_spent(tmp_path: Path, error: Exception, spent: int) -> None:
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(error), tokens=2)
        with pytest.raises(EndpointError):
            await attempt(desk, "a")
        assert ledger.spent("run-1") == {"toy": spent}
        assert desk.budget.spent() == spent
        assert (desk.in_flight, desk.reserved) == (0, 0)


async def test_an_unreadable_answer_is_charged_and_not_kept(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(UNREADABLE))
        with pytest.raises(UnreadableError) as caught:
            await attempt(desk, "a")
        assert ledger.answers(["key a"]) == {}
        assert caught.value.answer.raw == UNREADABLE
        assert (desk.asker.delivery.charged_tokens, desk.budget.spent(), ledger.spent("run-1")) == (1, 1, {"toy": 1})
        assert (desk.in_flight, desk.reserved) == (0, 0)


async def test_an_unreadable_answer_too_says_how_long_to_rest(tmp_path: Path) -> None:
    class Weary(ToyEndpoint):
        async def submit(self, request: Request) -> Answer:
            return replace(await super().submit(request), rest_s=42.0)

    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, Weary(UNREADABLE))
        begun_s = desk.clock.now()
        with pytest.raises(UnreadableError):
            await attempt(desk, "a")
        assert desk.clock.now() == begun_s
        await attempt(desk, "b")
        assert desk.clock.now() - begun_s == pytest.approx(42.0)


async def test_a_ledger_that_cannot_be_written_ends_the_attempt_and_gives_everything_back(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        await ledger.flush()
        ledger._writer._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerError):
            await attempt(desk, "a")
        ledger._writer._connection.execute("PRAGMA query_only = OFF")
    assert service.submitted == []
    assert (desk.in_flight, desk.reserved) == (0, 0)


async def test_a_stopped_service_is_not_asked(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        first, second = (Shortfall(Reason.ENDPOINT_STOPPED, detail) for detail in ("why", "later"))
        desk.asker.delivery.stop(first)
        desk.asker.delivery.stop(second)
        with pytest.raises(NotSentError, match="why"):
            await attempt(desk, "a")
    assert service.submitted == []
    assert desk.asker.delivery.closed is first


async def test_what_waits_for_its_turn_while_the_gate_shuts_is_not_sent(tmp_path: Path) -> None:
    hold = Hold()
    service = ToyEndpoint(hold, config=ONE_AT_A_TIME)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        first = attempt(desk, "a")
        await hold.arrived.wait()
        second = attempt(desk, "b")
        await asyncio.sleep(0)
        desk.gate.shut = Shortfall(Reason.TIME_LIMIT, "late")
        hold.let_go.set()
        await first
        with pytest.raises(NotSentError, match="late"):
            await second
        assert (desk.in_flight, desk.reserved) == (0, 0)
        assert desk.asker.delivery.closed is desk.gate.shut
    assert len(service.submitted) == 1


@pytest.mark.parametrize("how", ["gate", "stop"])
async def test_who_waits_out_a_pause_learns_at_once_that_it_is_in_vain(tmp_path: Path, how: str) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service, clock=SystemClock())
        slot = await desk.limiter.acquire(service.name, 0)
        await desk.limiter.release(slot, Feedback.RATE_LIMITED, 600.0)
        waiting = attempt(desk, "a")
        resting = asyncio.create_task(desk.asker.delivery.rest(600.0))
        await asyncio.sleep(0)
        why = Shortfall(Reason.TIME_LIMIT, "in vain")
        if how == "gate":
            desk.gate.shut = why
        else:
            desk.asker.delivery.stop(why)
        desk.gate.shut = why  # a second time wakes nobody twice
        async with asyncio.timeout(10):
            await resting
            with pytest.raises(NotSentError, match="in vain"):
                await waiting
        assert (desk.in_flight, desk.reserved) == (0, 0)
    assert service.submitted == []


# ------------------------------------------------------------------------------------------------------ cancellation


async def test_cancelled_while_it_waits_for_the_budget_it_leaves_no_trace(tmp_path: Path) -> None:
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(hold), tokens=2)
        first = attempt(desk, "a")
        await hold.arrived.wait()
        second = attempt(desk, "b")
        await asyncio.sleep(0)
        await cancelled(second)
        hold.let_go.set()
        await first
        assert (desk.in_flight, desk.reserved) == (0, 0)


async def test_cancelled_while_it_waits_for_its_turn_it_leaves_no_trace(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(config=ONE_AT_A_TIME))
        slot = await desk.limiter.acquire("toy", 0)
        waiting, granted = attempt(desk, "a"), attempt(desk, "b")
        await asyncio.sleep(0)
        await cancelled(waiting)
        await desk.limiter.release(slot, Feedback.ANSWERED)  # grants the other, which has not run yet
        await cancelled(granted)
        assert (desk.in_flight, desk.reserved, desk.limiter.of("toy").waiting) == (0, 0, 0)


async def test_stopped_in_the_moment_its_turn_comes_it_is_not_sent(tmp_path: Path) -> None:
    service = ToyEndpoint(config=ONE_AT_A_TIME)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        slot = await desk.limiter.acquire("toy", 0)
        waiting = attempt(desk, "a")
        await asyncio.sleep(0)
        await desk.limiter.release(slot, Feedback.ANSWERED)
        desk.asker.delivery.stop(Shortfall(Reason.ENDPOINT_STOPPED, "enough"))
        with pytest.raises(NotSentError, match="enough"):
            await waiting
        assert (desk.in_flight, desk.reserved) == (0, 0)
    assert service.submitted == []


async def test_an_answer_that_comes_after_the_asker_was_cancelled_is_kept(tmp_path: Path) -> None:
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(hold))
        sending = attempt(desk, "a")
        await hold.arrived.wait()
        await cancelled(sending)
        assert (desk.in_flight, desk.reserved) == (1, 2)
        draining = asyncio.create_task(desk.asker.delivery.drain(60.0))
        await asyncio.sleep(0)
        hold.let_go.set()
        assert await draining == 0
        assert list(ledger.answers(["key a"])) == ["key a"]
        assert (desk.in_flight, desk.reserved) == (0, 0)


async def test_a_failure_that_comes_after_the_asker_was_cancelled_is_written_down(tmp_path: Path) -> None:
    class Late(ToyEndpoint):
        async def submit(self, request: Request) -> object:  # type: ignore[override]
            hold.arrived.set()
            await hold.let_go.wait()
            raise EndpointError(Failure.TRANSIENT, "reset")

    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, Late())
        sending = attempt(desk, "a")
        await hold.arrived.wait()
        await cancelled(sending)
        hold.let_go.set()
        assert await desk.asker.delivery.drain(60.0) == 0
        assert rows_of(tmp_path / "state", "SELECT state, error FROM requests") == [("failed", "reset")]


async def test_what_does_not_come_within_the_grace_is_given_up_and_stays_in_doubt(tmp_path: Path) -> None:
    holds = [Hold(), Hold()]
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(*holds))
        for hold, word in zip(holds, "ab", strict=True):
            sending = attempt(desk, word)
            await hold.arrived.wait()
            await cancelled(sending)
        assert await desk.asker.delivery.drain(0.0) == 2
        assert (desk.in_flight, desk.reserved) == (0, 0)
        assert desk.budget.spent() == 4
    async with ledger_in(tmp_path) as ledger:
        assert (ledger.in_doubt("run-1").requests, ledger.in_doubt("run-1").tokens) == (2, 4)


async def test_draining_nothing_takes_no_time(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        assert await desk_of(ledger, ToyEndpoint()).asker.delivery.drain(1e9) == 0


async def test_a_service_may_be_stopped_again_while_those_who_wait_are_learning_it(tmp_path: Path) -> None:
    why = Shortfall(Reason.ENDPOINT_STOPPED, "enough")
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(config=ONE_AT_A_TIME))
        await desk.limiter.acquire("toy", 0)
        waiting = [attempt(desk, word) for word in "abc"]
        await asyncio.sleep(0)
        for _ in range(4):
            desk.asker.delivery.stop(why)
            await asyncio.sleep(0)
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in ended] == [NotSentError] * 3
        assert (desk.in_flight, desk.reserved) == (1, 0)


async def test_stopped_while_it_waits_for_the_budget_it_does_not_wait_for_its_turn_too(tmp_path: Path) -> None:
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(hold), tokens=3)
        desk.clock.stands_still = True
        first = attempt(desk, "a")
        await hold.arrived.wait()
        second = attempt(desk, "b")
        await asyncio.sleep(0)
        desk.asker.delivery.stop(Shortfall(Reason.ENDPOINT_STOPPED, "enough"))
        await desk.limiter.release(await desk.limiter.acquire("toy", 0), Feedback.RATE_LIMITED, 500.0)
        hold.let_go.set()
        await first
        async with asyncio.timeout(10):
            with pytest.raises(NotSentError, match="enough"):
                await second
        assert (desk.in_flight, desk.reserved) == (0, 0)
