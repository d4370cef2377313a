"""A report in a directory: files are written beside their place, synced and renamed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

import pyarrow as pa

from batch_scan.report import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batch_scan.report.store import Staged


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """The report in a directory, which is made with the first file that is staged."""

    root: Path

    @property
    def uri(self) -> str:
        """Path of the directory."""
        return str(self.root)

    @property
    def is_remote(self) -> bool:
        """A directory is at hand, and its ledger's lock keeps others out."""
        return False

    def reach(self) -> None:
        """See `ReportStore.reach`. A directory that is not there yet is made."""

    def names(self, directory: PurePosixPath) -> set[str]:
        """See `ReportStore.names`."""
        path = self.root / directory
        return {entry.name for entry in path.iterdir()} if path.is_dir() else set()

    def keys(self, below: PurePosixPath) -> list[PurePosixPath]:
        """See `ReportStore.keys`."""
        found = []
        for directory, _, names in os.walk(self.root / below, onerror=_raise_unless_missing):
            at = PurePosixPath(Path(directory).relative_to(self.root))
            found += [at / name for name in names]
        return sorted(found)

    def exists(self, key: PurePosixPath) -> bool:
        """See `ReportStore.exists`."""
        return (self.root / key).is_file()

    def open(self, key: PurePosixPath) -> pa.NativeFile:
        """See `ReportStore.open`."""
        return pa.OSFile(os.fsencode(self.root / key))

    def stage(self, key: PurePosixPath, write: Callable[[IO[bytes]], object]) -> publish.Staged:
        """See `ReportStore.stage`."""
        return publish.stage(self.root / key, write)

    def publish(self, files: Sequence[Staged]) -> None:
        """See `ReportStore.publish`."""
        publish.publish_all(cast("Sequence[publish.Staged]", files))

    def delete(self, key: PurePosixPath) -> None:
        """See `ReportStore.delete`."""
        (self.root / key).unlink(missing_ok=True)

    def sweep(self, directory: PurePosixPath) -> None:
        """See `ReportStore.sweep`."""
        path = self.root / directory
        if path.is_dir():
            publish.sweep(path)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
