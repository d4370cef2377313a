"""The one thread in which the embedded models run, pictures, speech and text alike.

One at a time and each with all the threads it was given: models side by side would only fight for the same cores. The
event loop never waits for a model.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_POOL: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")


async def run(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work` in the models' thread, after what was asked before it.

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
