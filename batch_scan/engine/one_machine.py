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

from batch_scan import __version__
from batch_scan.delivery import Gate, Meters
from batch_scan.duration import format_duration
from batch_scan.engine.arrears import unreported
from batch_scan.engine.outcome import RunOutcome, RunProgress, doubts_of, outcome_of, reconcile
from batch_scan.engine.premises import callbacks_of, open_elsewhere, settle_in
from batch_scan.engine.services import Services, build_services, check_secrets, make_askers, open_askers
from batch_scan.errors import EndpointError
from batch_scan.evidence import Evidence
from batch_scan.flow import Bounds
from batch_scan.ledger import Ledger, RunStart
from batch_scan.media.program import ffmpeg_version
from batch_scan.media.reader import MediaReader
from batch_scan.model import RunId, RunRow, Shortfall
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.clock import SystemClock
from batch_scan.pace.limiter import LocalLimiter
from batch_scan.report.evidence_queue import evidence_of
from batch_scan.report.feed import ReportFeed, in_thread
from batch_scan.report.layout import new_run_id
from batch_scan.report.lease_holding import hold_lease, owner_of
from batch_scan.report.open import open_place
from batch_scan.report.place import check_report_place
from batch_scan.report.published import identify_by_row, identify_by_uri
from batch_scan.report.writer import ReportWriter
from batch_scan.scan import Scan, Scope
from batch_scan.scratch import scratch_of
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.totals import Exit, worst
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from batch_scan.endpoint.interface import Quota
    from batch_scan.job import Job
    from batch_scan.ledger import InDoubt
    from batch_scan.model import FileResult, Item
    from batch_scan.report.published import Published
    from batch_scan.report.store import ReportStore
    from batch_scan.source.interface import Source

_log = logging.getLogger(__name__)

ENGINE = "local"
_GRACE_S = 5.0  # an interrupted run waits this long for answers that are on their way, and are paid for
_FLUSH_CHECK_S = 5.0
_FETCHED_AHEAD = 6  # files on their way from a bucket or host while others are decoded; the scratch's limit bounds them


class Observer(Protocol):
    """Who is told how a run goes: a progress bar, or nobody."""

    def started(self, run: RunRow, total: int | None) -> None:
        """A run begins, or goes on, over so many entries (None where their number is not known)."""

    def result(self, result: FileResult) -> None:
        """One more entry has its row."""

    def finished(self) -> None:
        """No more results come."""


async def source_of(job: Job) -> Source:
    """Open the job's source; whoever waits for it can be interrupted. Raises UsageError."""
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
    return await open_source(table.uri, options)


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
            return await _run_with_ledger(job, place, source, services, ledger, observer, stop)


@contextlib.asynccontextmanager
async def _lease(job: Job, place: ReportStore, run_id: RunId, stop: asyncio.Event) -> AsyncIterator[list[str]]:
    """Keep other runs out of the report; yields why that could not be done to the end, which stops the run."""
    lost: list[str] = []

    def lose(why: str) -> None:
        _log.error("%s; stopping, the same command continues", why)
        lost.append(why)
        stop.set()

    if not (place.is_remote and job.report.lease):
        yield lost
        return
    async with hold_lease(place, owner_of(job.state_dir), run_id, lose, job.state.wait):
        yield lost


async def _run_with_ledger(  # noqa: PLR0917
    job: Job,
    place: ReportStore,
    source: Source,
    services: Services,
    ledger: Ledger,
    observer: Observer,
    stop: asyncio.Event,
) -> RunOutcome:
    run, in_doubt = _begin(job, place, source, services, ledger)
    gate = Gate()
    meters = _meters(job, services, ledger, run.run_id)
    askers = make_askers(services, meters, gate)
    quotas: dict[str, Quota] = {}
    async with contextlib.AsyncExitStack() as stack:
        lost_lease = await stack.enter_async_context(_lease(job, place, run.run_id, stop))
        for remark in open_elsewhere(services, ledger):
            _log.warning("%s", remark)
        settle_in(services, meters, await stack.enter_async_context(callbacks_of(job, ledger, run.run_id)))
        for service in services.by_name.values():
            stack.push_async_callback(service.close)
        try:
            quotas = await open_askers(services, askers)
        except EndpointError as error:
            return RunOutcome(run, Exit.ENDPOINT_REFUSED, [f"nothing was scanned: {error.detail}"])
        await ledger.begin_run(_start(run, place))
        writer = await in_thread(lambda: ReportWriter(place, run))  # to a bucket, these are requests
        identify = identify_by_row if source.sha256 else identify_by_uri
        published = await in_thread(lambda: writer.published(identify))
        meters.unreported.update(await unreported(ledger, place, run.run_id))
        progress = RunProgress.resumed(run, published)
        observer.started(progress.run, source.total())
        reader = await stack.enter_async_context(MediaReader(bounds_of(job).processes, job.limits.media))
        kept = evidence_of(place) if job.report.evidence else None
        if kept is not None:
            stack.callback(kept.close)
        feed = ReportFeed(writer, kept)
        scope = Scope(
            run_id=run.run_id,
            job=job,
            source=source,
            reader=reader,
            takers=services.takers(askers, job.extract),
            ledger=ledger,
            gate=gate,
            evidence=Evidence(kept),
            already_done=_already_done(published),
        )
        scan = Scan(scope)
        try:
            async with _time_limit(job, gate):
                interrupted = await _consume(scan, job, feed, ledger, progress, observer, stop)
        finally:
            observer.finished()
            lost = sum(await asyncio.gather(*(asker.delivery.drain(_GRACE_S) for asker in askers.values())))
        outcome = outcome_of(job, progress, scan, askers)
        if lost_lease:
            outcome.exit = worst([outcome.exit, Exit.INCOMPLETE])
            outcome.remarks += lost_lease
        outcome.remarks += doubts_of(in_doubt.requests, lost, ledger.doubtful(run.run_id))
        await _close_run(outcome, feed, ledger, interrupted=interrupted)
        outcome.remarks += await reconcile(services, quotas, askers)
    return outcome


def _begin(job: Job, place: ReportStore, source: Source, services: Services, ledger: Ledger) -> tuple[RunRow, InDoubt]:
    """Return the run to go on with: the unfinished one of the same command, else a new one."""
    fingerprint = job.fingerprint
    before = ledger.unfinished_run(fingerprint, source.uri, source.sha256, place.uri)
    now = datetime.now(UTC)
    run = RunRow(
        run_id=RunId(before.run_id) if before is not None else new_run_id(now),
        job=job.name,
        job_fingerprint=fingerprint,
        source=source.uri,
        source_sha256=source.sha256,
        tool_version=__version__,
        ffmpeg_version=ffmpeg_version(),
        engine=ENGINE,
        endpoints=services.names,
        started_at=before.started_at if before is not None else now,
    )
    if before is not None:
        _log.info("continuing the unfinished run %s", run.run_id)
    return run, ledger.in_doubt(run.run_id)


def _start(run: RunRow, place: ReportStore) -> RunStart:
    return RunStart(
        run_id=run.run_id,
        job_fingerprint=run.job_fingerprint,
        source=run.source,
        source_sha256=run.source_sha256,
        report=place.uri,
        started_at=run.started_at,
    )


def _meters(job: Job, services: Services, ledger: Ledger, run_id: RunId) -> Meters:
    clock = SystemClock()
    configs = services.configs
    limiter = LocalLimiter({name: config.limit for name, config in configs.items()}, clock)
    budgets = {name: config.budget for name, config in configs.items()}
    return Meters(run_id, ledger, limiter, LocalBudget(job.budget, budgets, ledger.spent(run_id)), clock)


def _already_done(published: Published) -> Callable[[Item], bool]:
    if not len(published):
        return lambda _item: False
    return lambda item: item.identity in published


async def _consume(  # noqa: PLR0917
    scan: Scan,
    job: Job,
    feed: ReportFeed,
    ledger: Ledger,
    progress: RunProgress,
    observer: Observer,
    stop: asyncio.Event,
) -> bool:
    """Write results as they come; return True where `stop` ended it early."""

    async def write_all() -> None:
        async for result in scan.results(bounds_of(job)):
            await feed.settled()
            feed.take(result)
            progress.add(result)
            observer.result(result)
            await feed.flush_if_due()

    async def write_by_age() -> None:
        while True:
            await asyncio.sleep(_FLUSH_CHECK_S)
            await ledger.flush()
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
