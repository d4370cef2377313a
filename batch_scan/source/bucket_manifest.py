"""A manifest that lies in a bucket: fetched once, as objects are, and kept in a file without a name.

Such a file is gone with the process, however that ends, and nobody else can change what was read of it.
"""

from __future__ import annotations

import asyncio
import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch_scan.errors import FetchError, UsageError
from batch_scan.model import Item
from batch_scan.source.bucket_fetch import BucketFiles, stat_of
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.store import open_bucket
from batch_scan.store_errors import STORE_ERRORS, is_bad_key, usage_error
from batch_scan.store_url import check_unsigned, parse_bucket_url
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.model import Stat
    from batch_scan.source.options import SourceOptions
    from batch_scan.source.scratch_room import ScratchFile
    from batch_scan.store_url import BucketUrl


@dataclass(frozen=True, slots=True)
class BucketManifest:
    """A manifest at hand."""

    place: BucketUrl
    """Where it lies."""
    content: ScratchFile
    """Lasts as long as this is held."""
    options: SourceOptions
    """Those of the source, less the room that it takes."""

    @property
    def path(self) -> Path:
        """Where it can be opened, by this process alone."""
        return self.content.path

    @property
    def prefix(self) -> str:
        """Beginning of the keys that its relative rows name; a slash at its end, or empty."""
        return self.place.key.rpartition("/")[0] + "/" if "/" in self.place.key else ""

    def holds(self, place: BucketUrl) -> bool:
        """Whether an object lies below the manifest's own prefix."""
        return place.root == self.place.root and place.key.startswith(self.prefix)

    def resolve(self, relative: str) -> BucketUrl:
        """Return the object that a relative row names, as a path beside a manifest on disk would.

        Raises:
            FetchError: it lies outside the manifest's prefix.
            ValueError: it names no object, or holds a signature.
        """
        check_unsigned(relative)
        key = posixpath.normpath(relative)
        if key == ".." or key.startswith("../"):
            raise FetchError(
                Reason.OUTSIDE_ROOT,
                f"it leads out of {self.place.root}/{self.prefix}, where the manifest lies; name it by its whole URL",
            )
        if relative.endswith(("/", "/.")) or key == ".":
            raise ValueError("it names a prefix, and no object")
        return replace(self.place, key=self.prefix + key)


async def fetch_manifest(url: str, options: SourceOptions) -> BucketManifest | None:
    """Return the manifest at a bucket's URL; None where there is no such object, so that it may be a prefix.

    Raises UsageError where it cannot be fetched, and says what to do.
    """
    try:
        place = parse_bucket_url(url)
    except ValueError:
        return None  # whoever opens it as a prefix says what is wrong
    stat = await _look_at(place, options)
    if stat is None:
        return None
    files = BucketFiles(options, ScratchRoom(options))
    item = Item(0, str(place), str(place), str(place), stat=stat)
    try:
        content = await files.keep(item)
    except FetchError as error:
        raise UsageError(f"{clean_text(str(place))} cannot be read: {error.detail}") from None
    if options.scratch_bytes:
        options = replace(options, scratch_bytes=max(1, options.scratch_bytes - stat.size_bytes))
    return BucketManifest(place, content, options)


async def _look_at(place: BucketUrl, options: SourceOptions) -> Stat | None:
    """Return what there is; None where there is no such object. Raises UsageError."""
    try:
        store = await asyncio.to_thread(open_bucket, place, options.store)
        return stat_of(await store.head_async(place.key))
    except FileNotFoundError:
        return None
    except STORE_ERRORS as error:
        if is_bad_key(error):
            return None
        raise usage_error(error, place, "read") from None
