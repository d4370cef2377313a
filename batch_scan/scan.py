"""The core: every entry of a source becomes one `FileResult`. Knows no command line and no Parquet.

An entry that is refused, left out, or whose content was scanned already gets its row at once; the others are opened,
a few at a time, and their results come in the order in which they are done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from batch_scan.digest import digest_aside
from batch_scan.errors import BatchScanError, EndpointError, FetchError, MediaError
from batch_scan.examine import Examination, Examined
from batch_scan.extraction import ExtractionRecord, dump_record
from batch_scan.flow import Flow
from batch_scan.ledger import Twin
from batch_scan.media.interface import Lane
from batch_scan.model import FileResult, FileRow, Item, Refused, Shortfall, Stat
from batch_scan.result import (
    Opened,
    dump_row,
    duplicate_result,
    examined_result,
    load_row,
    refused_result,
    unexamined_result,
)
from batch_scan.source.ahead import fresh_stat, read_ahead
from batch_scan.takers import Route, Routes, Takers, not_taken
from batch_scan.untrusted import clean_text
from batch_scan.verdict import find
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from batch_scan.delivery import Gate
    from batch_scan.evidence import Evidence
    from batch_scan.flow import Bounds, Place
    from batch_scan.job import Job
    from batch_scan.media.interface import Reader
    from batch_scan.model import RunId
    from batch_scan.source.ahead import Found
    from batch_scan.source.interface import Source

R = TypeVar("R")

_log = logging.getLogger(__name__)

_CHANGED = Shortfall(Reason.CHANGED, "the file changed while it was read; run the scan again")
_RESULTS_AHEAD = 64  # results that may wait for the consumer; each holds its answers
_OF_ONE_ITEM = (MediaError, FetchError, EndpointError)  # our fault where one gets this far; it ends one file only


class Memory(Protocol):
    """What a scan remembers of files; the ledger, or for a plan something that leaves no trace."""

    def known_file(self, uri: str, stat: Stat) -> str | None:
        """See `Ledger.known_file`."""
        ...

    async def remember_file(self, uri: str, stat: Stat, digest: str) -> None:
        """See `Ledger.remember_file`."""
        ...

    def extraction(self, digest: str, settings: str) -> bytes | None:
        """See `Ledger.extraction`."""
        ...

    async def remember_extraction(self, digest: str, settings: str, record: bytes) -> None:
        """See `Ledger.remember_extraction`."""
        ...

    def twin(self, run_id: str, digest: str) -> Twin | None:
        """See `Ledger.twin`."""
        ...

    async def remember_twin(self, run_id: str, digest: str, twin: Twin) -> None:
        """See `Ledger.remember_twin`."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything one scan works with; opened and closed by the engine."""

    run_id: RunId
    job: Job
    source: Source
    reader: Reader
    takers: Takers
    ledger: Memory
    gate: Gate
    evidence: Evidence
    already_done: Callable[[Item], bool]
    """Tells of an item whether its row was published before, by the same run."""


@dataclass(frozen=True, slots=True)
class _Held:
    """An item that is at hand as a local file."""

    item: Item
    place: Place
    path: Path
    started_at: datetime
    stat: Stat | None
    """What its source said before it was opened; None where that takes a request."""
    claimed: str = ""
    """What its content was when it was read before; others of that content wait for this one."""
    url: str = ""
    """Where services can pull it; found out where one would."""


class _BusyError(Exception):
    """Another file of the same content is being examined."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.opened = opened


class Scan:
    """One pass over a source."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._claims: dict[str, asyncio.Future[None]] = {}
        self._twin_row = lru_cache(maxsize=4096)(load_row)
        takers = scope.takers
        self._routes = Routes(takers, scope.job)
        self._asked = tuple(sorted(asker.name for asker in takers.askers))
        self.internal_errors = 0
        """Files that failed by our own fault; their rows say so."""

    async def results(self, bounds: Bounds) -> AsyncGenerator[FileResult, None]:
        """Yield the result of every entry that has none yet. Closed early, it leaves files under way without a row."""
        queue: asyncio.Queue[FileResult | None] = asyncio.Queue(_RESULTS_AHEAD)
        feeder = asyncio.create_task(self._feed(queue, Flow(bounds, self._scope.takers.askers)))
        try:
            while (result := await queue.get()) is not None:
                yield result
            await feeder
        finally:
            feeder.cancel()
            await asyncio.gather(feeder, return_exceptions=True)

    # --------------------------------------------------------------------------------------------------- entries

    async def _feed(self, queue: asyncio.Queue[FileResult | None], flow: Flow) -> None:
        try:
            async with asyncio.TaskGroup() as group, aclosing(read_ahead(self._scope.source)) as entries:
                async for found in entries:
                    await self._feed_one(found, queue, flow, group)
        except ExceptionGroup as errors:
            await queue.put(None)
            raise _first(errors) from errors
        await queue.put(None)  # not where this is cancelled: nobody takes from the queue then, and it may be full

    async def _feed_one(
        self, found: Found, queue: asyncio.Queue[FileResult | None], flow: Flow, group: asyncio.TaskGroup
    ) -> None:
        entry, stat = found
        item = entry.item if isinstance(entry, Refused) else entry
        if self._scope.already_done(item):
            return
        at_once = self._at_once(entry, item, stat)
        if at_once is not None:
            await queue.put(at_once)
            return
        found_s = time.monotonic()
        place = await flow.admit()
        try:  # looked at here, so that of copies that are known the first of the source is scanned, in every run
            stat = await fresh_stat(self._scope.source, found, found_s)
        except BaseException:
            place.leave()
            raise
        task = group.create_task(self._one(Opened(item, _now(), stat), place, queue))
        task.add_done_callback(lambda _: place.leave())

    def _at_once(self, entry: Item | Refused, item: Item, stat: Stat | None) -> FileResult | None:
        """Return the result where it takes no opening; this is all that happens to most entries of a known archive."""
        now, limit = _now(), self._scope.job.run.limit
        if limit is not None and item.index >= limit:
            gap = Shortfall(Reason.LIMIT, f"not among the first {limit} entries, which is all that was asked for")
            return unexamined_result(Opened(item, now), gap, now)
        if isinstance(entry, Refused):
            return refused_result(entry, now)
        if self._scope.gate.shut is not None:
            return unexamined_result(Opened(item, now), self._scope.gate.shut, now)
        digest = self._scope.ledger.known_file(item.uri, stat) if stat is not None else None
        twin = self._twin(item, digest) if digest is not None and digest not in self._claims else None
        return duplicate_result(Opened(item, now, stat, digest or ""), twin, now) if twin is not None else None

    async def _one(self, found: Opened, place: Place, queue: asyncio.Queue[FileResult | None]) -> None:
        item = found.item
        try:
            result = await self._scan(found, place)
        except Exception as error:
            cause = _first(error)
            if isinstance(cause, BatchScanError) and not isinstance(cause, _OF_ONE_ITEM):
                raise cause from error  # the ledger or the report cannot go on, so neither can we
            self.internal_errors += 1
            _log.exception("internal error at %s", item.uri)
            detail = f"internal error, please report it: {clean_text(str(cause))}"
            gap = Shortfall(Reason.INTERNAL, detail, type(cause).__name__)
            result = unexamined_result(Opened(item, found.started_at), gap, _now())
        await queue.put(result)

    # --------------------------------------------------------------------------------------------------- one item

    async def _scan(self, found: Opened, place: Place) -> FileResult:
        scope, item, stat = self._scope, found.item, found.stat
        digest = scope.ledger.known_file(item.uri, stat) if stat is not None else None
        if digest is not None:
            found = replace(found, content_sha256=digest)
            result = await self._once(found, place, partial(self._from_memory, found, place))
            if result is not None:
                return result
        closed = self._all_closed()
        if closed is not None:
            return unexamined_result(found, closed, _now())
        try:
            return await self._fetch(found, place)
        except _BusyError as busy:
            opened = busy.opened
        result = await self._once(opened, place, partial(self._fetch, found, place, opened.content_sha256))
        if result.row.duplicate_of:
            await self._remember_file(item, stat, opened.content_sha256)
        return result

    def _all_closed(self) -> Shortfall | None:
        """Return why opening a file would be in vain; None while anyone would still be asked."""
        closed = [asker.delivery.closed for asker in self._scope.takers.askers]
        return closed[0] if all(closed) else None

    async def _from_memory(self, opened: Opened, place: Place) -> FileResult | None:
        """Judge content from what is remembered of it; None where the file must be opened."""
        load = partial(self._scope.ledger.extraction, opened.content_sha256)
        known = self._routes.answered(load, opened.content_sha256, opened.size_bytes)
        return await self._examine(opened, *known, place) if known is not None else None

    async def _fetch(self, found: Opened, place: Place, claimed: str = "") -> FileResult:
        """Have the file, and judge it. Raises _BusyError, but not where its content was claimed for it before."""
        item, started_at, stat = found.item, found.started_at, found.stat
        await place.extract()  # again, where it rested
        try:
            async with self._scope.source.fetch(item) as path:
                return await self._open(_Held(item, place, path, started_at, stat, claimed))
        except FetchError as error:
            gap = Shortfall(error.reason, error.detail, type(error).__name__)
            return unexamined_result(Opened(item, started_at, stat), gap, _now())

    async def _open(self, held: _Held) -> FileResult:
        try:
            before = held.stat if held.stat is not None else await asyncio.to_thread(_stat, held.path)
            digest = await digest_aside(held.path)
        except OSError as error:
            gap = Shortfall(Reason.UNREADABLE, f"cannot be read: {error.strerror}", type(error).__name__)
            return unexamined_result(Opened(held.item, held.started_at), gap, _now())
        opened = Opened(held.item, held.started_at, before, digest)
        if before.size_bytes == 0:
            return unexamined_result(opened, Shortfall(Reason.EMPTY, "the file is empty"), _now())
        judge, result = partial(self._judge, opened, held), None
        if held.claimed or digest not in self._claims:  # as soon as it is read: of copies the first, as a rule
            result = await (judge() if held.claimed else self._once(opened, held.place, judge))
        if (result is None or result.row.duplicate_of) and not await self._unchanged(held, before):
            return unexamined_result(opened, _CHANGED, _now())
        if result is None:
            raise _BusyError(opened)
        if result.row.reason is not Reason.CHANGED:
            await self._remember_file(held.item, held.stat, digest)
        return result

    async def _judge(self, opened: Opened, held: _Held) -> FileResult:
        if held.claimed not in {"", opened.content_sha256} or not await self._unchanged(held, opened.stat):
            return unexamined_result(opened, _CHANGED, _now())
        return await self._from_memory(opened, held.place) or await self._examine_file(opened, held)

    async def _examine_file(self, opened: Opened, held: _Held) -> FileResult:
        try:
            async with held.place.working():
                media = await self._scope.reader.probe(held.path, is_lasting=held.stat is not None)
        except MediaError as error:
            gap = Shortfall(error.reason, error.detail, type(error).__name__)
            result = unexamined_result(opened, gap, _now())
            await self._remember_twin(result.row)
            return result
        if self._routes.are_pulled(media, opened.size_bytes):
            url = await asyncio.to_thread(self._scope.source.url, held.item)  # may ask the cloud for a signature
            held = replace(held, url=url)
        way = self._routes.of(media, opened.size_bytes, has_url=bool(held.url))
        return await self._examine(opened, way, ExtractionRecord(media), held.place, held)

    async def _examine(
        self, opened: Opened, way: Route, record: ExtractionRecord, place: Place, held: _Held | None = None
    ) -> FileResult:
        """Examine live where the file is held, and fill the record; else from the record."""
        scope, media = self._scope, record.media
        exhibits = scope.evidence.of_file(opened.content_sha256, scope.job.policy)
        examination = Examination(media, way.takers, place, exhibits.keep)
        if held is None:
            frames = record.replay_frames() if way.frames is not None else None
            whole = way.takers.whole(media, opened.content_sha256)
            examined = await examination.run(frames, record.replay_audio() if way.sound else None, whole)
        else:
            examined = await self._examine_live(opened, way, record, examination, held)
        examined.shortfalls += not_taken(way, scope.job.extract, media)
        findings = find(examined.scores, scope.job.policy)
        findings = await exhibits.attach(findings, scope.reader, place, held.path if held is not None else None)
        result = examined_result(opened, examined, findings, self._asked, _now())
        if result.row.reason is not Reason.CHANGED:
            await self._remember_twin(result.row)
        return result

    async def _examine_live(
        self, opened: Opened, way: Route, record: ExtractionRecord, examination: Examination, held: _Held
    ) -> Examined:
        reader, media, path = self._scope.reader, record.media, held.path
        frames = sound = None
        if way.frames is not None:
            pictures = reader.frames(path, media, way.frames)
            frames = record.keep_frames(held.place.decoded(Lane.PICTURES, pictures))
        if way.sound:
            sound = record.keep_audio(held.place.decoded(Lane.SOUND, reader.audio(path, media, way.sound)))
        check_same = partial(self._scope.source.check_same, held.item)
        whole = way.takers.whole(media, opened.content_sha256, path, held.url, check_same)
        examined = await examination.run(frames, sound, whole)
        if not await self._unchanged(held, opened.stat):
            examined.shortfalls.insert(0, _CHANGED)
        elif record.is_lasting:
            await self._scope.ledger.remember_extraction(opened.content_sha256, way.settings, dump_record(record))
        return examined

    # ------------------------------------------------------------------------------------------- same content twice

    async def _once(self, opened: Opened, place: Place, examine: Callable[[], Awaitable[R]]) -> FileResult | R:
        """Return the result of a twin that was scanned before, else examine, while others of this content wait.

        Whoever waits keeps no turn and no file: those waited for, and those who have a turn, may need its room.
        """
        digest = opened.content_sha256
        while (other := self._claims.get(digest)) is not None:
            place.rest()
            await asyncio.wait([other])
        twin = self._twin(opened.item, digest)
        if twin is not None:
            return duplicate_result(opened, twin, _now())
        self._claims[digest] = asyncio.get_running_loop().create_future()
        try:
            return await examine()
        finally:
            self._claims.pop(digest).set_result(None)

    def _twin(self, item: Item, digest: str) -> FileRow | None:
        twin = self._scope.ledger.twin(self._scope.run_id, digest)
        return self._twin_row(twin.summary) if twin is not None and twin.identity != item.identity else None

    async def _remember_twin(self, row: FileRow) -> None:
        twin = Twin(row.item.identity, row.item.uri, dump_row(row))
        await self._scope.ledger.remember_twin(self._scope.run_id, row.content_sha256, twin)

    async def _remember_file(self, item: Item, stat: Stat | None, digest: str) -> None:
        """Remember the content of a file that did not change while it was read."""
        if stat is not None and await asyncio.to_thread(self._scope.source.stat, item) == stat:
            await self._scope.ledger.remember_file(item.uri, stat, digest)

    async def _unchanged(self, held: _Held, before: Stat | None) -> bool:
        """Tell whether the file is what it was; one opened in place is looked at by its name, no link followed."""
        look = partial(self._scope.source.stat, held.item) if held.stat is not None else partial(_stat, held.path)
        try:
            now = await asyncio.to_thread(look)
        except OSError:
            return False
        return now is not None and now == before


def _stat(path: Path) -> Stat:
    status = os.stat(path)  # noqa: PTH116 - one call
    return Stat(status.st_size, status.st_mtime_ns)


def _now() -> datetime:
    return datetime.now(UTC)


def _first(errors: BaseException) -> BaseException:
    """Return the first plain exception inside nested groups: tasks fail one by one, people read one message."""
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors
