"""Sends one request, once: everything between deciding to ask and counting the answer.

The order is what the promises rest on: reserve its most tokens, wait for its turn, write down durably that it goes
out, send it, read the answer, write the answer down durably, and only then count it. A sending under way is finished
and its answer kept even where whoever asked has been cancelled; `drain` waits for those.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from batch_scan.asked import refused, unrecognised
from batch_scan.errors import EndpointError, Failure, FetchError
from batch_scan.model import Answer, Request, Score, Shortfall, Utterance
from batch_scan.pace.interface import Feedback
from batch_scan.shielded import shielded
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason
from batch_scan.whole import WholeFile

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.ledger import Ledger, PaidRequest
    from batch_scan.model import RequestId, RunId
    from batch_scan.pace.clock import Clock
    from batch_scan.pace.interface import Budget, Limiter, ReservationId, SlotId
    from batch_scan.transcribe.interface import Transcriber

T = TypeVar("T")

_FEEDBACK = {
    Failure.RATE_LIMITED: Feedback.RATE_LIMITED,
    Failure.TRANSIENT: Feedback.TROUBLED,
    Failure.REFUSED: Feedback.ANSWERED,
    Failure.FATAL: Feedback.ANSWERED,
}


@dataclass(frozen=True, slots=True)
class Meters:
    """What all askers of a run share."""

    run_id: RunId
    ledger: Ledger
    limiter: Limiter
    budget: Budget
    clock: Clock
    unreported: dict[RequestId, PaidRequest] = field(default_factory=dict)
    """Requests that this run paid for before it was cut off, until a row tells of them."""


class Gate:
    """Says whether new requests may still go out; shut by the time limit."""

    def __init__(self) -> None:
        self._shut: Shortfall | None = None
        self._waking: list[Callable[[], None]] = []

    @property
    def shut(self) -> Shortfall | None:
        """Why nothing new goes out; None while it does."""
        return self._shut

    @shut.setter
    def shut(self, why: Shortfall) -> None:
        self._shut = why
        for wake in self._waking:
            wake()

    def when_shut(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when it is shut: whoever waits for a turn need not wait any longer."""
        self._waking.append(wake)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says, and what it says was not understood."""

    readings: tuple[Score | Utterance, ...]
    shortfall: Shortfall | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """An answer that has been read, and is durable."""

    answer: Answer
    reading: Reading
    sent_at: datetime
    answered_at: datetime
    latency_ms: float


class UnreadableError(EndpointError):
    """An answer came, and was paid for, but does not say what it should."""

    def __init__(self, error: EndpointError, answer: Answer) -> None:
        super().__init__(
            Failure.REFUSED,
            error.detail,
            http_status=answer.http_status,
            vendor_code=answer.vendor_code,
            maybe_charged=True,
        )
        self.answer = answer


class OutdatedError(UnreadableError):
    """An answer came, and was paid for, but not surely about the content that was asked about; says why not."""

    def __init__(self, why: FetchError, answer: Answer) -> None:
        super().__init__(EndpointError(Failure.REFUSED, why.detail, http_status=answer.http_status), answer)
        reason = Reason.CHANGED if why.reason is Reason.MISSING else why.reason  # gone since it was fetched
        self.shortfall = Shortfall(reason, why.detail, type(why).__name__)


class NotSentError(Exception):
    """The request did not go out; carries the reason."""

    def __init__(self, shortfall: Shortfall) -> None:
        super().__init__(shortfall.detail)
        self.shortfall = shortfall


class Delivery:
    """Sends the requests to one service, on behalf of every file of a run."""

    def __init__(self, name: str, service: Endpoint | Transcriber, meters: Meters, gate: Gate) -> None:
        self.stopped: Shortfall | None = None
        """Set once the service has refused for good; nothing more is sent to it."""
        self.broke: Shortfall | None = None
        """Set once the budget has refused a request; smaller ones may still fit."""
        self.charged_tokens = 0
        """Tokens of what was answered since this was made."""
        self.in_vain: dict[str, Shortfall] = {}
        """Keys of samples whose question may have been paid for in this run without any use, and why: it would be the
        same again, so they are not asked again before the next run."""
        self._name = name
        self._service = service
        self._meters = meters
        self._gate = gate
        gate.when_shut(self._wake)
        self._flights: dict[asyncio.Task[Delivered], frozenset[str]] = {}
        self._waiting: set[asyncio.Timeout] = set()

    @property
    def closed(self) -> Shortfall | None:
        """Why opening another file for this service would be in vain; None where it would not."""
        return self.stopped or self._gate.shut or self.broke

    def stop(self, why: Shortfall) -> None:
        """Send nothing more; whoever waits for a turn, perhaps through a long pause, learns it at once."""
        if self.stopped is not None:
            return
        self.stopped = why
        self._wake()

    async def rest(self, seconds: float) -> None:
        """Wait before asking again; ends at once when the service is stopped or the gate shut."""
        with contextlib.suppress(NotSentError):
            await self._unless_closed(self._meters.clock.sleep(seconds))

    def under_way(self, keys: Iterable[str]) -> list[asyncio.Task[Delivered]]:
        """Return the sendings that may answer one of `keys`, also where whoever asked is gone."""
        wanted = set(keys)
        return [flight for flight, of in self._flights.items() if not wanted.isdisjoint(of)]

    async def attempt(self, request: Request, keys: list[str]) -> Delivered:
        """Send `request` once. Raises NotSentError, and EndpointError where it was sent in vain."""
        self._check_open()
        reservation = await self._meters.budget.reserve(self._name, request.tokens_max)
        if reservation is None:
            raise self._budget_used_up()
        try:
            slot = await self._turn(sum(len(sample.data or b"") for sample in request.samples))
        except BaseException:
            await self._meters.budget.settle(reservation, 0)
            raise
        try:
            await self._check_startable(reservation)
        except BaseException:
            await self._meters.limiter.release(slot, Feedback.NOT_SENT)
            await self._meters.budget.settle(reservation, 0)
            raise
        flight = asyncio.create_task(self._deliver(request, keys, slot, reservation))
        self._flights[flight] = frozenset(keys)
        flight.add_done_callback(self._landed)
        return await shielded(flight)

    async def drain(self, grace_s: float) -> int:
        """Wait for sendings under way, at most `grace_s` seconds; return how many had to be given up."""
        if not self._flights:
            return 0
        _, late = await asyncio.wait(self._flights, timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    def read(self, request: Request, answer: Answer) -> Reading:
        """Make scores or utterances of an answer. Raises EndpointError, whatever the adapter raises."""
        service = self._service
        try:
            readings: tuple[Score | Utterance, ...] = tuple(service.read(request, answer))
            shortfall = service.shortfall(request, answer)
        except EndpointError:
            raise
        except Exception as error:  # an adapter must not take the file down with it
            detail = f"{type(error).__name__} while reading the answer: {clean_text(str(error))}"
            raise EndpointError(Failure.REFUSED, detail, maybe_charged=True) from error
        return Reading(readings, shortfall)

    def _landed(self, flight: asyncio.Task[Delivered]) -> None:
        del self._flights[flight]
        if not flight.cancelled():
            flight.exception()  # looked at here, since whoever asked may be gone

    async def _turn(self, size_bytes: int) -> SlotId:
        """Wait for a slot. Raises NotSentError as soon as the service is stopped."""
        return await self._unless_closed(self._meters.limiter.acquire(self._name, size_bytes))

    async def _unless_closed(self, waiting_for: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(0 if self._closed else None) as waiting:
                self._waiting.add(waiting)
                try:
                    return await waiting_for
                finally:
                    self._waiting.discard(waiting)
        except TimeoutError:
            self._check_open()
            raise

    def _wake(self) -> None:
        woken, self._waiting = self._waiting, set()  # each once: a time-out that expires cannot be moved again
        for waiting in woken:
            waiting.reschedule(asyncio.get_running_loop().time())

    @property
    def _closed(self) -> Shortfall | None:
        return self.stopped or self._gate.shut

    async def _check_startable(self, reservation: ReservationId) -> None:
        self._check_open()
        if not await self._meters.budget.may_start(reservation):
            raise self._budget_used_up()

    def _budget_used_up(self) -> NotSentError:
        self.broke = Shortfall(Reason.BUDGET, f"not asked: the token budget for {self._name} is used up")
        return NotSentError(self.broke)

    def _check_open(self) -> None:
        closed = self._closed
        if closed is not None:
            raise NotSentError(closed)

    async def _deliver(self, request: Request, keys: list[str], slot: SlotId, reservation: ReservationId) -> Delivered:
        """Send once and keep the answer. Gives slot and reservation back on every way out."""
        feedback, retry_after_s = Feedback.TROUBLED, None
        charged = request.tokens_max  # until we know better: cancelled or broken in mid-flight it may have been charged
        ledger = self._meters.ledger
        try:
            await ledger.sending(self._meters.run_id, request, keys)
            sent_at, sent_s = datetime.now(UTC), self._meters.clock.now()
            try:
                answer = await self._submit(request)
                charged, retry_after_s = answer.tokens_charged, answer.rest_s
                self.charged_tokens += charged
                await _check_same(request, answer)
                reading = self._read_fresh(request, answer)
            except EndpointError as error:
                feedback = _FEEDBACK[error.failure]
                if error.retry_after_s is not None:  # an answer that cannot be read said it as well
                    retry_after_s = error.retry_after_s
                if not error.maybe_charged:
                    charged = 0
                self._learn(error, keys)
                told = clean_text(error.detail)
                await ledger.failed(request.request_id, maybe_charged=charged > 0, error=told, tokens=charged)
                raise
            latency_ms = (self._meters.clock.now() - sent_s) * 1000.0
            answered_at = datetime.now(UTC)
            await ledger.answered(request.request_id, keys, answer, latency_ms, answered_at)
            feedback = Feedback.ANSWERED
            return Delivered(answer, reading, sent_at, answered_at, latency_ms)
        finally:
            await self._meters.limiter.release(slot, feedback, retry_after_s)
            await self._meters.budget.settle(reservation, charged)

    def _learn(self, error: EndpointError, keys: Iterable[str]) -> None:
        """Keep what a failure means for those who ask later."""
        if error.failure is Failure.FATAL:
            detail = f"not asked: {self._name} refused for good: {clean_text(error.detail)}"
            self.stop(Shortfall(Reason.ENDPOINT_STOPPED, detail))
        elif isinstance(error, OutdatedError):
            return  # the same content may lie elsewhere too, where it can be asked about
        elif error.failure is Failure.REFUSED and error.maybe_charged:
            is_ours = isinstance(error, UnreadableError)
            why = unrecognised(self._name, error) if is_ours else refused(self._name, error)
            self.in_vain.update(dict.fromkeys(keys, why))

    def _read_fresh(self, request: Request, answer: Answer) -> Reading:
        try:
            return self.read(request, answer)
        except EndpointError as error:
            raise UnreadableError(error, answer) from error

    async def _submit(self, request: Request) -> Answer:
        try:
            return await self._service.submit(request)
        except EndpointError:
            raise
        except Exception as error:  # an adapter must not take the scan down with it
            detail = f"{type(error).__name__}: {clean_text(str(error))}"
            raise EndpointError(Failure.REFUSED, detail, maybe_charged=True) from error


async def _check_same(request: Request, answer: Answer) -> None:
    """Raise OutdatedError where a file that the service pulled itself is, or may be, another by now."""
    for sample in request.samples:
        if isinstance(sample, WholeFile) and sample.check_same is not None:
            try:
                await sample.check_same()
            except FetchError as error:
                raise OutdatedError(error, answer) from error
