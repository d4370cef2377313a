"""So many at a time; whoever waits is let in by the file it works for, not by when it came.

Belongs to one event loop. Files are numbered in the order in which they were opened.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection


class Order(StrEnum):
    """Who is next among those who wait."""

    OLDEST = "oldest"
    """The oldest file: what was begun first is finished first."""
    SHARED = "shared"
    """The oldest file every second time, else the others one after the other: the oldest gets half of everything, and
    small files need not wait until a long one is done."""


def next_file(waiting: Collection[int], served: int, order: Order, *, is_oldests: bool) -> int:
    """Return the file whose turn it is. Pure.

    Args:
        waiting: the files that wait, at least one.
        served: the file that had the last turn that went round.
        order: how they are chosen.
        is_oldests: whether this turn belongs to the oldest where turns are shared.
    """
    match order:
        case Order.OLDEST:
            return min(waiting)
        case Order.SHARED:
            oldest = min(waiting)
            others = [] if is_oldests else [file for file in waiting if file != oldest]
            return min([file for file in others if file > served] or others or [oldest])
        case _:
            assert_never(order)


class Turns:
    """So many turns at a time."""

    def __init__(self, count: int, order: Order = Order.OLDEST) -> None:
        self._free = count
        self._order = order
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}
        self._served = -1
        self._is_oldests = True

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, file: int) -> AsyncIterator[None]:
        """Have a turn for a file; waits for it."""
        await self.acquire(file)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, file: int) -> None:
        """Wait for a turn. Cancelling gives back what was granted meanwhile."""
        if self.try_acquire():
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(file, deque()).append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            else:
                self._forget(file, granted)
            raise

    def try_acquire(self) -> bool:
        """Take a turn where one is free: nobody waits then."""
        is_free = self._free > 0
        self._free -= is_free
        return is_free

    def release(self) -> None:
        """Give a turn back."""
        self._free += 1
        while self._free and self._waiting:
            file = next_file(self._waiting, self._served, self._order, is_oldests=self._is_oldests)
            granted = self._waiting[file].popleft()
            if not self._waiting[file]:
                del self._waiting[file]
            if not granted.done():  # else cancelled, and about to forget itself
                self._grant(file, granted)

    def _grant(self, file: int, granted: asyncio.Future[None]) -> None:
        if not self._is_oldests:
            self._served = file
        self._is_oldests = not self._is_oldests
        self._free -= 1
        granted.set_result(None)

    def _forget(self, file: int, granted: asyncio.Future[None]) -> None:
        queue = self._waiting.get(file, deque())
        if granted in queue:
            queue.remove(granted)
        if not queue:
            self._waiting.pop(file, None)
