from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.local import worker

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_work_is_done_in_one_thread_that_is_not_the_callers() -> None:
    names = await asyncio.gather(*(worker.run(lambda _: threading.get_ident()) for _ in range(20)))
    assert len(set(names)) == 1
    assert names[0] != threading.get_ident()


async def test_what_work_raises_reaches_who_asked() -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda _: 1 // 0)


async def test_cancelling_tells_work_that_has_begun() -> None:
    begun, noticed = threading.Event(), threading.Event()

    def work(is_unwanted: Callable[[], bool]) -> None:
        begun.set()
        while not is_unwanted():
            pass
        noticed.set()

    task = asyncio.ensure_future(worker.run(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(noticed.wait, 10)


async def test_cancelling_drops_work_that_has_not_begun() -> None:
    release, done = threading.Event(), []
    first = asyncio.ensure_future(worker.run(lambda _: release.wait()))
    second = asyncio.ensure_future(worker.run(lambda _: done.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first
    await worker.run(lambda _: done.append("third"))
    assert done == ["third"]
