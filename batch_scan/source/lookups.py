"""Questions what lies at many URLs of buckets, a few at a time, for a thread that waits for the answers in turn.

They are asked from an event loop of their own, since only there a request that is under way can be given up.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from concurrent.futures import Future

    from batch_scan.model import Stat
    from batch_scan.source.bucket_fetch import BucketFiles

_REQUESTS_AT_ONCE = 16


class Lookups:
    """Use as a context manager, in any thread; leaving it gives up what is under way, and so does the process's end.

    A generator that nobody goes on with leaves it that late, when its thread would not answer any more.
    """

    def __init__(self, files: BucketFiles) -> None:
        self._files = files
        self._room = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="buckets", daemon=True)
        self._end = weakref.finalize(self, _end, self._loop, self._thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def submit(self, locator: str) -> Future[Stat]:
        """Ask in the background; the result raises FetchError."""
        if not self._thread.is_alive():
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._look_at(locator), self._loop)

    async def _look_at(self, locator: str) -> Stat:
        async with self._room:
            return await self._files.look_at(locator)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(_give_up())
    loop.close()


async def _give_up() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if not thread.is_alive():
        loop.close()
        return
    loop.call_soon_threadsafe(loop.stop)
    if threading.current_thread() is not thread:  # where the garbage is collected
        thread.join()
