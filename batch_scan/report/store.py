"""What the report needs of the place where it is kept: names, whole files, nothing half-done.

A key is a path relative to the top of the report, such as ``files/run_id=…/part-00000.parquet``. Two places are known:
a directory (`directory.py`) and a bucket (`bucket.py`). What a place cannot do it says as an OSError whose `strerror`
is a sentence for the operator; a thing that is not there is a FileNotFoundError.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

TOP = PurePosixPath()
"""The key of the report itself."""


class Staged(Protocol):
    """A complete file that is not visible under its key yet."""

    def discard(self) -> None:
        """Forget it; nothing happens where it was published."""
        ...


class ReportStore(Protocol):
    """The place of a report. Methods block, may be called from any thread and raise OSError."""

    @property
    def uri(self) -> str:
        """The place as messages, the ledger and the report's readers name it."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether every call is a request over the network, and who writes must hold a lease."""
        ...

    def reach(self) -> None:
        """Make sure that the place answers. Raises UsageError, which says what to do."""
        ...

    def names(self, directory: PurePosixPath) -> set[str]:
        """Return the names directly below a key, of files and of directories; empty where there is nothing."""
        ...

    def keys(self, below: PurePosixPath) -> list[PurePosixPath]:
        """Return the keys of all files below a key, sorted; empty where there is nothing."""
        ...

    def exists(self, key: PurePosixPath) -> bool:
        """Whether there is a file of this key."""
        ...

    def open(self, key: PurePosixPath) -> pa.NativeFile:
        """Open a file for reading at any position; the caller closes it."""
        ...

    def stage(self, key: PurePosixPath, write: Callable[[IO[bytes]], object]) -> Staged:
        """Let `write` fill a file that does not show yet. Leaves nothing behind where it fails."""
        ...

    def publish(self, files: Sequence[Staged]) -> None:
        """Give files that belong together their names, each whole, in any order; durable when it returns."""
        ...

    def delete(self, key: PurePosixPath) -> None:
        """Remove a file; nothing happens where it is not there."""
        ...

    def sweep(self, directory: PurePosixPath) -> None:
        """Remove what a killed writer left half-written directly below a key."""
        ...


Place = ReportStore | Path
"""A place, or the directory that it is."""


def store_of(place: Place) -> ReportStore:
    """Return the place itself; a path is the place of that directory."""
    from batch_scan.report.directory import DirectoryStore  # noqa: PLC0415 - which is built on this module

    return DirectoryStore(place) if isinstance(place, Path) else place


def publish_bytes(store: ReportStore, key: PurePosixPath, data: bytes) -> None:
    """Publish `data` under a key, whole and durably. Raises OSError."""
    store.publish([store.stage(key, lambda file: file.write(data))])


def locate(store: ReportStore, key: PurePosixPath) -> str:
    """Return where a key lies, for messages."""
    return f"{store.uri.rstrip('/')}/{key}"
