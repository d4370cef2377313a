"""Calls that block, in threads, for who may stop waiting for them; what blocks there then ends at once.

A coroutine that waits for a thread can be cancelled, the thread cannot: it goes on, and the process waits for it at its
end. So whatever may take long in such a thread, a pause or an answer from elsewhere, is waited for here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class GivenUpError(Exception):
    """Nobody waits any more for what this thread does."""


class _Waiter:
    """Whoever waits for what a thread does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_left = threading.Event()
        self._awaited: set[Future[Any]] = set()

    def leave(self) -> None:
        self._has_left.set()
        with self._lock:
            awaited = [*self._awaited]
        for future in awaited:
            future.cancel()

    def pause(self, seconds: float) -> None:
        if self._has_left.wait(seconds):
            raise GivenUpError

    def result(self, future: Future[T]) -> T:
        with self._lock:
            self._awaited.add(future)
        try:
            if self._has_left.is_set():
                future.cancel()
            return future.result()
        except CancelledError:
            if self._has_left.is_set():
                raise GivenUpError from None
            raise
        finally:
            with self._lock:
                self._awaited.discard(future)


_WAITER: Final[ContextVar[_Waiter | None]] = ContextVar("waiter", default=None)


async def aside(call: Callable[..., T], *args: object) -> T:
    """As `asyncio.to_thread`; where this is cancelled, `pause` and `result_of` in the thread raise `GivenUpError`."""
    waiter = _Waiter()

    def run() -> T:
        _WAITER.set(waiter)  # in the thread's own copy of the context
        return call(*args)

    try:
        return await asyncio.to_thread(run)
    except asyncio.CancelledError:
        waiter.leave()
        raise


def pause(seconds: float) -> None:
    """Sleep. Raises GivenUpError where nobody waits any more."""
    waiter = _WAITER.get()
    if waiter is None:
        time.sleep(seconds)
    else:
        waiter.pause(seconds)


def result_of(future: Future[T]) -> T:
    """Wait for a result from another thread. Raises GivenUpError, and cancels it, where nobody waits any more."""
    waiter = _WAITER.get()
    return future.result() if waiter is None else waiter.result(future)
