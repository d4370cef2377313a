"""A prefix of a bucket as a source: every object below it, opened while the rest is still being listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.errors import UsageError
from batch_scan.source.bucket_fetch import BucketFiles
from batch_scan.source.bucket_listing import Listing
from batch_scan.source.globs import Selection
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.store import check_readable, open_store
from batch_scan.store_url import parse_bucket_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.model import Item, Refused, Stat
    from batch_scan.source.options import SourceOptions


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
        self.uri = str(self._place)
        if not check_readable(self._store, self._place):
            raise UsageError(
                f"there is no object below {self.uri}; name a prefix that ends where a slash stands in the keys, and "
                "single objects in a manifest"
            )

    def entries(self) -> Iterator[Item | Refused]:
        """See `Source.entries`."""
        return Listing(self._store, self._place, self._selection).entries()

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
