"""The threads in which the embedded models run, pictures, speech and text alike: one per core.

Each piece of work (a picture, a chunk of sound, a batch of words) takes one of them, whichever file it came from, so
that files with a picture each keep as many cores busy as one long film, and no more threads run than there are cores.
The event loop never waits for a model.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CORES: Final = len(os.sched_getaffinity(0))

_POOL: Final = ThreadPoolExecutor(max_workers=CORES, thread_name_prefix="models")


async def run(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work` in the next thread that is free, after what was asked before it.

    Args:
        work: gets a function that says whether its result is unwanted; long work asks now and then, and returns early.

    Raises:
        Whatever `work` raises. Cancelling drops work that has not begun, and tells work that has.
    """
    unwanted = threading.Event()
    future = _POOL.submit(work, unwanted.is_set)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        unwanted.set()
        raise


class Share:
    """At most so many of the threads at a time, for one service; in each event loop of those that use it."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `run`."""
        loop, turns = asyncio.get_running_loop(), self._turns
        if turns is None or turns[0] is not loop:  # a sandbox's judge is asked from a loop of its own each time
            turns = self._turns = loop, asyncio.Semaphore(self._threads)
        async with turns[1]:
            return await run(work)
