"""Opens what a run on this machine works with, once its job, source, services and ledger are known to be good."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch_scan import __version__
from batch_scan.delivery import Meters
from batch_scan.engine.premises import callbacks_of, open_elsewhere, settle_in
from batch_scan.engine.services import open_askers
from batch_scan.evidence import Evidence
from batch_scan.ledger import RunStart
from batch_scan.media.program import ffmpeg_version
from batch_scan.model import RunId, RunRow
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.clock import SystemClock
from batch_scan.pace.limiter import LocalLimiter
from batch_scan.report.evidence_queue import evidence_of
from batch_scan.report.feed import ReportFeed, in_thread
from batch_scan.report.layout import new_run_id
from batch_scan.report.lease_holding import hold_lease, owner_of
from batch_scan.report.published import identify_by_row, identify_by_uri
from batch_scan.report.writer import ReportWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from batch_scan.ask import Asker
    from batch_scan.endpoint.interface import Quota
    from batch_scan.engine.services import Services
    from batch_scan.job import Job
    from batch_scan.ledger import InDoubt, Ledger
    from batch_scan.report.published import Published
    from batch_scan.report.store import ReportStore
    from batch_scan.source.interface import Source

_log = logging.getLogger(__name__)

ENGINE = "local"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on: opened, and known to be good, before anything is sent."""

    job: Job
    place: ReportStore
    source: Source
    services: Services
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class OpenReport:
    """The report of a run, open for its rows."""

    feed: ReportFeed
    evidence: Evidence
    published: Published
    """What of the run stood in it before."""


def begin(ground: Ground) -> tuple[RunRow, InDoubt]:
    """Return the run to go on with: the unfinished one of the same command, else a new one."""
    job, place, source, ledger = ground.job, ground.place, ground.source, ground.ledger
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
        endpoints=ground.services.names,
        started_at=before.started_at if before is not None else now,
    )
    if before is not None:
        _log.info("continuing the unfinished run %s", run.run_id)
    return run, ledger.in_doubt(run.run_id)


def start_of(run: RunRow, place: ReportStore) -> RunStart:
    """Return what the ledger notes of a run that begins, to know it again."""
    return RunStart(
        run_id=run.run_id,
        job_fingerprint=run.job_fingerprint,
        source=run.source,
        source_sha256=run.source_sha256,
        report=place.uri,
        started_at=run.started_at,
    )


def meters_of(job: Job, services: Services, ledger: Ledger, run_id: RunId) -> Meters:
    """Return what the askers of a run share: its pace, and what it may still spend."""
    clock = SystemClock()
    configs = services.configs
    limiter = LocalLimiter({name: config.limit for name, config in configs.items()}, clock)
    budgets = {name: config.budget for name, config in configs.items()}
    return Meters(run_id, ledger, limiter, LocalBudget(job.budget, budgets, ledger.spent(run_id)), clock)


@contextlib.asynccontextmanager
async def lease_of(job: Job, place: ReportStore, run_id: RunId, stop: asyncio.Event) -> AsyncIterator[list[str]]:
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


async def open_services(
    ground: Ground, meters: Meters, askers: Mapping[str, Asker], stack: contextlib.AsyncExitStack
) -> dict[str, Quota]:
    """Open every service, to be closed by `stack`; return what each said of its quota. Raises as `open_askers`."""
    for remark in open_elsewhere(ground.services, ground.ledger):
        _log.warning("%s", remark)
    callbacks = await stack.enter_async_context(callbacks_of(ground.job, ground.ledger, meters.run_id))
    settle_in(ground.services, meters, callbacks)
    for service in ground.services.by_name.values():
        stack.push_async_callback(service.close)
    return await open_askers(ground.services, askers)


async def open_report(ground: Ground, run: RunRow, stack: contextlib.AsyncExitStack) -> OpenReport:
    """Open the report, and read what of the run stands in it already. To a bucket, these are requests."""
    writer = await in_thread(lambda: ReportWriter(ground.place, run))
    identify = identify_by_row if ground.source.sha256 else identify_by_uri
    published = await in_thread(lambda: writer.published(identify))
    kept = evidence_of(ground.place) if ground.job.report.evidence else None
    if kept is not None:
        stack.push_async_callback(asyncio.to_thread, kept.close)  # waits for what is on its way
    return OpenReport(ReportFeed(writer, kept), Evidence(kept), published)
