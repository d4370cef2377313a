"""Rows of a manifest that name objects: which buckets they may name, and what there is, asked a few rows ahead."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

from batch_scan.aside import result_of
from batch_scan.errors import FetchError, UsageError
from batch_scan.model import Item, Refused
from batch_scan.source.local import refused
from batch_scan.source.lookups import Lookups
from batch_scan.store import open_bucket
from batch_scan.store_url import is_bucket_url, split_bucket_url
from batch_scan.vocabulary import Reason, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from batch_scan.model import Stat
    from batch_scan.source.bucket_fetch import BucketFiles
    from batch_scan.source.globs import Selection
    from batch_scan.source.options import SourceOptions
    from batch_scan.store_url import BucketUrl

_ROWS_AHEAD = 64
_ROWS_CHECKED = 256
_OBJECTS_CHECKED = 3


class BucketRules:
    """Which buckets the rows of a manifest may name."""

    def __init__(self, options: SourceOptions) -> None:
        self._allowed = options.allow_buckets
        self._store = options.store
        for pattern in self._allowed:
            if not is_bucket_url(pattern) or "/" in pattern.partition("://")[2].rstrip("/"):
                raise UsageError(f"source.allow_buckets: {pattern!r} is not a bucket; write it as s3://archive")

    def check(self, place: BucketUrl) -> None:
        """Raises FetchError unless rows may name the bucket. One of another's account has to be allowed by name."""
        if not self._allowed and not place.account:
            return
        if not any(fnmatchcase(place.root, pattern.rstrip("/")) for pattern in self._allowed):
            raise FetchError(
                Reason.HOST_REFUSED,
                f"{place.root} is not in source.allow_buckets; add it there to have it asked",
            )

    def check_readable(self, rows: Iterator[Item | Refused], files: BucketFiles) -> None:
        """Ask for the first few objects of every bucket that the first rows name.

        Raises UsageError where credentials are missing, or a bucket lets none of them be read.
        """
        failures: dict[str, list[FetchError | None]] = {}
        for row in islice(rows, _ROWS_CHECKED):
            if isinstance(row, Refused) or not files.holds(row.locator):
                continue
            place = split_bucket_url(row.locator)
            outcomes = failures.setdefault(place.root, [])
            if None in outcomes or len(outcomes) >= _OBJECTS_CHECKED:
                continue
            if not outcomes:
                open_bucket(place, self._store)
            try:
                with Lookups(files) as lookups:
                    result_of(lookups.submit(row.locator))
            except FetchError as error:
                outcomes.append(error if error.reason is not Reason.MISSING else None)
            else:
                outcomes.append(None)
        for root, outcomes in failures.items():
            if outcomes and None not in outcomes and (first := outcomes[0]) is not None:
                raise UsageError(
                    f"none of the first objects of {root} can be read, {first.detail}; check the credentials and the "
                    "endpoint"
                )


def looked_up(rows: Iterator[Item | Refused], files: BucketFiles, selection: Selection) -> Iterator[Item | Refused]:
    """Yield rows in order, those that name objects with what the store says of them, or refused for it."""
    waiting: deque[Item | Refused | tuple[Item, Future[Stat]]] = deque()
    with Lookups(files) as lookups:
        for row in rows:
            if isinstance(row, Item) and files.holds(row.locator):
                waiting.append((row, lookups.submit(row.locator)))
            else:
                waiting.append(row)
            if len(waiting) > _ROWS_AHEAD or not isinstance(waiting[0], tuple):
                yield _settled(waiting.popleft(), selection)
        while waiting:
            yield _settled(waiting.popleft(), selection)


def _settled(row: Item | Refused | tuple[Item, Future[Stat]], selection: Selection) -> Item | Refused:
    if not isinstance(row, tuple):
        return row
    item, answer = row
    try:
        stat = result_of(answer)
    except FetchError as error:
        return refused(item, error)
    item = replace(item, stat=stat)
    too_old = selection.refuse_age(stat.modified_ns)
    if too_old is not None:
        return Refused(item, Status.SKIPPED, too_old)
    if not stat.size_bytes:
        return refused(item, FetchError(Reason.EMPTY, "the object has no content"))
    return item
