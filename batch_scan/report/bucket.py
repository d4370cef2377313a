"""A report in a bucket: an object appears whole, by one put or a finished multipart upload, or not at all.

Nothing is renamed: what is staged waits in memory. Throttled and broken requests are asked again, within minutes rather
than seconds, since a run that goes on for hours should not end over them.
"""

from __future__ import annotations

import errno
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET, BytesIO
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, TypeVar, cast

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, PreconditionError

from batch_scan.aside import pause
from batch_scan.store import STORE_ERRORS, check_readable, explain, is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from obstore import UpdateVersion

    from batch_scan.report.store import Staged
    from batch_scan.store import BucketStore, BucketUrl

_T = TypeVar("_T")
_WHOLE_BYTES = 4 << 20
"""Objects up to this size are read in one request; of larger ones only what is wanted."""
_CHUNK_BYTES = 8 << 20
"""Larger objects go up in chunks of this size, so that a slow line has to repeat little."""
_CHUNKS_AT_ONCE = 4
_PUTS_AT_ONCE = 4
_PATIENCE_S = 180.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 20.0


class VersionConflictError(Exception):
    """An object is not in the version that a conditional write expected."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object's content, and what a conditional write must name to replace just this version."""

    data: bytes
    version: UpdateVersion
    modified_at: datetime
    """By the clock of the store."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An object that was not put yet."""

    key: PurePosixPath
    data: bytes

    def discard(self) -> None:
        """See `Staged.discard`. Nothing shows, so nothing is to be removed."""


class RemoteStore:
    """The report below a prefix of a bucket."""

    def __init__(self, store: BucketStore, place: BucketUrl, *, patience_s: float = _PATIENCE_S) -> None:
        """Keep a report below the key of `place`.

        Args:
            store: the bucket of `place`.
            place: the bucket and the prefix.
            patience_s: how long a store that is busy or broken is asked again for the same thing.
        """
        self.place = place
        self._store = store
        self._top = PurePosixPath(place.key.strip("/"))
        self._patience_s = patience_s

    @property
    def uri(self) -> str:
        """URL of the prefix."""
        return str(self.place).rstrip("/")

    @property
    def is_remote(self) -> bool:
        """A bucket is at the other end of a line."""
        return True

    def reach(self) -> None:
        """See `ReportStore.reach`."""
        check_readable(self._store, self.place)

    def names(self, directory: PurePosixPath) -> set[str]:
        """See `ReportStore.names`."""
        with _as_os_error():
            found = self._store.list_with_delimiter(self._prefix(directory))
        paths = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return {PurePosixPath(path).name for path in paths}

    def keys(self, below: PurePosixPath) -> list[PurePosixPath]:
        """See `ReportStore.keys`."""
        with _as_os_error():
            paths = [item["path"] for chunk in self._store.list(self._prefix(below)) for item in chunk]
        return sorted(PurePosixPath(path).relative_to(self._top) for path in paths)

    def exists(self, key: PurePosixPath) -> bool:
        """See `ReportStore.exists`."""
        try:
            with _as_os_error():
                self._store.head(self._path(key))
        except FileNotFoundError:
            return False
        return True

    def open(self, key: PurePosixPath) -> pa.NativeFile:
        """See `ReportStore.open`. Of a large object only what is read is fetched."""
        with _as_os_error():
            size_bytes = self._store.head(self._path(key))["size"]
            if size_bytes <= _WHOLE_BYTES:
                return pa.BufferReader(pa.py_buffer(self._store.get(self._path(key)).bytes()))
        return pa.PythonFile(_Ranges(self._store, self._path(key), size_bytes), mode="r")

    def stage(self, key: PurePosixPath, write: Callable[[IO[bytes]], object]) -> _Waiting:
        """See `ReportStore.stage`. It waits in memory."""
        buffer = BytesIO()
        write(buffer)
        return _Waiting(key, buffer.getvalue())

    def publish(self, files: Sequence[Staged]) -> None:
        """See `ReportStore.publish`."""
        waiting = cast("Sequence[_Waiting]", files)
        if len(waiting) == 1:
            self._put(waiting[0])
            return
        with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
            for _ in pool.map(self._put, waiting):
                pass

    def delete(self, key: PurePosixPath) -> None:
        """See `ReportStore.delete`."""
        self._patiently(lambda: self._store.delete(self._path(key)))

    def sweep(self, directory: PurePosixPath) -> None:
        """See `ReportStore.sweep`. What was not finished never shows; the bucket's life cycle ends it."""

    def read_version(self, key: PurePosixPath) -> Versioned | None:
        """Return an object with what names its version; None where there is none. Raises what obstore raises."""
        try:
            found = self._store.get(self._path(key))
            data, meta = bytes(found.bytes()), found.meta
        except FileNotFoundError:
            return None
        return Versioned(data, _version(meta["e_tag"], meta["version"]), meta["last_modified"])

    def write_version(self, key: PurePosixPath, data: bytes, expected: UpdateVersion | None) -> UpdateVersion:
        """Write an object if it is in the version `expected`, or not there where that is None; return its version.

        Raises VersionConflictError where it is not, else what obstore raises.
        """
        try:
            done = self._store.put(self._path(key), data, mode=expected or "create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            raise VersionConflictError from None
        return _version(done["e_tag"], done["version"])

    def _put(self, waiting: _Waiting) -> None:
        self._patiently(
            lambda: self._store.put(
                self._path(waiting.key),
                waiting.data,
                use_multipart=len(waiting.data) > _CHUNK_BYTES,
                chunk_size=_CHUNK_BYTES,
                max_concurrency=_CHUNKS_AT_ONCE,
            )
        )

    def _patiently(self, request: Callable[[], _T]) -> _T:
        """Ask again and again while the store is busy or broken. Raises OSError."""
        give_up_at_s = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return request()
            except STORE_ERRORS as error:
                if not is_transient(error) or time.monotonic() + pause_s > give_up_at_s:
                    raise _os_error(error) from None
            pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _path(self, key: PurePosixPath) -> str:
        return str(self._top / key)

    def _prefix(self, below: PurePosixPath) -> str | None:
        return None if (path := self._path(below)) == "." else path


class _Ranges:
    """An object as a file that is read at any position, each read one request. For `pyarrow.PythonFile`."""

    closed = False

    def __init__(self, store: BucketStore, path: str, size_bytes: int) -> None:
        self._store = store
        self._path = path
        self._size_bytes = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return True

    def size(self) -> int:
        return self._size_bytes

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        start = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size_bytes}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size_bytes - self._at)
        length = left if size < 0 else min(size, left)
        if not length:
            return b""
        with _as_os_error():
            data = bytes(obstore.get_range(self._store, self._path, start=self._at, length=length))
        self._at += len(data)
        return data

    def close(self) -> None:
        self.closed = True


def _version(e_tag: str | None, version: str | None) -> UpdateVersion:
    """Return what names a version, without what the store did not say: it takes no null."""
    named: UpdateVersion = {}
    if e_tag:
        named["e_tag"] = e_tag
    if version:
        named["version"] = version
    return named


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except STORE_ERRORS as error:
        raise _os_error(error) from None


def _os_error(error: BaseException) -> OSError:
    """Return an obstore error as the OSError of its kind; its own text may hold a signature."""
    code = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EIO
    return OSError(code, explain(error))
