"""Objects fetched to the scratch directory: in parts at once, each resumed where it was cut, all of one version.

Every part is asked for with If-Match, and what the answer says of the object is compared as well, because some stores
do not heed that header.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import PreconditionError

from batch_scan.errors import FetchError, UsageError
from batch_scan.model import Stat
from batch_scan.store import open_bucket
from batch_scan.store_errors import STORE_ERRORS, cannot_sign, explain, is_bad_key, is_forbidden, is_transient
from batch_scan.store_url import Cloud, is_bucket_url, split_bucket_url
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from obstore import GetOptions, ObjectMeta

    from batch_scan.model import Item
    from batch_scan.source.options import SourceOptions
    from batch_scan.source.scratch_room import ScratchFile, ScratchRoom
    from batch_scan.store import BucketStore
    from batch_scan.store_url import BucketUrl

_log = logging.getLogger(__name__)

_PART_BYTES = 16 << 20
"""What one request asks for. Amazon's guidance for concurrent ranged reads is 8 to 16 MB:
https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/use-byte-range-fetches.html
"""
_PARTS_AT_ONCE = 4
_BLOCK_BYTES = 256 << 10
_MAX_FAILURES = 6
"""So often in a row a request may fail without having brought a single byte: half a minute of `503 SlowDown`."""
_MAX_SIGNED = 1024
_GONE = (
    "there is no such object; it may have been deleted since it was listed, or its key begins or ends with a slash, "
    "and cannot be asked for"
)
_CHANGED = "the object was replaced since it was listed; run the scan again"


def stat_of(meta: ObjectMeta) -> Stat:
    """Return what a listing or an answer says of an object. Whole seconds: some answers are more exact than others."""
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    return Stat(meta["size"], int(meta["last_modified"].timestamp()) * 1_000_000_000, tag)


class BucketFiles:
    """Fetches objects of any bucket that the options let it reach.

    Args:
        options: how buckets are reached, and limits.
        room: where fetched files go.
        retry_wait_s: pause after the first failure; doubled after each further one.
    """

    def __init__(self, options: SourceOptions, room: ScratchRoom, *, retry_wait_s: float = 0.5) -> None:
        self._options = options.store
        self._timeout_s = options.fetch_timeout_s
        self._sign_s = options.sign_urls_s
        self._room = room
        self._retry_wait_s = retry_wait_s
        self._stores: dict[str, BucketStore] = {}
        self._signed: dict[str, tuple[float, str]] = {}
        self._unsigned: set[str] = set()
        """Buckets whose credentials cannot sign: asking again takes seconds each time."""

    @staticmethod
    def holds(locator: str) -> bool:
        """Whether a locator is one of ours."""
        return is_bucket_url(locator)

    def store(self, place: BucketUrl) -> BucketStore:
        """Return the bucket of a URL, opened once. Raises UsageError."""
        if place.root not in self._stores:
            self._stores[place.root] = open_bucket(place, self._options, retries=0)
        return self._stores[place.root]

    async def look_at(self, locator: str) -> Stat:
        """Ask what there is at a URL. Raises FetchError."""
        place = split_bucket_url(locator)
        failures = 0
        while True:
            try:
                if place.root not in self._stores:
                    await asyncio.to_thread(self.store, place)  # may look for credentials
                return stat_of(await self.store(place).head_async(place.key))
            except UsageError as error:
                raise FetchError(Reason.FETCH_FAILED, str(error)) from None
            except STORE_ERRORS as error:
                failures += 1
                if failures > _MAX_FAILURES or not is_transient(error):
                    raise fetch_error(error) from None
            await asyncio.sleep(_pause_s(self._retry_wait_s, failures))

    @asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        """See `Source.fetch`."""
        stat = await self._stat(item)
        async with self._room.file(stat.size_bytes) as scratch:
            await self._transfer(item, stat, scratch)
            scratch.file.close()
            yield scratch.path

    async def keep(self, item: Item) -> ScratchFile:
        """Fetch an item to a file without a name, which the caller closes. Raises FetchError."""
        stat = await self._stat(item)
        scratch = self._room.nameless_file(stat.size_bytes)
        try:
            await self._transfer(item, stat, scratch)
        except BaseException:
            scratch.file.close()
            raise
        return scratch

    def url(self, item: Item) -> str:
        """See `Source.url`. One that is still good for half of its time is given again."""
        if not self._sign_s or item.stat is None:
            return ""
        now = time.monotonic()
        signed = self._signed.get(item.locator)
        if signed is None or signed[0] < now:
            signed = (now + self._sign_s / 2, self._sign(split_bucket_url(item.locator)))
            if len(self._signed) >= _MAX_SIGNED:
                self._signed.clear()
            self._signed[item.locator] = signed
        return signed[1]

    async def check_same(self, item: Item) -> None:
        """See `Source.check_same`: by what the store says of the object, against what its listing said."""
        now = await self.look_at(item.locator)
        if item.stat is None or not _is_same(item.stat, now):
            raise FetchError(Reason.CHANGED, "the object was replaced while a service pulled it; run the scan again")

    def _sign(self, place: BucketUrl) -> str:
        if place.root in self._unsigned:
            return ""
        try:
            url = obstore.sign(self.store(place), "GET", place.key, timedelta(seconds=self._sign_s))
        except (UsageError, *STORE_ERRORS) as error:
            why = str(error) if isinstance(error, UsageError) else explain(error)
            if isinstance(error, UsageError) or cannot_sign(error):
                self._unsigned.add(place.root)
                _log.warning("%s: no signed URL can be made: %s; files are uploaded instead", place.root, why)
            else:
                _log.warning("%s: no signed URL can be made: %s", place, why)
            return ""
        if place.cloud is Cloud.AZURE and not url.partition("?")[0].endswith(place.key):
            _log.warning("%s: no signed URL can be made: Azure would refuse that of a name that is not plain", place)
            return ""  # obstore signs the name as it is encoded in the URL, Azure checks it decoded
        return url

    async def _stat(self, item: Item) -> Stat:
        """Raises FetchError, also where there is nothing to fetch."""
        stat = item.stat if item.stat is not None else await self.look_at(item.locator)
        if stat.size_bytes == 0:
            raise FetchError(Reason.EMPTY, "the object has no content")
        return stat

    async def _transfer(self, item: Item, stat: Stat, scratch: ScratchFile) -> None:
        place = split_bucket_url(item.locator)
        transfer = _Transfer(self.store(place), place.key, stat, scratch, self._retry_wait_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await transfer.run()
        except TimeoutError:
            raise FetchError(Reason.FETCH_FAILED, f"the object did not arrive within {self._timeout_s:g} s") from None


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One object on its way into one file."""

    store: BucketStore
    key: str
    stat: Stat
    scratch: ScratchFile
    retry_wait_s: float

    async def run(self) -> None:
        """Raises FetchError."""
        room = asyncio.Semaphore(_PARTS_AT_ONCE)

        async def one(start: int) -> None:
            async with room:
                await self._part(start, min(start + _PART_BYTES, self.stat.size_bytes))

        try:
            async with asyncio.TaskGroup() as group:
                for start in range(0, self.stat.size_bytes, _PART_BYTES):
                    group.create_task(one(start))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _part(self, start: int, end: int) -> None:
        failures = 0
        while True:
            before = start
            try:
                return await self._ask(start, end)
            except _CutError as cut:
                start = cut.at
                failures = 1 if start > before else failures + 1
                if failures > _MAX_FAILURES:
                    raise fetch_error(cut.cause) from None
            await asyncio.sleep(_pause_s(self.retry_wait_s, failures))

    async def _ask(self, start: int, end: int) -> None:
        """Write one range. Raises FetchError, or `_CutError` where the rest may be asked for again."""
        options: GetOptions = {"range": (start, end)}
        if self.stat.version:
            options["if_match"] = f'"{self.stat.version}"'
        at = start
        try:
            answer = await self.store.get_async(self.key, options=options)
            self._check(answer.meta)
            async for block in answer.stream(min_chunk_size=_BLOCK_BYTES):
                if at + len(block) > end:
                    raise FetchError(Reason.FETCH_FAILED, "the store sent more than it was asked for")
                self.scratch.write_at(at, block)
                at += len(block)
        except STORE_ERRORS as error:
            if is_transient(error) and not isinstance(error, PreconditionError):
                raise _CutError(at, error) from None
            raise await self._refusal(error) from None
        if at < end:
            raise _CutError(at, EOFError("the store sent less than it was asked for"))

    async def _refusal(self, error: BaseException) -> FetchError:
        """Return why a range is refused for good.

        Some stores say of a deleted object that it changed, and of a shorter one that the range cannot be had.
        """
        if isinstance(error, FileNotFoundError) or is_forbidden(error):
            return fetch_error(error)
        try:
            self._check(await self.store.head_async(self.key))
        except FetchError as changed:
            return changed
        except FileNotFoundError as gone:
            return fetch_error(gone)
        except STORE_ERRORS:
            pass  # what was said first stands
        return FetchError(Reason.CHANGED, _CHANGED) if isinstance(error, PreconditionError) else fetch_error(error)

    def _check(self, meta: ObjectMeta) -> None:
        if not _is_same(self.stat, stat_of(meta)):
            raise FetchError(Reason.CHANGED, _CHANGED)


def _is_same(before: Stat, now: Stat) -> bool:
    """Tell whether an object is the same version: by its tag, or its time where the store tells no tag."""
    if now.version and before.version:
        return (now.size_bytes, now.version) == (before.size_bytes, before.version)
    return (now.size_bytes, now.modified_ns) == (before.size_bytes, before.modified_ns)


class _CutError(Exception):
    """A range that broke off, and may be asked for again from there."""

    def __init__(self, at: int, cause: BaseException) -> None:
        super().__init__()
        self.at = at
        self.cause = cause


def _pause_s(first_s: float, failures: int) -> float:
    """Return the next pause, twice the one before, shortened by chance so that clients do not ask in step."""
    return first_s * 2.0 ** (failures - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def fetch_error(error: BaseException) -> FetchError:
    """Return the row's reason for an error of obstore."""
    if isinstance(error, FileNotFoundError):
        return FetchError(Reason.MISSING, _GONE)
    if is_bad_key(error) or isinstance(error, ValueError):
        return FetchError(Reason.BAD_ROW, "an object cannot be asked for by this key; rename it")
    if is_forbidden(error):
        return FetchError(Reason.UNREADABLE, f"the object may not be read: {explain(error)}")
    return FetchError(Reason.FETCH_FAILED, f"the object cannot be fetched: {explain(error)}")
