"""Runs a scan on this machine: opens everything, goes through the source, writes the report, closes everything.

The order of opening is the order of promises: nothing is written before the job, the source, the place of the report
and the secrets are known to be good; nothing is sent before the ledger is held; nothing is spent before every service
has answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from batch_scan.aside import aside
from batch_scan.delivery import Gate
from batch_scan.duration import format_duration
from batch_scan.engine.arrears import unreported
from batch_scan.engine.opening import (
    Ground,
    OpenReport,
    begin,
    lease_of,
    meters_of,
    open_report,
    open_services,
    start_of,
)
from batch_scan.engine.outcome import RunOutcome, RunProgress, doubts_of, outcome_of, reconcile
from batch_scan.engine.services import build_services, check_secrets, make_askers
from batch_scan.errors import EndpointError, UsageError
from batch_scan.flow import Bounds
from batch_scan.ledger import Ledger
from batch_scan.media.program import ffmpeg_version
from batch_scan.media.reader import MediaReader
from batch_scan.model import RunRow, Shortfall
from batch_scan.report.open import open_place
from batch_scan.report.place import check_report_place
from batch_scan.scan import Scan, Scope
from batch_scan.scratch import scratch_of
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.totals import Exit, worst
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from batch_scan.ask import Asker
    from batch_scan.job import Job
    from batch_scan.media.interface import Reader
    from batch_scan.model import FileResult, Item
    from batch_scan.report.feed import ReportFeed
    from batch_scan.report.published import Published
    from batch_scan.source.interface import Source

_log = logging.getLogger(__name__)

_GRACE_S = 5.0  # an interrupted run waits this long for answers that are on their way, and are paid for
_FLUSH_CHECK_S = 5.0
_FETCHED_AHEAD = 6  # files on their way from a bucket or host while others are decoded; the scratch's limit bounds them


_EMPTY_MANIFEST = "{}: the manifest has no rows, so there is nothing to scan; was it written to its end?"
_EMPTY_PLACE = (
    "{}: no file lies below it, so there is nothing to scan; is it mounted, and the right one? "
    "Where it may rightly be empty, keep one file in it that [source] exclude leaves out"
)


class Observer(Protocol):
    """Who is told how a run goes: a progress bar, or nobody."""

    def started(self, run: RunRow, total: int | None) -> None:
        """A run begins, or goes on, over so many entries (None where their number is not known)."""

    def result(self, result: FileResult) -> None:
        """One more entry has its row."""

    def finished(self) -> None:
        """No more results come."""


async def source_of(job: Job) -> Source:
    """Open the job's source; whoever waits for it can be interrupted.

    Raises UsageError, also where it has not one entry: an archive that is not mounted must not look like a clean one.
    """
    table = job.source
    is_remote = "://" in job.report.uri
    own = (job.state_dir,) if is_remote else (Path(job.report.uri), job.state_dir)
    options = SourceOptions(
        include=table.include,
        exclude=table.exclude,
        root=table.root,
        allow_hosts=table.allow_hosts,
        max_file_bytes=table.max_file_bytes,
        fetch_timeout_s=table.fetch_timeout_s,
        skip_directories=own,
        skip_prefixes=((job.report.uri, job.report.bucket.options),) if is_remote else (),
        modified_after=table.modified_after,
        scratch_bytes=table.scratch_bytes,
        store=table.bucket.options,
        allow_buckets=table.allow_buckets,
        sign_urls_s=table.sign_urls,
    )
    source = await open_source(table.uri, options)
    if await aside(_is_empty, source):
        raise UsageError(_EMPTY_MANIFEST.format(source.uri) if source.sha256 else _EMPTY_PLACE.format(source.uri))
    return source


def _is_empty(source: Source) -> bool:
    total = source.total()
    return total == 0 if total is not None else next(iter(source.entries()), None) is None


def workers_of(job: Job) -> int:
    """Return the number of decoders that work at a time: what the job says, else one per core this process may use."""
    return job.run.workers or len(os.sched_getaffinity(0))


def bounds_of(job: Job) -> Bounds:
    """Return how much goes on at once: as many files as keep every decoder busy while others are made ready."""
    decoders, fetched = workers_of(job), not Path(job.source.uri).is_dir()
    return Bounds(decoders, 2 * decoders + 2 + (_FETCHED_AHEAD if fetched else 0))


async def run_scan(job: Job, observer: Observer, stop: asyncio.Event) -> RunOutcome:
    """Scan a source to its end, or until `stop` is set or the time limit has passed.

    Raises UsageError, LockedError (nothing was scanned), BatchScanError (ledger or report cannot be written).
    """
    place = open_place(job.report.uri, job.report.bucket.options)
    source = await source_of(job)
    check_report_place(place)
    services = build_services(job)
    check_secrets(services)
    ffmpeg_version()  # that it starts is known before anything is written
    async with Ledger.open(job.state_dir, wait_s=job.state.wait) as ledger:
        if place.is_remote:
            _log.info("the ledger lies in %s, on this machine; keep it to continue this run", job.state_dir)
        with scratch_of(job.state_dir):
            return await _run(Ground(job, place, source, services, ledger), observer, stop)


async def _run(ground: Ground, observer: Observer, stop: asyncio.Event) -> RunOutcome:
    job, place, services, ledger = ground.job, ground.place, ground.services, ground.ledger
    run, in_doubt = begin(ground)
    meters = meters_of(job, services, ledger, run.run_id)
    gate = Gate()
    askers = make_askers(services, meters, gate)
    async with contextlib.AsyncExitStack() as stack:
        lost_lease = await stack.enter_async_context(lease_of(job, place, run.run_id, stop))
        try:
            quotas = await open_services(ground, meters, askers, stack)
        except EndpointError as error:
            remark = f"nothing was scanned, and no report was written: {error.detail}"
            return RunOutcome(run, Exit.ENDPOINT_REFUSED, [remark], is_reported=False)
        await ledger.begin_run(start_of(run, place))
        report = await open_report(ground, run, stack)
        meters.unreported.update(await unreported(ledger, place, run.run_id))
        progress = RunProgress.resumed(run, report.published)
        observer.started(progress.run, ground.source.total())
        reader = await stack.enter_async_context(MediaReader(bounds_of(job).processes, job.limits.media))
        scan = Scan(_scope(ground, run, report, reader, askers, gate))
        grace_s = _GRACE_S
        try:
            async with _time_limit(job, gate):
                interrupted = await _consume(scan, ground, report.feed, progress, observer, stop)
        except asyncio.CancelledError:
            grace_s = 0.0
            raise
        finally:
            observer.finished()
            lost = await _drain(askers, grace_s)
        outcome = outcome_of(job, progress, scan, askers)
        if lost_lease:
            outcome.exit = worst([outcome.exit, Exit.INCOMPLETE])
            outcome.remarks += lost_lease
        outcome.remarks += doubts_of(in_doubt.requests, lost, ledger.doubtful(run.run_id))
        await _close_run(outcome, report.feed, ledger, interrupted=interrupted)
        outcome.remarks += await reconcile(services, quotas, askers)
    return outcome


def _scope(  # noqa: PLR0917
    ground: Ground, run: RunRow, report: OpenReport, reader: Reader, askers: Mapping[str, Asker], gate: Gate
) -> Scope:
    return Scope(
        run_id=run.run_id,
        job=ground.job,
        source=ground.source,
        reader=reader,
        takers=ground.services.takers(askers, ground.job.extract),
        ledger=ground.ledger,
        gate=gate,
        evidence=report.evidence,
        already_done=_already_done(report.published),
    )


def _already_done(published: Published) -> Callable[[Item], bool]:
    if not len(published):
        return lambda _item: False
    return lambda item: item.identity in published


async def _consume(  # noqa: PLR0917
    scan: Scan, ground: Ground, feed: ReportFeed, progress: RunProgress, observer: Observer, stop: asyncio.Event
) -> bool:
    """Write results as they come; return True where `stop` ended it early. Nothing of the scan goes on afterwards."""

    async def write_all() -> None:
        async with contextlib.aclosing(scan.results(bounds_of(ground.job))) as results:
            async for result in results:
                await feed.settled()
                feed.take(result)
                progress.add(result)
                observer.result(result)
                await feed.flush_if_due()

    async def write_by_age() -> None:
        while True:
            await asyncio.sleep(_FLUSH_CHECK_S)
            await ground.ledger.flush()
            await feed.flush_if_due()

    writing, flushing = asyncio.create_task(write_all()), asyncio.create_task(write_by_age())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({writing, flushing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if flushing.done():
            flushing.result()
        if writing.done():
            writing.result()
            return False
        return True
    finally:
        for task in (writing, flushing, stopping):
            task.cancel()
        await asyncio.gather(writing, flushing, stopping, return_exceptions=True)


async def _drain(askers: Mapping[str, Asker], grace_s: float) -> int:
    """Wait for what is on its way to the services, not where this is cancelled; return how much had to be given up."""
    try:
        return sum(await asyncio.gather(*(asker.delivery.drain(grace_s) for asker in askers.values())))
    except asyncio.CancelledError:
        await asyncio.gather(*(asker.delivery.drain(0.0) for asker in askers.values()))
        raise


@contextlib.asynccontextmanager
async def _time_limit(job: Job, gate: Gate) -> AsyncIterator[None]:
    limit_s = job.run.max_time
    if limit_s is None:
        yield
        return

    def shut() -> None:
        gate.shut = Shortfall(Reason.TIME_LIMIT, f"the time limit of {format_duration(limit_s)} had passed")

    handle = asyncio.get_running_loop().call_later(limit_s, shut)
    try:
        yield
    finally:
        handle.cancel()


async def _close_run(outcome: RunOutcome, feed: ReportFeed, ledger: Ledger, *, interrupted: bool) -> None:
    """Publish what waits. An interrupted run stays unfinished: the same command goes on with it."""
    await ledger.flush()
    if interrupted:
        await feed.finish(outcome.run)
        return
    finished_at = datetime.now(UTC)
    outcome.run = replace(outcome.run, finished_at=finished_at, exit_code=int(outcome.exit))
    await feed.finish(outcome.run)
    await ledger.finish_run(outcome.run.run_id, int(outcome.exit), finished_at)
