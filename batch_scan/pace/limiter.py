"""When the next request to a service may go: rate, bytes, concurrency and pauses, first come, first served.

Four things are asked, in this order: is there room under the concurrency limit, is the service's pause over, has the
rate recovered, have the bytes. The first in the queue waits for all four; the others wait for it. Nothing polls: a
request that comes back, a changed rate or one timer for the head of the queue is what moves it.

The further calls of a request that is in flight (polls, follow-ups) go first and hold no slot of their own: were they
to wait behind requests that wait for a slot, none would ever come free.

The rate holds in every minute: none, wherever it begins, sees more than the rate and `burst - 1` requests. A timer
that fires late (a millisecond on an idle machine, many on a busy one, and at 80 requests a second there are only 12)
must not cost rate: a request that waited is counted from when it could have gone, `MOST_LATE_S` before it did at most.
So the counted times keep their distance, and the true ones lie at most that much behind them: a window of `T` seconds
sees no more than `T + MOST_LATE_S` seconds of counted ones. What a minute would see too much by that, and by requests
whose way to the service takes longer than that of others, is taken off the rate: 7 requests in 1,000.

A service that asks for a pause gets it as a whole, and no second one that ends earlier shortens it. Pauses are capped
at `MAX_PAUSE_S`: what a vendor sends is not trusted to stop a run for a day, and requests whose Retry-After lies
beyond their own time have been given up by then.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.pace.concurrency import ConcurrencyController
from batch_scan.pace.interface import Feedback, Limiter, SlotId
from batch_scan.pace.meter import Meter
from batch_scan.pace.retry import rate_pause_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.config import PaceTable
    from batch_scan.pace.clock import Clock

MAX_PAUSE_S = 900.0
"""The longest pause a single answer can cause."""
MOST_LATE_S = 0.02
"""How late a request may go and be counted as if it had gone in time."""
_UNEVEN_S = 0.38
"""What the way from here to the service may take longer for one request than for another."""
MINUTE_S = 60.0 + MOST_LATE_S + _UNEVEN_S
"""Seconds over which the requests of a minute are spread."""
_NOBODY_WAITED_S = float("inf")
_SHORTEST_SLEEP_S = 1e-6  # timers fire up to a nanosecond early; sleeping less than that would spin

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one slot holds, so that it can be given back."""

    number: int
    episode: int
    requests_before_s: float
    bytes_before_s: float


@dataclass(frozen=True, slots=True)
class _Waiter:
    size_bytes: int
    granted: asyncio.Future[_Grant]


class ServiceLimiter:
    """The pace of one service. Belongs to one event loop."""

    def __init__(self, name: str, limit: PaceTable, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._own_rate_per_minute = limit.requests_per_minute
        self._requests = Meter(limit.requests_per_minute / MINUTE_S, limit.burst)
        self._bytes = Meter(limit.bytes_per_second, limit.bytes_per_second)
        self._controller = ConcurrencyController(limit.concurrency, clock.now())
        self._waiters: deque[_Waiter] = deque()
        self._further: deque[_Waiter] = deque()
        self._numbers = itertools.count()
        self._latest_grant = -1
        self._paused_until_s = clock.now()
        self._unhinted_pauses = 0
        self._timer: asyncio.Task[None] | None = None
        self._timer_at_s = 0.0

    @property
    def requests_per_minute(self) -> float:
        """The rate in force; 0 = none."""
        return self._requests.rate * MINUTE_S

    @property
    def concurrency(self) -> int:
        """Requests that may be in flight now."""
        return self._controller.limit

    @property
    def in_flight(self) -> int:
        """Requests that are in flight now."""
        return self._controller.in_flight

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiters)

    def set_rate(self, requests_per_minute: float) -> None:
        """Take over the service's own rate: the lower of it and the user's, whichever is given."""
        rates = [rate for rate in (self._own_rate_per_minute, requests_per_minute) if rate > 0]
        self._requests.change_rate(min(rates, default=0.0) / MINUTE_S, self._requests.capacity, self._clock.now())
        self._latest_grant = -1  # what it would put back was measured at the old rate
        self._pump()

    async def acquire(self, size_bytes: int) -> _Grant:
        """Wait in the queue until a request of this size may go; a cancelled wait leaves no trace."""
        waiter = _Waiter(size_bytes, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._pump()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.cancelled():
                self._waiters.remove(waiter)
                self._pump()
            else:
                self.release(waiter.granted.result(), Feedback.NOT_SENT, None)
            raise

    async def pace(self, size_bytes: int) -> None:
        """Wait until one more call of a request in flight may go; before all that wait for a slot."""
        waiter = _Waiter(size_bytes, asyncio.get_running_loop().create_future())
        self._further.append(waiter)
        self._pump()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter in self._further:
                self._further.remove(waiter)
                self._pump()
            raise

    def release(self, grant: _Grant, feedback: Feedback, retry_after_s: float | None) -> None:
        """Take a slot back and learn from how it went."""
        now_s = self._clock.now()
        if feedback is Feedback.NOT_SENT and grant.number == self._latest_grant:
            self._requests.put_back(grant.requests_before_s)
            self._bytes.put_back(grant.bytes_before_s)
            self._latest_grant = -1
        if feedback is Feedback.ANSWERED:
            self._unhinted_pauses = 0
        new_episode = self._controller.returned(grant.episode, feedback, now_s)
        if retry_after_s is not None:
            self._pause(now_s, retry_after_s)
        elif new_episode:
            self._unhinted_pauses += 1
            self._pause(now_s, rate_pause_s(self._unhinted_pauses))
        if new_episode:
            _log.info(
                "%s asked for fewer requests: %d at a time, next in %.1f s",
                self._name,
                self._controller.limit,
                max(0.0, self._paused_until_s - now_s),
            )
        self._pump()

    def _pause(self, now_s: float, seconds: float) -> None:
        self._paused_until_s = max(self._paused_until_s, now_s + min(max(seconds, 0.0), MAX_PAUSE_S))

    def _pump(self, waited_from_s: float | None = None) -> None:
        """Let go whatever may go now, and set the timer for what may go later.

        Args:
            waited_from_s: the time for which the timer was set that has fired; None = it may be about to.
        """
        if waited_from_s is None:
            waited_from_s = self._timer_at_s if self._timer is not None else _NOBODY_WAITED_S
        while (queue := self._next_queue()) is not None:
            waiter = queue[0]
            if waiter.granted.done():  # cancelled, and about to leave the queue by itself
                break
            now_s, ready_at_s = self._clock.now(), self._ready_at_s(waiter.size_bytes)
            if now_s < ready_at_s:
                self._wake_at(ready_at_s)
                return
            queue.popleft()
            if ready_at_s >= waited_from_s:
                now_s = max(ready_at_s, now_s - MOST_LATE_S)
            waiter.granted.set_result(self._grant(waiter.size_bytes, now_s, with_slot=queue is self._waiters))
        self._cancel_timer()

    def _next_queue(self) -> deque[_Waiter] | None:
        if self._further:
            return self._further
        return self._waiters if self._waiters and self._controller.has_room else None

    def _ready_at_s(self, size_bytes: int) -> float:
        return max(self._paused_until_s, self._requests.ready_at_s(1.0), self._bytes.ready_at_s(size_bytes))

    def _grant(self, size_bytes: int, now_s: float, *, with_slot: bool) -> _Grant:
        self._latest_grant = next(self._numbers)
        return _Grant(
            number=self._latest_grant,
            episode=self._controller.started() if with_slot else 0,
            requests_before_s=self._requests.take(1.0, now_s),
            bytes_before_s=self._bytes.take(size_bytes, now_s),
        )

    def _wake_at(self, at_s: float) -> None:
        if self._timer is not None and self._timer_at_s == at_s:
            return
        self._cancel_timer()
        self._timer_at_s = at_s
        self._timer = asyncio.get_running_loop().create_task(self._wake(at_s), name=f"pace of {self._name}")

    async def _wake(self, at_s: float) -> None:
        await self._clock.sleep(max(at_s - self._clock.now(), _SHORTEST_SLEEP_S))
        self._timer = None
        self._pump(at_s)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LocalLimiter(Limiter):
    """The limiter of a run on one machine: one `ServiceLimiter` per service."""

    def __init__(self, limits: Mapping[str, PaceTable], clock: Clock) -> None:
        self._services = {name: ServiceLimiter(name, limit, clock) for name, limit in limits.items()}
        self._slots: dict[SlotId, tuple[ServiceLimiter, _Grant]] = {}
        self._numbers = itertools.count(1)

    async def acquire(self, service: str, size_bytes: int) -> SlotId:
        """See `Limiter.acquire`. Raises KeyError for a service that was not announced."""
        limiter = self._services[service]
        grant = await limiter.acquire(size_bytes)
        slot = SlotId(next(self._numbers))
        self._slots[slot] = limiter, grant
        return slot

    async def pace(self, service: str, size_bytes: int) -> None:
        """See `Limiter.pace`."""
        await self._services[service].pace(size_bytes)

    async def release(self, slot: SlotId, feedback: Feedback, retry_after_s: float | None = None) -> None:
        """See `Limiter.release`. Raises KeyError for a slot that is not held."""
        limiter, grant = self._slots.pop(slot)
        limiter.release(grant, feedback, retry_after_s)

    async def set_rate(self, service: str, requests_per_minute: float) -> None:
        """See `Limiter.set_rate`: the lower of the user's and the service's rate; 0 = the service says nothing."""
        self._services[service].set_rate(requests_per_minute)

    def of(self, service: str) -> ServiceLimiter:
        """Return the limiter of one service, to show how it is doing."""
        return self._services[service]
