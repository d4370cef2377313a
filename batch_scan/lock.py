"""One process at a time in a state directory.

The lock is the operating system's (`flock`), so that it dies with its holder, however that ends. Its file names the
holder for the others. Network filesystems are refused: their locks and SQLite's shared memory cannot be relied on.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.errors import LockedError, UsageError
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_MOUNTS = Path("/proc/self/mounts")
ALLOW_NETWORK_VARIABLE = "BATCH_SCAN_ALLOW_NETWORK_STATE"
_NETWORK_TYPES = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb2",
        "smb3",
        "smbfs",
    }
)
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.ntfs", "fuse.ntfs-3g"})
_TRY_AGAIN_S = 0.25
_HOLDER_CHARS = 200
_MOUNT_FIELDS = 3


class DirectoryLock:
    """Holds a directory for this process. Use as an asynchronous context manager.

    Args:
        directory: an existing directory on a local filesystem.
        wait_s: how long to wait for another holder before giving up.

    Entering raises LockedError where another process holds it, UsageError where the lock file cannot be made.
    """

    def __init__(self, directory: Path, wait_s: float = 0.0) -> None:
        self._directory = directory
        self._path = directory / "lock"
        self._wait_s = wait_s
        self._descriptor: int | None = None

    async def __aenter__(self) -> Self:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise cannot_use(self._directory, error) from None
        try:
            await self._take(descriptor)
            _write_holder(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise cannot_use(self._directory, error) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others in. The file stays: removing it would let two holders lock two files of one name."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(self)

    def forget(self) -> None:
        """In a forked child: close our copy, so that the lock ends with the process that took it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _take(self, descriptor: int) -> None:
        give_up_at_s = time.monotonic() + self._wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                left_s = give_up_at_s - time.monotonic()
                if left_s <= 0:
                    raise LockedError(self._held_message(descriptor)) from None
            else:
                return
            # A blocking flock in a thread could not be cancelled; a look every quarter of a second can.
            await asyncio.sleep(min(_TRY_AGAIN_S, left_s))

    def _held_message(self, descriptor: int) -> str:
        holder = clean_text(os.pread(descriptor, _HOLDER_CHARS, 0).decode("utf-8", "replace")) or "another process"
        return (
            f"another run is using {self._directory} ({holder}); wait until it ends, stop it, "
            "or give this run a state directory of its own"
        )


_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def _write_holder(descriptor: int) -> None:
    started = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}, since {started}\n".encode(), 0)


def make_directory(directory: Path) -> None:
    """Create a state directory that only its owner can read. Raises UsageError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_use(directory, error) from None


def cannot_use(directory: Path, error: OSError) -> UsageError:
    """Return the error for a state directory that the system does not let us use."""
    return UsageError(
        f"the state directory {directory} cannot be used: {error.strerror or error}; "
        "name a directory on a local disk that is writable and has room"
    )


def read_mounts() -> str:
    """Return the content of /proc/self/mounts; empty where there is none."""
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def refuse_network_filesystem(directory: Path, mounts: str) -> None:
    """Raise UsageError where `directory` lies on a network filesystem and the environment does not allow that.

    Args:
        directory: an existing directory.
        mounts: the content of /proc/self/mounts.
    """
    filesystem = filesystem_type(str(directory.resolve()), mounts)
    if is_network(filesystem) and os.environ.get(ALLOW_NETWORK_VARIABLE) != "1":
        raise UsageError(
            f"the state directory {directory} is on a network filesystem ({filesystem}), where locks cannot be relied "
            f"on and answers that are paid for could be lost; name a directory on a local disk, "
            f"or set {ALLOW_NETWORK_VARIABLE}=1 to take the risk"
        )


def filesystem_type(path: str, mounts: str) -> str:
    """Return the type of the filesystem that holds `path` (absolute, resolved); empty where it is not known."""
    best_point, best_type = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < _MOUNT_FIELDS:
            continue
        point = _unescape(fields[1])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best_point):  # the later mount hides the earlier one on the same point
            best_point, best_type = point, fields[2]
    return best_type


def is_network(filesystem: str) -> bool:
    """Whether a filesystem type is, or may well be, served by another machine."""
    return filesystem in _NETWORK_TYPES or (filesystem.startswith("fuse") and filesystem not in _LOCAL_FUSE)


def _unescape(field: str) -> str:
    r"""Undo the ``\040`` of /proc/mounts."""
    for code, char in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        field = field.replace(code, char)
    return field
