"""Whether tokens may still be spent: what a request can cost at most is set aside before it goes, and settled after.

Checking and then spending would overshoot by whatever is in flight. So a `cautious` budget counts what is set aside
as if it were spent, and never exceeds its limit (as long as no service charges more than its adapter quoted). A
`soft` one counts only what is settled: it starts nothing new once that reaches the limit, and what is in flight then
may exceed it.

A reservation that does not fit a cautious budget waits as long as settlements in flight could make room for it. So
whoever holds a reservation settles it before reserving again; holding one while waiting for another would be a
deadlock. Waiting reservations are looked at in their order; one that fits at once does not queue behind them.
Requests that cost nothing always pass.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, assert_never

from batch_scan.endpoint.config import WhenReached
from batch_scan.pace.interface import Budget, ReservationId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.config import BudgetTable


class _Fit(Enum):
    """Whether tokens fit into a purse."""

    NOW = auto()
    PERHAPS_LATER = auto()
    NEVER = auto()


@dataclass(slots=True)
class _Purse:
    """One budget: what is spent, and what may yet be."""

    table: BudgetTable
    spent: int = 0
    reserved: int = 0

    def fit(self, tokens: int) -> _Fit:
        limit = self.table.tokens
        if limit is None or tokens == 0:
            return _Fit.NOW
        match self.table.when_reached:
            case WhenReached.SOFT:
                return _Fit.NOW if self.spent < limit else _Fit.NEVER
            case WhenReached.CAUTIOUS if self.spent + self.reserved + tokens <= limit:
                return _Fit.NOW
            case WhenReached.CAUTIOUS:
                return _Fit.PERHAPS_LATER if self.spent + tokens <= limit else _Fit.NEVER
            case _:
                assert_never(self.table.when_reached)

    @property
    def is_overtaken(self) -> bool:
        """A soft one that others have spent meanwhile."""
        limit = self.table.tokens
        return limit is not None and self.table.when_reached is WhenReached.SOFT and self.spent >= limit


@dataclass(frozen=True, slots=True)
class _Reservation:
    service: str
    purses: tuple[_Purse, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Waiter:
    service: str
    purses: tuple[_Purse, ...]
    tokens: int
    decided: asyncio.Future[ReservationId | None]


class LocalBudget(Budget):
    """The budgets of a run on one machine: one for the run, one per service that has its own.

    Args:
        run: the run's budget.
        services: budgets of single services; both must have room.
        spent: tokens already charged to this run, per service, where it is being continued.
    """

    def __init__(
        self, run: BudgetTable, services: Mapping[str, BudgetTable], spent: Mapping[str, int] | None = None
    ) -> None:
        self._spent = dict(spent or {})
        self._run = _Purse(run, spent=sum(self._spent.values()))
        self._purses = {name: _Purse(table, self._spent.get(name, 0)) for name, table in services.items()}
        self._open: dict[ReservationId, _Reservation] = {}
        self._waiters: dict[int, _Waiter] = {}
        self._numbers = itertools.count(1)

    def spent(self, service: str | None = None) -> int:
        """Return the tokens settled for one service or, without one, for the run; earlier parts of the run included."""
        return self._run.spent if service is None else self._spent.get(service, 0)

    async def reserve(self, service: str, tokens: int) -> ReservationId | None:
        """See `Budget.reserve`. A cancelled wait leaves no trace. Raises ValueError for less than no tokens."""
        if tokens < 0:
            raise ValueError(f"cannot reserve {tokens} tokens")
        own = self._purses.get(service)
        purses = (self._run,) if own is None else (self._run, own)
        waiter = _Waiter(service, purses, tokens, asyncio.get_running_loop().create_future())
        if self._decide(waiter):
            return waiter.decided.result()
        number = next(self._numbers)
        self._waiters[number] = waiter
        try:
            return await waiter.decided
        except asyncio.CancelledError:
            granted = None if waiter.decided.cancelled() else waiter.decided.result()
            if granted is not None:
                self._settle(granted, 0)
            raise
        finally:
            self._waiters.pop(number, None)

    async def may_start(self, reservation: ReservationId) -> bool:
        """See `Budget.may_start`. What a cautious budget has set aside is there. Raises KeyError if it is not open."""
        held = self._open[reservation]
        return not (held.tokens and any(purse.is_overtaken for purse in held.purses))

    async def settle(self, reservation: ReservationId, tokens_charged: int) -> None:
        """See `Budget.settle`. Raises KeyError for a reservation that is not open, ValueError for a negative charge."""
        if tokens_charged < 0:
            raise ValueError(f"cannot settle {tokens_charged} tokens")
        self._settle(reservation, tokens_charged)

    def _settle(self, number: ReservationId, tokens_charged: int) -> None:
        reservation = self._open.pop(number)
        for purse in reservation.purses:
            purse.reserved -= reservation.tokens
            purse.spent += tokens_charged
        self._spent[reservation.service] = self._spent.get(reservation.service, 0) + tokens_charged
        for key, waiter in list(self._waiters.items()):
            if waiter.decided.done() or self._decide(waiter):
                self._waiters.pop(key, None)

    def _decide(self, waiter: _Waiter) -> bool:
        """Grant or refuse if that can be said now; False where it depends on what is in flight."""
        fits = [purse.fit(waiter.tokens) for purse in waiter.purses]
        if _Fit.NEVER in fits:
            waiter.decided.set_result(None)
            return True
        if _Fit.PERHAPS_LATER in fits:
            return False
        number = ReservationId(next(self._numbers))
        self._open[number] = _Reservation(waiter.service, waiter.purses, waiter.tokens)
        for purse in waiter.purses:
            purse.reserved += waiter.tokens
        waiter.decided.set_result(number)
        return True
