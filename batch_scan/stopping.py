"""How SIGINT and SIGTERM end a scan: the first saves what there is, the second waits for nothing more."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from batch_scan.totals import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_log = logging.getLogger(__name__)

UNWIND_S: Final = 5.0
"""How long a scan that was cancelled may take to close what it has open, before the process is left as it is."""
_EXITS: Final = {signal.SIGINT: int(Exit.INTERRUPTED), signal.SIGTERM: int(Exit.TERMINATED)}


def run_until_signal(
    run: Callable[[asyncio.Event], Coroutine[Any, Any, T]], has_begun: Callable[[], bool], leave: Callable[[int], None]
) -> tuple[T | None, int]:
    """Run until the end; return the outcome, and the exit code of the first signal, 0 where none came.

    A scan that has begun is told to stop and saves its state; one that still waits, for the lock of another run or
    for a service to answer, has nothing to save and ends at once, without an outcome. So does any at the second signal:
    it is cancelled, and where even that gets stuck, in a thread that waits for a bucket or a disk, the process is left
    as a kill would leave it. Answers that came are in the ledger by then; rows that were not published are made of
    them when the same command goes on.

    Args:
        run: the scan; it is given the event that is set where it should stop.
        has_begun: tells whether there is something to save.
        leave: ends the process with an exit code, at once; called in another thread.
    """
    signals = _Signals(has_begun, leave)
    try:
        return asyncio.run(signals.watch(run)), signals.exit_code
    finally:
        signals.forget()


class _Signals:
    """What signals came, and what they bring about."""

    def __init__(self, has_begun: Callable[[], bool], leave: Callable[[int], None]) -> None:
        self._has_begun = has_begun
        self._leave = leave
        self._last_resort: threading.Timer | None = None
        self.exit_code = 0

    async def watch(self, run: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T | None:
        """Return the outcome of a run; None where it was cancelled over a signal."""
        stop = asyncio.Event()
        running = asyncio.ensure_future(run(stop))
        loop = asyncio.get_running_loop()
        for number in _EXITS:
            loop.add_signal_handler(number, self._catch, number, stop, running)
        try:
            return await running
        except asyncio.CancelledError:
            if not self.exit_code:
                raise
            return None

    def forget(self) -> None:
        """Let the process end in its own time: everything is closed."""
        if self._last_resort is not None:
            self._last_resort.cancel()

    def _catch(self, number: signal.Signals, stop: asyncio.Event, running: asyncio.Future[T]) -> None:
        if self.exit_code:
            self._give_up(number, running)
            return
        self.exit_code = _EXITS[number]
        stop.set()
        if self._has_begun():
            _log.info("%s: finishing what is in flight; the same command goes on where this run stops", number.name)
        else:
            _log.info("%s: nothing was scanned yet", number.name)
            running.cancel()

    def _give_up(self, number: signal.Signals, running: asyncio.Future[T]) -> None:
        _log.warning(
            "%s again: ending without waiting any longer; every answer that came is kept, what is in flight may be "
            "asked again, and the same command goes on",
            number.name,
        )
        running.cancel()
        if self._last_resort is None:
            self._last_resort = threading.Timer(UNWIND_S, self._leave, [self.exit_code])
            self._last_resort.daemon = True
            self._last_resort.start()
