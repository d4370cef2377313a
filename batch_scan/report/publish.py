"""Files that appear complete or not at all: written beside their target, synced, renamed.

Temporary names begin with a dot and do not end like the target, so that no reader of Parquet directories takes them up.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from secrets import token_hex
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_SUFFIX = ".partial"
# What fsync of a directory or a special filesystem answers where it cannot be done; nothing is wrong with the data.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Staged:
    """A complete, synced file beside its target, not yet visible under its name."""

    temporary: Path
    target: Path

    def publish(self) -> None:
        """Give it its name, replacing what stands there. Durable once `sync_directory` of its directory returned."""
        self.temporary.replace(self.target)

    def discard(self) -> None:
        """Remove it; nothing happens where it was published."""
        with contextlib.suppress(OSError):
            self.temporary.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """Create a directory and those above it, durably; nothing happens where it is. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def stage(target: Path, write: Callable[[IO[bytes]], object]) -> Staged:
    """Let `write` fill a temporary file beside `target` and sync it. Raises OSError, leaving nothing behind."""
    make_directory(target.parent)
    staged = Staged(target.with_name(f".{target.name}.{token_hex(4)}{_SUFFIX}"), target)
    try:
        with staged.temporary.open("xb") as file:
            write(file)
            file.flush()
            _sync(file.fileno())
    except BaseException:
        staged.discard()
        raise
    return staged


def publish_bytes(target: Path, data: bytes) -> None:
    """Publish `data` as `target`, durably. Raises OSError."""
    publish_all([stage(target, lambda file: file.write(data))])


def publish_all(files: Iterable[Staged]) -> None:
    """Publish files that belong together, in any order but durably before it returns. Raises OSError."""
    directories = set()
    for file in files:
        file.publish()
        directories.add(file.target.parent)
    for directory in directories:
        sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def sweep(directory: Path) -> None:
    """Remove what a killed writer left half-written in a directory. Raises OSError."""
    for path in directory.glob(f".*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
