"""Entries of a source and what tells whether they are unchanged, a batch at a time, off the event loop.

A file system may be slow, and a network mount that went away hangs whoever looks at it: requests must go on meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import TYPE_CHECKING

from batch_scan.aside import aside
from batch_scan.model import Item

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from batch_scan.model import Refused, Stat
    from batch_scan.source.interface import Source

    Found = tuple[Item | Refused, Stat | None]

_ENTRIES_AT_ONCE = 256
_READING_S = 0.1
"""How long a batch is read: entries that come slowly are scanned meanwhile."""
_FRESH_S = 1.0


async def read_ahead(source: Source, fresh_s: float = _FRESH_S) -> AsyncGenerator[Found, None]:
    """Yield every entry with what `Source.stat` says of it, for those that are not refused.

    Args:
        source: whose entries.
        fresh_s: an entry that its taker lets wait longer, over others of its batch, is looked at again.

    Raises what `Source.entries` raises, after the entries before it.
    """
    entries = iter(source.entries())
    while batch := await aside(_next_of, source, entries):
        stale_s = time.monotonic() + fresh_s
        for entry, stat in batch:
            yield entry, stat if time.monotonic() < stale_s else await _look_again(source, entry)


async def fresh_stat(source: Source, found: Found, since_s: float) -> Stat | None:
    """Return what `Source.stat` says of an entry that was found at `since_s`, of the monotonic clock, or says now."""
    entry, stat = found
    return stat if time.monotonic() - since_s < _FRESH_S else await _look_again(source, entry)


def _next_of(source: Source, entries: Iterator[Item | Refused]) -> list[Found]:
    """Return the next entries, at least one of those that are left."""
    ends_s = time.monotonic() + _READING_S
    batch = []
    for entry in islice(entries, _ENTRIES_AT_ONCE):
        batch.append((entry, _look_at(source, entry)))
        if time.monotonic() >= ends_s:
            break
    return batch


async def _look_again(source: Source, entry: Item | Refused) -> Stat | None:
    return await asyncio.to_thread(_look_at, source, entry)


def _look_at(source: Source, entry: Item | Refused) -> Stat | None:
    return source.stat(entry) if isinstance(entry, Item) else None
