"""Evidence that goes to a bucket: put by a few threads, so that nobody waits for a thumbnail to cross the line.

What is kept already is listed once for each of the 256 directories of `EvidenceStore`, when it is first asked for: a
re-judged archive asks of every finding whether its picture is there. Where the bucket is slow or throttles, who puts
and who asks waits, and the event loop goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, InvalidStateError, ThreadPoolExecutor, wait
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from batch_scan.aside import aside
from batch_scan.report.evidence import EvidenceStore, cannot_keep
from batch_scan.report.store import publish_bytes, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batch_scan.report.store import Place, ReportStore

_PUTS_AT_ONCE = 4
_MOST_WAITING = 64
"""Pictures of at most a few hundred kilobytes, and clips of at most a few megabytes."""


def evidence_of(place: Place) -> EvidenceStore:
    """Return the evidence of a report as its place wants it kept."""
    store = store_of(place)
    return QueuedEvidence(store) if store.is_remote else EvidenceStore(store)


class QueuedEvidence(EvidenceStore):
    """Keeps evidence in the background; `settle` waits for it. Put and asked for in one event loop."""

    def __init__(self, store: ReportStore) -> None:
        """Keep evidence below the report in a store whose calls take their time."""
        super().__init__(store)
        self._pool = ThreadPoolExecutor(_PUTS_AT_ONCE, "evidence")
        self._turn = asyncio.Lock()
        """Held while a directory is listed or room is waited for: one thread of those that all share, and no more
        waiting than is allowed."""
        self._known: dict[PurePosixPath, set[str]] = {}
        self._guard = threading.Lock()
        self._waiting: set[Future[None]] = set()

    async def find(self, names: Sequence[str], suffix: str) -> list[str]:
        """See `EvidenceStore.find`. What was put is found though it may still be on its way. Raises BatchScanError."""
        paths = [self.path_for(name, suffix) for name in names]
        unlisted = {PurePosixPath(path).parent for path in paths} - self._known.keys()
        if unlisted:
            async with self._turn:
                for directory in sorted(unlisted):
                    await self._names_in(directory)
        return [path if path in self._known[PurePosixPath(path).parent] else "" for path in paths]

    async def put(self, name: str, data: bytes, suffix: str) -> str:
        """See `EvidenceStore.put`. Waits only where many others wait; what fails is raised by a later `put`."""
        relative = self.path_for(name, suffix)
        key = PurePosixPath(relative)
        async with self._turn:
            names = await self._names_in(key.parent)
            if relative not in names:
                await self._room()
                future = self._pool.submit(publish_bytes, self._store, key, data)
                with self._guard:
                    self._waiting.add(future)
                names.add(relative)  # at once: what is found is waited for before a row names it
        return relative

    def settle(self) -> None:
        """See `EvidenceStore.settle`. Does not wait for what is put meanwhile."""
        wait(self._unkept(), return_when=FIRST_EXCEPTION)
        self._unkept()

    def close(self) -> None:
        """Give up what still waits, and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _room(self) -> None:
        """Wait until another one may wait. Raises BatchScanError as `_unkept`."""
        while len(left := self._unkept()) >= _MOST_WAITING:
            await asyncio.wrap_future(_first_of(left))

    def _unkept(self) -> set[Future[None]]:
        """Return what is not kept yet.

        Raises BatchScanError where one of them failed, again and again: a row that names it must never be published.
        """
        with self._guard:
            done = {future for future in self._waiting if future.done()}
            failed = next((future.exception() for future in done if future.exception() is not None), None)
            if failed is None:
                self._waiting -= done
            left = set(self._waiting)
        if failed is not None:
            raise (cannot_keep(self._store, failed) if isinstance(failed, OSError) else failed) from failed
        return left

    async def _names_in(self, directory: PurePosixPath) -> set[str]:
        if directory not in self._known:
            try:
                self._known[directory] = set(map(str, await aside(self._store.keys, directory)))
            except OSError as error:
                raise cannot_keep(self._store, error) from error
        return self._known[directory]


def _first_of(futures: Iterable[Future[None]]) -> Future[None]:
    """Return what is done as soon as one of them is, however that one ends."""
    first = Future[None]()

    def tell(_: Future[None]) -> None:
        with contextlib.suppress(InvalidStateError):  # told already, or nobody waits any more
            first.set_result(None)

    for future in futures:
        future.add_done_callback(tell)
    return first
