"""Evidence that goes to a bucket: put by a few threads, so that nobody waits for a thumbnail to cross the line.

What is kept already is listed once for each of the 256 directories of `EvidenceStore`, when it is first asked for: a
re-judged archive asks of every finding whether its picture is there.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from batch_scan.report.evidence import EvidenceStore, cannot_keep
from batch_scan.report.store import publish_bytes, store_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from batch_scan.report.store import Place, ReportStore

_PUTS_AT_ONCE = 4
_MOST_WAITING = 64
"""Pictures of at most a few hundred kilobytes, and clips of at most a few megabytes."""


def evidence_of(place: Place) -> EvidenceStore:
    """Return the evidence of a report as its place wants it kept."""
    store = store_of(place)
    return QueuedEvidence(store) if store.is_remote else EvidenceStore(store)


class QueuedEvidence(EvidenceStore):
    """Keeps evidence in the background; `settle` waits for it. Put and asked for by one thread."""

    def __init__(self, store: ReportStore) -> None:
        """Keep evidence below the report in a store whose calls take their time."""
        super().__init__(store)
        self._pool = ThreadPoolExecutor(_PUTS_AT_ONCE, "evidence")
        self._known: dict[PurePosixPath, set[str]] = {}
        self._guard = threading.Lock()
        self._waiting: set[Future[None]] = set()

    def find(self, name: str, suffix: str) -> str:
        """See `EvidenceStore.find`. What was put is found though it may still be on its way. Raises BatchScanError."""
        relative = self.path_for(name, suffix)
        return relative if relative in self._names_beside(PurePosixPath(relative)) else ""

    def put(self, name: str, data: bytes, suffix: str) -> str:
        """See `EvidenceStore.put`. Waits only where many others wait; what fails is raised by a later `put`."""
        relative = self.path_for(name, suffix)
        names = self._names_beside(PurePosixPath(relative))
        if relative not in names:
            names.add(relative)
            self._collect(_MOST_WAITING - 1)
            future = self._pool.submit(publish_bytes, self._store, PurePosixPath(relative), data)
            with self._guard:
                self._waiting.add(future)
        return relative

    def settle(self) -> None:
        """See `EvidenceStore.settle`. May be called by another thread."""
        self._collect(0)

    def close(self) -> None:
        """Give up what still waits, and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self, most: int) -> None:
        """Wait until at most so many wait.

        Raises BatchScanError where one of them failed, again and again: a row that names it must never be published.
        """
        while True:
            with self._guard:
                done = {future for future in self._waiting if future.done()}
                failed = next((future.exception() for future in done if future.exception() is not None), None)
                if failed is None:
                    self._waiting -= done
                left = set(self._waiting)
            if failed is not None:
                raise (cannot_keep(self._store, failed) if isinstance(failed, OSError) else failed) from failed
            if len(left) <= most:
                return
            wait(left, return_when=FIRST_COMPLETED)

    def _names_beside(self, key: PurePosixPath) -> set[str]:
        if key.parent not in self._known:
            try:
                self._known[key.parent] = set(map(str, self._store.keys(key.parent)))
            except OSError as error:
                raise cannot_keep(self._store, error) from error
        return self._known[key.parent]
