"""A manifest as a source: a row per file, its other columns carried along."""

from __future__ import annotations

import os
import re
import zlib
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from batch_scan.digest import digest_file
from batch_scan.errors import FetchError
from batch_scan.model import Item, Refused
from batch_scan.source.bucket_fetch import BucketFiles
from batch_scan.source.bucket_rows import BucketRules, looked_up
from batch_scan.source.globs import Selection
from batch_scan.source.http import HttpFiles, parse_url, show_url
from batch_scan.source.local import LocalFiles, absolute, refused
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.source.table import BadRow
from batch_scan.store_url import parse_bucket_url
from batch_scan.untrusted import clean_text, show_path, storable_text
from batch_scan.vocabulary import Reason, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.model import Stat
    from batch_scan.source.bucket_manifest import BucketManifest
    from batch_scan.source.options import SourceOptions
    from batch_scan.source.table import Row, Table
    from batch_scan.store_url import BucketUrl

_NO_ROOT = "a manifest in a bucket names no files of this machine, unless source.root says below which directory"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class ManifestSource:
    """The files that a manifest names; see `Source`.

    A row names a path, relative to the manifest's directory, a ``file://`` URI, an object of a bucket or, where its
    host is allowed, an http(s) URL. A local file has to lie below the root, and must not be a symbolic link itself. A
    row that cannot be read is a refused entry whose `uri` is the manifest's with the row's place behind it.

    A manifest that was fetched from a bucket names, by a relative path, an object below its own prefix, and a local
    file only where a root is set.
    """

    def __init__(
        self, path: Path, table: Table, options: SourceOptions, *, fetched: BucketManifest | None = None
    ) -> None:
        self._table = table
        self._fetched = fetched
        self._directory = absolute(str(path.parent))
        self._files = LocalFiles(str(options.root) if options.root is not None else self._directory)
        self._has_files = fetched is None or options.root is not None
        room = ScratchRoom(options)
        self._remote = HttpFiles(options, room=room)
        self._buckets = BucketFiles(options, room)
        self._rules = BucketRules(options)
        self._selection = Selection(options.include, options.exclude, options.modified_after)
        self.uri = str(fetched.place) if fetched is not None else show_path(absolute(str(path)))
        self.sha256 = digest_file(path)
        self._rules.check_readable(self._rows(), self._buckets)

    def entries(self) -> Iterator[Item | Refused]:
        """See `Source.entries`."""
        return looked_up(self._rows(), self._buckets, self._selection)

    def _rows(self) -> Iterator[Item | Refused]:
        index = -1
        try:
            for index, row in enumerate(self._table.rows()):
                yield self._bad_row(index, row) if isinstance(row, BadRow) else self._entry(index, row)
        except (OSError, EOFError, zlib.error) as error:
            # It was readable to its end when the source was made.
            lost = BadRow("end", f"the manifest changed while it was read: {clean_text(str(error))}", {})
            yield self._bad_row(index + 1, lost)

    def total(self) -> int | None:
        """See `Source.total`."""
        return self._total

    def stat(self, item: Item) -> Stat | None:
        """See `Source.stat`."""
        if item.stat is not None or self._is_remote(item):
            return item.stat
        return self._files.stat(item)

    def fetch(self, item: Item) -> AbstractAsyncContextManager[Path]:
        """See `Source.fetch`."""
        if BucketFiles.holds(item.locator):
            return self._buckets.fetch(item)
        return self._remote.fetch(item) if HttpFiles.holds(item.locator) else self._files.fetch(item)

    def url(self, item: Item) -> str:
        """See `Source.url`: that of an http(s) row, or where the options ask for it a signed one of an object."""
        if BucketFiles.holds(item.locator):
            return self._buckets.url(item)
        return self._remote.url(item) if HttpFiles.holds(item.locator) else ""

    async def check_same(self, item: Item) -> None:
        """See `Source.check_same`."""
        if BucketFiles.holds(item.locator):
            await self._buckets.check_same(item)
        elif HttpFiles.holds(item.locator):
            await self._remote.check_same(item)

    @staticmethod
    def _is_remote(item: Item) -> bool:
        return HttpFiles.holds(item.locator) or BucketFiles.holds(item.locator)

    @cached_property
    def _total(self) -> int | None:
        return self._table.total()

    def _bad_row(self, index: int, row: BadRow) -> Refused:
        uri = f"{self.uri}#{row.place}"
        item = Item(index, uri, _identity(index, uri), "", row.columns)
        return refused(item, FetchError(Reason.BAD_ROW, f"{row.place.replace('=', ' ')} of the manifest: {row.detail}"))

    def _entry(self, index: int, row: Row) -> Item | Refused:
        if not row.uri.strip():
            return self._bad_row(index, BadRow(row.place, "it names no file", row.columns))
        scheme = _SCHEME.match(row.uri)
        try:
            if scheme is None or scheme[1].lower() == "file":
                return self._local(index, row, row.uri if scheme is None else file_uri_path(row.uri))
            if HttpFiles.holds(row.uri):
                return self._url(index, row)
            if BucketFiles.holds(row.uri):
                return self._object(index, row)
        except ValueError as error:
            return self._bad_row(index, BadRow(row.place, str(error), row.columns))
        return self._unsupported(index, row, scheme[1].lower())

    def _local(self, index: int, row: Row, named: str) -> Item | Refused:
        """Raises ValueError where the text cannot be a path."""
        if "\0" in named:
            raise ValueError("its path holds a NUL character")
        if self._fetched is not None and not named.startswith("/"):
            return self._beside(index, row, self._fetched)
        path = named if named.startswith("/") else f"{self._directory}/{named}"
        uri = show_path(absolute(path))  # a UnicodeEncodeError is a ValueError
        item = Item(index, uri, _identity(index, uri), path, row.columns)
        if not self._has_files:
            return refused(item, FetchError(Reason.OUTSIDE_ROOT, _NO_ROOT))
        try:
            located = self._files.locate(path)
            item = Item(index, uri, item.identity, located, row.columns)
            unwanted = self._selection.refuse(self._files.relative(located))
            if unwanted is not None:
                return Refused(item, Status.SKIPPED, unwanted)
            found = self._files.examine(located)
        except FetchError as error:
            return refused(item, error)
        too_old = self._selection.refuse_age(found.st_mtime_ns)
        return Refused(item, Status.SKIPPED, too_old) if too_old is not None else item

    def _url(self, index: int, row: Row) -> Item | Refused:
        """Raises ValueError where the text cannot be a URL."""
        url = parse_url(row.uri)
        uri = show_url(url)
        item = Item(index, uri, _identity(index, uri), str(url), row.columns)
        unwanted = self._selection.refuse(url.path.lstrip("/"))
        if unwanted is not None:
            return Refused(item, Status.SKIPPED, unwanted)
        try:
            self._remote.check_host(url)
        except FetchError as error:
            return refused(item, error)
        return item

    def _beside(self, index: int, row: Row, manifest: BucketManifest) -> Item | Refused:
        """Raises ValueError where the text cannot be an object's key."""
        try:
            place = manifest.resolve(row.uri)
        except FetchError as error:
            uri = storable_text(f"{manifest.place.root}/{manifest.prefix}{row.uri}")
            return refused(Item(index, uri, _identity(index, uri), "", row.columns), error)
        return self._remote_object(index, row, place)

    def _object(self, index: int, row: Row) -> Item | Refused:
        """Raises ValueError where the text cannot be an object's URL."""
        place = parse_bucket_url(row.uri)
        if not place.key or place.key.endswith("/"):
            raise ValueError("its URL names a bucket or a prefix, and no object")
        return self._remote_object(index, row, place)

    def _remote_object(self, index: int, row: Row, place: BucketUrl) -> Item | Refused:
        uri = str(place)
        uri.encode()  # a UnicodeEncodeError is a ValueError
        item = Item(index, uri, _identity(index, uri), uri, row.columns)
        beside = self._fetched.prefix if self._fetched is not None and self._fetched.holds(place) else None
        unwanted = self._selection.refuse(place.key.removeprefix(beside or ""))
        if unwanted is not None:
            return Refused(item, Status.SKIPPED, unwanted)
        try:
            if beside is None:
                self._rules.check(place)
        except FetchError as error:
            return refused(item, error)
        return item

    def _unsupported(self, index: int, row: Row, scheme: str) -> Refused:
        detail = f"{scheme}:// is not supported; name a local path, an https URL or an object of a bucket"
        uri = _show_unsupported(row.uri)
        item = Item(index, uri, _identity(index, uri), "", row.columns)
        return refused(item, FetchError(Reason.BAD_ROW, detail))


def _show_unsupported(uri: str) -> str:
    """Return a URI of an unknown kind without user, password and the content of its query."""
    scheme, _, rest = uri.partition("://")
    rest, query_mark, _ = rest.partition("?")
    authority, slash, path = rest.partition("/")
    return storable_text(f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}" + ("?…" if query_mark else ""))


def _identity(index: int, uri: str) -> str:
    return f"{index}:{uri}"


def file_uri_path(uri: str) -> str:
    """Return the path of a file:// URI. Raises ValueError where it names a host or no absolute path."""
    host, slash, path = uri[len("file://") :].partition("/")
    if host.lower() not in {"", "localhost"} or not slash:
        raise ValueError("its file:// URI must hold an absolute path and no host, as in file:///archive/a.mp4")
    return os.fsdecode(unquote_to_bytes("/" + path))
