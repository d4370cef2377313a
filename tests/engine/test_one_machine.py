from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.interface import Quota
from batch_scan.engine.one_machine import _consume, bounds_of, run_scan, source_of, workers_of
from batch_scan.engine.opening import Ground
from batch_scan.engine.outcome import RunProgress, doubts_of, outcome_of, reconcile
from batch_scan.engine.services import Services
from batch_scan.errors import UsageError
from batch_scan.examine import Examined
from batch_scan.jobfile import load_job
from batch_scan.model import Coverage, FileResult, MediaInfo, RunRow, RunTotals, Shortfall
from batch_scan.report.writer import ReportWriter
from batch_scan.result import Opened, examined_result
from batch_scan.totals import Exit
from batch_scan.vocabulary import Reason
from tests.asking_kit import Hold, ToyEndpoint, desk_of, ledger_in, sample_of
from tests.report.made import BEGAN, plain, run
from tests.scan_kit import Shelf, scan_of

if TYPE_CHECKING:
    from batch_scan.ask import Asker
    from batch_scan.job import Job

LOCAL = {("endpoints",): ["local"], ("run", "workers"): 1}


class Watcher:
    """Writes down what an observer is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, run: RunRow, total: int | None) -> None:
        self.told.append(f"started at {run.totals.items}")

    def result(self, result: FileResult) -> None:
        self.told.append(Path(result.row.item.uri).name)

    def finished(self) -> None:
        self.told.append("finished")


def job_over(source: Path, flags: dict[tuple[str, ...], object] | None = None) -> Job:
    values = {**LOCAL, ("report", "uri"): str(source.parent / "reports"), **(flags or {})}
    return load_job(str(source), None, values, {}).job


def manifest(directory: Path, count: int) -> Path:
    path = directory / "m.csv"
    path.write_text("uri\n" + "".join(f"gone{index}.mp4\n" for index in range(count)))
    return path


class _Scan:
    """What `_outcome` looks at of a scan."""

    def __init__(self, internal_errors: int = 0) -> None:
        self.internal_errors = internal_errors


def progress_of(*reasons: Reason, totals: RunTotals | None = None) -> RunProgress:
    return RunProgress(run(totals=totals or RunTotals(items=1, keep=1, complete=1)), set(reasons))


# ------------------------------------------------------------------------------------------------------ codes, remarks


async def asker_in(directory: Path, stopped: str = "", broke: str = "") -> Asker:
    async with ledger_in(directory) as ledger:
        asker = desk_of(ledger, ToyEndpoint()).asker
    if stopped:
        asker.delivery.stop(Shortfall(Reason.ENDPOINT_STOPPED, stopped))
    if broke:
        asker.delivery.broke = Shortfall(Reason.BUDGET, broke)
    return asker


@pytest.mark.parametrize(
    ("happened", "code", "words"),
    [
        (("", "", (), 0), Exit.CLEAN, []),
        (("", "no tokens", (), 0), Exit.BUDGET, ["no tokens; the same command goes on"]),
        (("", "no tokens", (Reason.TIME_LIMIT,), 0), Exit.TIME_LIMIT, ["no tokens", "the time limit was reached"]),
        (("no key", "no tokens", (), 0), Exit.ENDPOINT_REFUSED, ["toy was stopped: no key", "no tokens"]),
        (("no key", "", (), 1), Exit.INTERNAL, ["no key"]),
    ],
)
async def test_what_happened_comes_to_a_code_and_remarks(
    tmp_path: Path, happened: tuple[str, str, tuple[Reason, ...], int], code: Exit, words: list[str]
) -> None:
    stopped, broke, reasons, internal = happened
    asker = await asker_in(tmp_path, stopped, broke)
    job = job_over(tmp_path)
    outcome = outcome_of(job, progress_of(*reasons), _Scan(internal), {"toy": asker})  # type: ignore[arg-type]
    assert outcome.exit is code
    assert len(outcome.remarks) == len(words)
    assert all(word in remark for word, remark in zip(words, outcome.remarks, strict=True))


async def test_rows_alone_come_to_their_code(tmp_path: Path) -> None:
    totals = RunTotals(items=2, remove=1, unknown=1, complete=1, partial=1)
    outcome = outcome_of(job_over(tmp_path), progress_of(totals=totals), _Scan(), {})  # type: ignore[arg-type]
    assert outcome.exit is Exit.INCOMPLETE


def test_what_may_have_been_charged_twice_is_told() -> None:
    assert doubts_of(0, 0, 0) == []
    told = doubts_of(3, 2, 12)
    assert [any(word in remark for remark in told) for word in ("3 requests", "2 requests", "12 tokens")] == [True] * 3


@pytest.mark.parametrize(
    ("before", "after", "charged", "words"),
    [
        (Quota(tokens_used=10), Quota(tokens_used=15), 5, "confirms the 5 tokens"),
        (Quota(tokens_used=10), Quota(tokens_used=17), 5, "7 tokens were used since the start, 5 were counted"),
        (Quota(tokens_used=10), Quota(tokens_used=10), 0, ""),
        (Quota(), Quota(tokens_used=10), 5, ""),
        (Quota(tokens_used=10), None, 5, ""),
        (None, Quota(tokens_used=10), 5, ""),
    ],
)
async def test_the_vendors_count_is_compared_with_ours(
    tmp_path: Path, before: Quota | None, after: Quota | None, charged: int, words: str
) -> None:
    service = ToyEndpoint()
    service.quota_at_the_end = after
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, service).asker
        if charged:
            await asker.ask([sample_of(str(number)) for number in range(charged)])
    quotas = {"toy": before} if before is not None else {}
    remarks = await reconcile(Services((service,), None), quotas, {"toy": asker})
    assert len(remarks) == bool(words)
    assert all(words in remark for remark in remarks)


def test_rows_are_counted_as_they_come() -> None:
    progress = progress_of(totals=RunTotals())
    for index in range(3):
        progress.add(plain(index))
    assert (progress.run.totals.items, progress.run.totals.keep, progress.reasons) == (3, 3, set())


def test_a_cost_of_which_a_part_is_unknown_stays_unknown_however_many_rows_follow() -> None:
    def row_of(index: int, charged: int, cost: float | None) -> FileResult:
        return FileResult(replace(plain(index).row, tokens_charged=charged, cost=cost))

    progress = progress_of(totals=RunTotals())
    told = []
    for index, (charged, cost) in enumerate([(0, None), (1, 1.0), (1, None), (2, 2.0)]):
        progress.add(row_of(index, charged, cost))
        told.append(progress.run.cost)
    assert told == [None, 1.0, None, None]


def test_a_continued_run_adds_to_the_cost_that_its_report_tells(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, run())
    totals = []
    for index, cost in enumerate([1.0, None]):
        writer.add(FileResult(replace(plain(index).row, tokens_charged=1, cost=cost)))
        writer.flush()
        progress = RunProgress.resumed(run(), writer.published())
        progress.add(FileResult(replace(plain(9).row, tokens_charged=1, cost=2.0)))
        totals.append(progress.run.cost)
    assert totals == [3.0, None]


async def test_a_file_that_the_time_limit_left_unfinished_counts_whatever_else_is_wrong_with_it(tmp_path: Path) -> None:
    gaps = [Shortfall(Reason.DAMAGED, "cut off"), Shortfall(Reason.TIME_LIMIT, "late")]
    examined = Examined(MediaInfo("mov", 1.0), [], [], [], gaps, planned=3, answered=1, coverage=Coverage())
    progress = progress_of(totals=RunTotals())
    progress.add(examined_result(Opened(plain(0).row.item, BEGAN), examined, [], (), BEGAN))
    outcome = outcome_of(job_over(tmp_path), progress, _Scan(), {})  # type: ignore[arg-type]
    assert outcome.exit is Exit.TIME_LIMIT
    assert len(outcome.remarks) == 1


async def test_nothing_of_a_scan_goes_on_once_it_was_told_to_stop_while_results_were_written(tmp_path: Path) -> None:
    words, stop = Shelf(tmp_path), asyncio.Event()
    for name in "abc":
        words.add(name, f"{name} words")
    held = Hold()

    class Feed:
        async def settled(self) -> None:
            held.arrived.set()
            await held.let_go.wait()

    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, words, ToyEndpoint())
        ground = Ground(job_over(tmp_path), None, words, None, ledger)  # type: ignore[arg-type]
        before = asyncio.all_tasks()
        consuming = asyncio.create_task(_consume(scan, ground, Feed(), progress_of(), Watcher(), stop))  # type: ignore[arg-type]
        await held.arrived.wait()
        stop.set()
        assert await consuming
        left = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks() - before}
    assert left <= {"Delivery._deliver"}, "what is on its way to a service is waited for by others"


def test_workers_are_what_the_job_says_or_one_per_core(tmp_path: Path) -> None:
    assert workers_of(job_over(tmp_path, {("run", "workers"): 3})) == 3
    assert workers_of(job_over(tmp_path, {("run", "workers"): 0})) == len(os.sched_getaffinity(0))
    bounds = bounds_of(job_over(tmp_path, {("run", "workers"): 3}))
    assert bounds.decoders == 3
    assert bounds.files > bounds.processes > 3


async def test_a_source_does_not_walk_into_its_own_report(tmp_path: Path) -> None:
    for name in ("a.mp3", "reports/evidence/b.jpg", "reports/.state/c", "sub/d.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    job = job_over(tmp_path, {("report", "uri"): str(tmp_path / "reports")})
    entries = (await source_of(job)).entries()
    names = {Path(getattr(entry, "uri", "") or entry.item.uri).name for entry in entries}  # type: ignore[union-attr]
    assert names == {"a.mp3", "d.mp3"}


# ---------------------------------------------------------------------------------------------------------- small runs


async def test_a_run_tells_its_observer_and_finishes(tmp_path: Path) -> None:
    watcher = Watcher()
    outcome = await run_scan(job_over(manifest(tmp_path, 3)), watcher, asyncio.Event())
    assert (watcher.told[0], watcher.told[-1], len(watcher.told)) == ("started at 0", "finished", 5)
    assert (outcome.exit, outcome.run.exit_code, outcome.run.totals.failed) == (Exit.INCOMPLETE, 3, 3)
    assert outcome.run.finished_at is not None
    assert outcome.run.finished_at >= outcome.run.started_at


async def test_a_finished_run_is_not_continued_and_an_unfinished_one_is(tmp_path: Path) -> None:
    job = job_over(manifest(tmp_path, 3))
    stop = asyncio.Event()
    stop.set()
    stopped = await run_scan(job, Watcher(), stop)
    assert stopped.run.finished_at is None
    watcher = Watcher()
    continued = await run_scan(job, watcher, asyncio.Event())
    assert continued.run.run_id == stopped.run.run_id
    assert continued.run.totals.items == 3
    assert watcher.told[0] == f"started at {stopped.run.totals.items}"
    again = await run_scan(job, Watcher(), asyncio.Event())
    assert again.run.run_id != continued.run.run_id
    assert again.run.totals.items == 3


async def test_once_the_time_limit_has_passed_the_rest_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    for index in range(3):
        (tmp_path / "archive" / f"{index}.mp3").write_bytes(b"x")
    outcome = await run_scan(job_over(tmp_path / "archive", {("run", "max_time"): 0.0}), Watcher(), asyncio.Event())
    assert outcome.run.totals.skipped + outcome.run.totals.failed == 3
    assert outcome.exit in {Exit.TIME_LIMIT, Exit.INCOMPLETE}


async def test_a_report_in_a_place_of_a_kind_nobody_writes_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    job = job_over(
        manifest(tmp_path, 1), {("report", "uri"): "sftp://host/reports", ("state", "dir"): str(tmp_path / "s")}
    )
    with pytest.raises(UsageError, match="sftp:// holds no report; name a directory"):
        await run_scan(job, Watcher(), asyncio.Event())
    assert not (tmp_path / "s").exists()
