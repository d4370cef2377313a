"""An event loop in which waiting takes no time: when nobody can run, the clock jumps to the next one who can."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


class StuckError(Exception):
    """Everybody waits for something that will never come."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError
        self.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Counts virtual seconds, from a million on, so that rounding is as coarse as on a machine long up."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class FakeClock:
    """The virtual loop's time as a `Clock`."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def now() -> float:
    """Return the running loop's virtual seconds."""
    return asyncio.get_running_loop().time()


async def settle() -> None:
    """Let everybody run who can without time passing."""
    for _ in range(10):
        await asyncio.sleep(0)


def run_virtual(main: Coroutine[object, object, _T]) -> _T:
    """Run `main` in virtual time. Raises StuckError where it can never end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
