from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from batch_scan.shielded import shielded

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def _left_by_its_waiter(work: Coroutine[None, None, int], go: asyncio.Event) -> asyncio.Task[int]:
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(shielded(task))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert not task.done()
    go.set()
    await asyncio.wait([task])
    return task


async def _after(go: asyncio.Event, *, fails: bool = False) -> int:
    await go.wait()
    if fails:
        raise ValueError("in vain")
    return 7


async def test_it_gives_what_the_task_gives() -> None:
    go = asyncio.Event()
    go.set()
    assert await shielded(asyncio.create_task(_after(go))) == 7
    with pytest.raises(ValueError, match="in vain"):
        await shielded(asyncio.create_task(_after(go, fails=True)))


async def test_a_task_that_is_cancelled_itself_cancels_who_waits() -> None:
    task = asyncio.create_task(_after(asyncio.Event()))
    waiting = asyncio.create_task(shielded(task))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_task_goes_on_where_whoever_waits_is_cancelled() -> None:
    go = asyncio.Event()
    assert (await _left_by_its_waiter(_after(go), go)).result() == 7


async def test_a_failure_that_nobody_waits_for_any_more_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    go = asyncio.Event()
    await _left_by_its_waiter(_after(go, fails=True), go)
    gc.collect()
    await asyncio.sleep(0)
    assert not caplog.records
