from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.local import worker

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_work_is_done_in_as_many_threads_as_there_are_cores_at_a_time() -> None:
    together = threading.Barrier(worker.CORES)
    names = await asyncio.gather(
        *(worker.run(lambda _: (together.wait(30), threading.get_ident())[1]) for _ in range(worker.CORES)),
        *(worker.run(lambda _: threading.get_ident()) for _ in range(20)),
    )
    assert len(set(names)) == worker.CORES
    assert threading.get_ident() not in names


async def test_a_share_is_never_exceeded_and_everybody_gets_a_turn() -> None:
    share, lock, at_once, most = worker.Share(1), threading.Lock(), 0, 0

    def work(_: Callable[[], bool]) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        with lock:
            at_once -= 1

    await asyncio.gather(*(share.run(work) for _ in range(50)))
    assert (most, at_once) == (1, 0)


def test_a_share_may_be_used_from_one_loop_after_the_other() -> None:
    share = worker.Share(1)

    async def crowd() -> list[int]:
        return await asyncio.gather(*(share.run(lambda _: 1) for _ in range(5)))

    assert [sum(asyncio.run(crowd())) for _ in range(3)] == [5, 5, 5]


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
    first = asyncio.gather(*(worker.run(lambda _: release.wait()) for _ in range(worker.CORES)))
    second = asyncio.ensure_future(worker.run(lambda _: done.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first
    await worker.run(lambda _: done.append("third"))
    assert done == ["third"]
