"""Waiting for a task that goes on where whoever waits is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

T = TypeVar("T")


async def shielded(task: asyncio.Future[T]) -> T:
    """Return what a task comes to, or raise what it raises; it goes on where this is cancelled.

    Unlike `asyncio.shield`, which from Python 3.14 on logs the failure of such a task with its traceback: by then it is
    nobody's news, or somebody else's.
    """
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(_look_at)
        raise
    return task.result()


def _look_at(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
