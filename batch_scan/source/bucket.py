"""A prefix of a bucket as a source: every object below it, opened while the rest is still being listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.errors import UsageError
from batch_scan.source.bucket_fetch import BucketFiles
from batch_scan.source.bucket_listing import Listing
from batch_scan.source.bucket_pages import pages_of
from batch_scan.source.globs import Selection
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.store import check_readable, is_same_bucket, open_store
from batch_scan.store_url import parse_bucket_url
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.model import Item, Refused, Stat
    from batch_scan.source.options import SourceOptions
    from batch_scan.store import StoreOptions


class BucketSource:
    """The objects below a prefix; see `Source`.

    They come in the order of the store's listing, which is that of their keys' bytes. What it says of each travels with
    the item, so that one known from an earlier audit takes no request. What stands for a directory (an object without
    content whose key ends in a slash) is no entry; an object that cannot be named is a refused one.

    Raises:
        UsageError: the URL is no bucket's, the store does not list it, or there is nothing below the prefix.
    """

    sha256 = ""

    def __init__(self, url: str, options: SourceOptions) -> None:
        self._store, prefix = open_store(url, options.store)
        place = parse_bucket_url(url)
        self._place = type(place)(place.cloud, place.bucket, f"{prefix}/" if prefix else "", place.account)
        self._selection = Selection(options.include, options.exclude, options.modified_after)
        self._files = BucketFiles(options, ScratchRoom(options))
        self._options = options.store
        self._skipped = tuple(filter(None, (self._own(*one, options) for one in options.skip_prefixes)))
        self.uri = str(self._place)
        if not check_readable(self._store, self._place):
            raise UsageError(
                f"there is no object below {self.uri}; name a prefix that ends where a slash stands in the keys, or a "
                "manifest (.csv, .jsonl, .parquet), and single objects in one"
            )

    def entries(self) -> Iterator[Item | Refused]:
        """See `Source.entries`."""
        pages = pages_of(self._place, self._options)
        return Listing(self._store, self._place, self._selection, pages, self._skipped).entries()

    def total(self) -> int | None:
        """See `Source.total`: not known without listing all."""
        return None

    def stat(self, item: Item) -> Stat | None:
        """See `Source.stat`."""
        return item.stat

    def fetch(self, item: Item) -> AbstractAsyncContextManager[Path]:
        """See `Source.fetch`."""
        return self._files.fetch(item)

    def url(self, item: Item) -> str:
        """See `Source.url`: signed, where the options ask for it."""
        return self._files.url(item)

    async def check_same(self, item: Item) -> None:
        """See `Source.check_same`."""
        await self._files.check_same(item)

    def _own(self, url: str, store: StoreOptions, options: SourceOptions) -> str:
        """Return the beginning of all keys at a URL below this source; the source itself is always walked.

        Raises UsageError where the URL cannot be followed.
        """
        try:
            other = parse_bucket_url(url)
        except ValueError as error:
            raise UsageError(f"{clean_text(url.partition('?')[0])}: {error}") from None
        key = f"{other.key.strip('/')}/"
        is_below = key.startswith(self._place.key) and key not in {self._place.key, "/"}
        return key if is_below and is_same_bucket((other, store), (self._place, options.store)) else ""
