"""A report writer for the event loop: what may take long is done in a thread, one thing at a time.

Publishing to a bucket that throttles takes minutes. The event loop must go on meanwhile, or answers that are paid for
would time out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from batch_scan.errors import BatchScanError
from batch_scan.shielded import shielded

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_scan.model import FileResult, RunRow
    from batch_scan.report.evidence import EvidenceStore
    from batch_scan.report.writer import ReportWriter

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class ReportFeed:
    """Feeds a writer. What is published never names evidence that is not kept yet."""

    def __init__(self, writer: ReportWriter, evidence: EvidenceStore | None = None) -> None:
        """Feed `writer`, which nobody else uses from now on; `evidence` is settled before every publishing."""
        self._writer = writer
        self._evidence = evidence
        self._turn = asyncio.Lock()

    async def settled(self) -> None:
        """Return when nothing is being published; until the next `await` it stays so."""
        async with self._turn:
            pass

    def take(self, result: FileResult) -> None:
        """Take one item's results, at once and as a whole. Called right after `settled`."""
        self._writer.take(result)

    async def flush_if_due(self) -> None:
        """Publish what waits, where a limit is reached. Raises BatchScanError."""
        async with self._turn:
            if self._writer.is_due:
                await in_thread(self._flush)

    async def finish(self, run: RunRow) -> None:
        """Publish what waits and replace the run's row. Raises BatchScanError."""
        async with self._turn:
            await in_thread(lambda: self._finish(run))

    def _flush(self) -> None:
        if self._evidence is not None:
            self._evidence.settle()
        self._writer.flush()

    def _finish(self, run: RunRow) -> None:
        self._flush()
        self._writer.finish(run)


async def in_thread(work: Callable[[], _T]) -> _T:
    """Do work of a writer in a thread, to its end also where we are cancelled.

    A half-done flush must not meet another one, nor go on where the lease of the report was given back. What goes wrong
    with it then is told in the log, since whoever asked is gone.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await shielded(working)
    except asyncio.CancelledError:
        working.add_done_callback(_tell_failure)
        await asyncio.wait([working])
        raise


def _tell_failure(working: asyncio.Future[Any]) -> None:
    if not working.cancelled() and (error := working.exception()) is not None:
        known = isinstance(error, BatchScanError)
        _log.warning("what was under way at the stop has failed: %s", error, exc_info=None if known else error)
