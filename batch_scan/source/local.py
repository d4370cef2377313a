"""Regular files below one directory: named, examined and opened without leaving it."""

from __future__ import annotations

import asyncio
import os
import re
import stat as modes
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.errors import FetchError
from batch_scan.model import Item, Refused, Shortfall, Stat
from batch_scan.untrusted import clean_text, show_path
from batch_scan.vocabulary import Reason, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_DIRECTORIES_REMEMBERED = 4096
_KINDS = {
    modes.S_IFLNK: "a symbolic link, which is not followed; name the file that it points to",
    modes.S_IFDIR: "a directory, not a file",
    modes.S_IFIFO: "a named pipe, not a file",
    modes.S_IFSOCK: "a socket, not a file",
    modes.S_IFCHR: "a character device, not a file",
    modes.S_IFBLK: "a block device, not a file",
}
_UP = re.compile(r"(?:^|/)\.\.(?:/|$)")
# O_NONBLOCK: a named pipe put in the file's place must not hang the run. O_NOFOLLOW: nor may a link lead elsewhere.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def absolute(path: str) -> str:
    """Return the absolute form of a path as its user wrote it; links are resolved only where ``..`` needs it."""
    return os.path.realpath(path) if _UP.search(path) else os.path.abspath(path)  # noqa: PTH100 - text in, text out


def refused(item: Item, error: FetchError) -> Refused:
    """Return the row of an entry that cannot be opened."""
    return Refused(item, Status.FAILED, Shortfall(error.reason, error.detail))


class LocalFiles:
    """The files below `root`. Paths are text, because pathlib costs more than the file system does.

    A path is confined by resolving the symbolic links of its directory; the file itself must not be one. What is
    remembered of directories serves `locate` alone; `fetch` resolves anew, so that a directory replaced by a link since
    leads nowhere.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._below = self.root.rstrip(os.sep) + os.sep
        self._resolve = lru_cache(maxsize=_DIRECTORIES_REMEMBERED)(os.path.realpath)

    def locate(self, path: str) -> str:
        """Return where an absolute path leads, its directory resolved. Raises FetchError where that is outside."""
        directory, name = os.path.split(path)
        if name in {"", ".", ".."}:
            return self._confine(os.path.realpath(path), "")
        return self._confine(self._resolve(directory), name)

    def relative(self, located: str) -> str:
        """Return what `locate` gave as a path below the root."""
        return located[len(self._below) :]

    def examine(self, located: str) -> os.stat_result:
        """Look at a file without opening it. Raises FetchError for all that is not a regular file with content."""
        try:
            found = os.lstat(located)
        except FileNotFoundError:
            raise FetchError(Reason.MISSING, f"there is no file {_shown(located)}") from None
        except NotADirectoryError:
            raise FetchError(Reason.MISSING, f"a directory of {_shown(located)} is a file") from None
        except (OSError, ValueError) as error:
            raise unreadable(located, error) from None
        _check(located, found)
        return found

    def stat(self, item: Item) -> Stat | None:
        """See `Source.stat`."""
        try:
            found = os.lstat(item.locator)
        except (OSError, ValueError):
            return None
        if not modes.S_ISREG(found.st_mode):
            return None
        return Stat(found.st_size, found.st_mtime_ns, f"{found.st_dev}:{found.st_ino}:{found.st_ctime_ns}")

    @asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        """See `Source.fetch`. The file is opened in place; in a thread, since a stale network mount may hang."""
        yield Path(await asyncio.to_thread(self._opened_once, item.locator))

    def _opened_once(self, located: str) -> str:
        directory, name = os.path.split(located)
        path = self._confine(os.path.realpath(directory), name)
        self.examine(path)
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            _check(path, os.fstat(descriptor))
        finally:
            os.close(descriptor)
        return path

    def _confine(self, directory: str, name: str) -> str:
        if directory == self.root or directory.startswith(self._below):
            return directory.rstrip(os.sep) + os.sep + name if name else directory
        raise FetchError(
            Reason.OUTSIDE_ROOT,
            f"it lies in {_shown(directory)}, outside {_shown(self.root)}; set source.root to one that holds both",
        )


def unreadable(path: str, error: OSError | ValueError) -> FetchError:
    """Return the error for a path that the system does not let us look at or open."""
    why = error.strerror if isinstance(error, OSError) else str(error)
    return FetchError(Reason.UNREADABLE, f"cannot read {_shown(path)}: {why}")


def _check(path: str, found: os.stat_result) -> None:
    if not modes.S_ISREG(found.st_mode):
        kind = _KINDS.get(modes.S_IFMT(found.st_mode), "not a regular file")
        raise FetchError(Reason.SPECIAL_FILE, f"{_shown(path)} is {kind}")
    if found.st_size == 0:
        raise FetchError(Reason.EMPTY, f"{_shown(path)} has no content")


def _shown(path: str) -> str:
    return clean_text(show_path(path))
