"""Room for fetched files: every fetch takes its file's bytes from one limit before it writes any."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.errors import FetchError
from batch_scan.room import Room
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from io import FileIO

    from batch_scan.source.options import SourceOptions

_FREE_SHARE = 0.5  # others write there too: evidence, decoders' pipes, the report where it lies beside


class ScratchRoom:
    """Makes private scratch files, together never larger than a limit. One serves all fetches of a source.

    Files lie where the options say, else where temporary files of the process do, which `scratch.scratch_of` empties.
    """

    def __init__(self, options: SourceOptions) -> None:
        self._directory = options.scratch
        self._limit_bytes = options.scratch_bytes
        self._max_file_bytes = options.max_file_bytes

    @property
    def used_bytes(self) -> int:
        """Bytes promised to files that are there now."""
        return self._room.used_bytes

    @property
    def largest_bytes(self) -> int:
        """Size of the largest file that is fetched at all."""
        return min(self.limit_bytes, self._max_file_bytes)

    @cached_property
    def limit_bytes(self) -> int:
        """Bytes of all files together; looked at when the first one is fetched, not before the directory is made."""
        if self._limit_bytes:
            return self._limit_bytes
        try:
            return int(shutil.disk_usage(self._directory or tempfile.gettempdir()).free * _FREE_SHARE)
        except OSError as error:
            raise _no_file(error) from None

    @cached_property
    def _room(self) -> Room:
        return Room(self.limit_bytes)

    def check(self, size_bytes: int, *, at_least: bool = False) -> None:
        """Raises FetchError for a file that is too large ever to be fetched, naming the key that bounds it.

        Args:
            size_bytes: of the whole file, before anything of it is fetched.
            at_least: that is only what came by now.
        """
        has = f"the file has {'at least ' if at_least else ''}{size_bytes} bytes, more than"
        if size_bytes > self._max_file_bytes:
            raise FetchError(
                Reason.TOO_LARGE,
                f"{has} the {self._max_file_bytes} that one may have; raise source.max_file_bytes to have it",
            )
        if size_bytes > self.limit_bytes:
            limit = f"{has} the {self.limit_bytes} that all fetched ones together may take"
            if self._limit_bytes:
                raise FetchError(Reason.TOO_LARGE, f"{limit}; raise source.scratch_bytes to have it")
            raise FetchError(
                Reason.TOO_LARGE,
                f"{limit}, half of what was free; raise source.scratch_bytes, or point TMPDIR to a larger disk",
            )

    @asynccontextmanager
    async def file(self, size_bytes: int = 0) -> AsyncIterator[ScratchFile]:
        """Have an empty file and room for so many bytes in it, both gone on leaving; waits for room.

        Raises FetchError: it is too large, or no file can be made.
        """
        self.check(size_bytes)
        lease = _Lease(self._room)
        await lease.swap(size_bytes)
        try:
            descriptor, name = self._make()
            try:
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    yield ScratchFile(Path(name), file, self, lease)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108 - one system call in the event loop
        finally:
            lease.give_back()

    def nameless_file(self, size_bytes: int) -> ScratchFile:
        """Have an empty file that is gone once it is closed, or the process ends.

        It takes none of the room; who keeps it sees to it that the room is smaller. Raises FetchError as `file` does.
        """
        self.check(size_bytes)
        try:
            file = tempfile.TemporaryFile(buffering=0, dir=self._directory)  # noqa: SIM115 - it outlives this
        except OSError as error:
            raise _no_file(error) from None
        return ScratchFile(Path(f"/proc/self/fd/{file.fileno()}"), file, self, _Lease(self._room))

    def _make(self) -> tuple[int, str]:
        try:
            return tempfile.mkstemp(prefix="batch-scan-", dir=self._directory)  # readable by its owner alone
        except OSError as error:
            raise _no_file(error) from None


def _no_file(error: OSError) -> FetchError:
    return FetchError(Reason.FETCH_FAILED, f"no scratch file can be made: {error.strerror}")


class _Lease:
    """Bytes taken from a room, given back once."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.size_bytes = 0

    def give_back(self) -> None:
        self._room.leave(self.size_bytes)
        self.size_bytes = 0

    async def swap(self, size_bytes: int) -> None:
        """Give back what is held, then wait for as much: two that hold and wait would wait for each other."""
        self.give_back()
        await self._room.enter(size_bytes)
        self.size_bytes = size_bytes

    def try_swap(self, size_bytes: int) -> bool:
        """As `swap`, without waiting; where that takes waiting, nothing is held any more."""
        self.give_back()
        if self._room.try_enter(size_bytes):
            self.size_bytes = size_bytes
        return self.size_bytes == size_bytes


@dataclass(frozen=True, slots=True)
class ScratchFile:
    """One file in the room."""

    path: Path
    file: FileIO
    room: ScratchRoom
    _lease: _Lease

    @property
    def room_bytes(self) -> int:
        """How much may be written."""
        return self._lease.size_bytes

    def try_make_room(self, size_bytes: int) -> bool:
        """Have room for so many bytes in all, where that takes no waiting. Raises FetchError where it never will."""
        self.room.check(size_bytes)
        return size_bytes <= self.room_bytes or self._lease.try_swap(size_bytes)

    async def make_room(self, size_bytes: int) -> None:
        """Empty the file, then wait until there is room for so many bytes in it."""
        self.clear()
        await self._lease.swap(size_bytes)

    def clear(self) -> None:
        """Empty the file; its room stays."""
        self.file.truncate(0)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write bytes at a place. Raises FetchError."""
        left = memoryview(data)
        try:
            while left:
                written = os.pwrite(self.file.fileno(), left, offset)
                left, offset = left[written:], offset + written
        except OSError as error:
            raise FetchError(Reason.FETCH_FAILED, f"the scratch file cannot be written: {error.strerror}") from None
