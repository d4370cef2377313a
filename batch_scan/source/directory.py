"""A directory as a source: every file below it, in a stable order, listed one directory at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from batch_scan.errors import FetchError, UsageError
from batch_scan.model import Item, Refused
from batch_scan.source.globs import Selection
from batch_scan.source.interface import Source
from batch_scan.source.local import LocalFiles, absolute, refused, unreadable
from batch_scan.untrusted import show_path
from batch_scan.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.model import Stat
    from batch_scan.source.options import SourceOptions


class DirectorySource(Source):
    """Every file below a directory, hidden ones included; see `Source`.

    The files of a directory come before those of its sub-directories, each sorted by name; memory holds one listing and
    the names of directories still to be walked. Symbolic links are not followed, those to directories neither: each is
    a refused entry. A directory that cannot be listed is a refused entry of its own.
    """

    sha256 = ""

    def __init__(self, path: str, options: SourceOptions) -> None:
        self._shown_root = absolute(path)
        self._files = LocalFiles(path)
        self._selection = Selection(options.include, options.exclude, options.modified_after)
        self._skipped = {
            self._files.relative(os.path.realpath(one)) for one in options.skip_directories if self._holds(one)
        }
        self.uri = show_path(self._shown_root)
        try:
            os.scandir(self._files.root).close()
        except OSError as error:
            raise UsageError(f"the directory {self.uri} cannot be listed: {error.strerror}") from None

    def entries(self) -> Iterator[Item | Refused]:
        """See `Source.entries`."""
        index = 0
        pending = [""]
        while pending:
            directory = pending.pop()
            files, directories, failure = self._list(directory)
            if failure is not None:
                yield refused(self._item(index, directory), failure)
                index += 1
            for relative in files:
                yield self._entry(index, relative)
                index += 1
            pending.extend(reversed(directories))

    def total(self) -> int | None:
        """See `Source.total`: not known without a walk."""
        return None

    def stat(self, item: Item) -> Stat | None:
        """See `Source.stat`."""
        return self._files.stat(item)

    def fetch(self, item: Item) -> AbstractAsyncContextManager[Path]:
        """See `Source.fetch`."""
        return self._files.fetch(item)

    def _holds(self, directory: Path) -> bool:
        """Whether a directory lies below this one; the root itself is always walked."""
        return os.path.realpath(directory).startswith(self._files.root.rstrip(os.sep) + os.sep)

    def _list(self, directory: str) -> tuple[list[str], list[str], FetchError | None]:
        """Return the files and directories in one directory, and why that is not all of them."""
        files: list[str] = []
        directories: list[str] = []
        failure = None
        path = os.path.join(self._files.root, directory)  # noqa: PTH118 - text in, text out
        try:
            with os.scandir(path) as listing:
                for entry in listing:
                    relative = f"{directory}/{entry.name}" if directory else entry.name
                    (directories if _is_directory(entry) else files).append(relative)
        except OSError as error:
            failure = unreadable(path, error)
        return sorted(files), sorted(one for one in directories if one not in self._skipped), failure

    def _entry(self, index: int, relative: str) -> Item | Refused:
        item = self._item(index, relative)
        unwanted = self._selection.refuse(relative)
        if unwanted is not None:
            return Refused(item, Status.SKIPPED, unwanted)
        try:
            found = self._files.examine(item.locator)
        except FetchError as error:
            return refused(item, error)
        too_old = self._selection.refuse_age(found.st_mtime_ns)
        return Refused(item, Status.SKIPPED, too_old) if too_old is not None else item

    def _item(self, index: int, relative: str) -> Item:
        shown = _join(self._shown_root, relative)
        # Undecodable bytes shown as \xNN might be another file's name; a file URI is unambiguous, and can be opened.
        uri = shown if show_path(shown) == shown else "file://" + quote_from_bytes(os.fsencode(shown))
        return Item(index, uri, uri, _join(self._files.root, relative))


def _join(root: str, relative: str) -> str:
    return root.rstrip(os.sep) + os.sep + relative


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # its examination says what is wrong
