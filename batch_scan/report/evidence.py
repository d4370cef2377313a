"""Thumbnails and clips of findings, kept below the report under digests that name what they show.

For the event loop: what a disk or a bucket has to be asked for is asked in a thread.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from batch_scan.errors import BatchScanError
from batch_scan.report.store import publish_bytes, store_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.report.store import Place, ReportStore

EVIDENCE_DIRECTORY = "evidence"
"""Name of the directory below the report."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


class EvidenceStore:
    """Keeps evidence as `REPORT/evidence/ab/DIGEST.jpg`; the same thing is kept once."""

    def __init__(self, place: Place) -> None:
        """Keep evidence below the report in a place; nothing is made before there is something to keep."""
        self._store = store_of(place)

    def path_for(self, digest: str, suffix: str) -> str:
        """Return where what a digest names is kept, relative to the report, with forward slashes.

        Args:
            digest: SHA-256 in hex.
            suffix: `.jpg`, `.wav`, …

        Raises ValueError for anything that is no digest or suffix, and so might lead elsewhere.
        """
        if not _DIGEST.fullmatch(digest) or not _SUFFIX.fullmatch(suffix):
            raise ValueError(f"not a digest and a suffix: {digest!a}, {suffix!a}")
        return str(PurePosixPath(EVIDENCE_DIRECTORY, digest[:2], digest + suffix))

    async def find(self, names: Sequence[str], suffix: str) -> list[str]:
        """Return the path of what is kept under each name, as `path_for` does; empty where nothing is."""
        paths = [self.path_for(name, suffix) for name in names]
        return await asyncio.to_thread(self._kept_of, paths) if paths else []

    async def put(self, name: str, data: bytes, suffix: str) -> str:
        """Keep `data` under the digest that names it, complete or not at all, and return its path as `path_for` does.

        What is kept under a name already stays: the name says what it shows.

        Raises BatchScanError where it cannot be written.
        """
        return await asyncio.to_thread(self._put, self.path_for(name, suffix), data)

    def settle(self) -> None:
        """Return once everything that was put is kept, as it is here at once. Raises BatchScanError as `put`.

        Blocks; may be called from another thread.
        """

    def close(self) -> None:
        """Let go of what it holds."""

    def _kept_of(self, paths: Sequence[str]) -> list[str]:
        return [path if self._store.exists(PurePosixPath(path)) else "" for path in paths]

    def _put(self, relative: str, data: bytes) -> str:
        try:
            if not self._store.exists(PurePosixPath(relative)):
                publish_bytes(self._store, PurePosixPath(relative), data)
        except OSError as error:
            raise cannot_keep(self._store, error) from error
        return relative


def cannot_keep(store: ReportStore, error: OSError) -> BatchScanError:
    """Return the error for evidence that its place does not take."""
    return BatchScanError(f"evidence in {store.uri} cannot be written: {error.strerror}")
