from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import BatchScanError
from batch_scan.report.evidence import EvidenceStore
from batch_scan.report.feed import ReportFeed, in_thread
from batch_scan.report.reader import open_report
from batch_scan.report.writer import ReportWriter
from tests.report import made

if TYPE_CHECKING:
    from pathlib import Path


class Slow(EvidenceStore):
    """Evidence that takes until a test says so, and so holds up what is published after it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.waits = threading.Event()
        self.go = threading.Event()
        self.fails = False

    def settle(self) -> None:
        self.waits.set()
        assert self.go.wait(30)
        if self.fails:
            raise BatchScanError("evidence cannot be written")


def items(root: Path) -> list[int]:
    found: list[int] = open_report(root).files()["item"].tolist()
    return found


async def give(feed: ReportFeed, index: int) -> None:
    await feed.settled()
    feed.take(made.full(index))
    await feed.flush_if_due()


async def test_results_are_published_when_a_limit_is_reached_and_at_the_end(tmp_path: Path) -> None:
    feed = ReportFeed(ReportWriter(tmp_path, made.run(), rows_per_part=2))
    for index in range(3):
        await give(feed, index)
    assert items(tmp_path) == [0, 1]
    await feed.finish(made.run(ended=True))
    assert items(tmp_path) == [0, 1, 2]
    assert open_report(tmp_path).run().exit_code == 1


async def test_the_event_loop_goes_on_while_a_part_is_published_after_its_evidence(tmp_path: Path) -> None:
    evidence = Slow(tmp_path)
    feed = ReportFeed(ReportWriter(tmp_path, made.run(), rows_per_part=1), evidence)
    giving = asyncio.create_task(give(feed, 0))
    await asyncio.to_thread(evidence.waits.wait)
    assert items(tmp_path) == [], "a row never names evidence that is not kept yet"
    next_one = asyncio.create_task(give(feed, 1))
    await asyncio.sleep(0)
    assert not next_one.done()
    evidence.go.set()
    await asyncio.gather(giving, next_one)
    assert items(tmp_path) == [0, 1]


async def test_who_is_cancelled_while_a_part_is_published_leaves_it_whole(tmp_path: Path) -> None:
    evidence = Slow(tmp_path)
    feed = ReportFeed(ReportWriter(tmp_path, made.run(), rows_per_part=1), evidence)
    giving = asyncio.create_task(give(feed, 0))
    await asyncio.to_thread(evidence.waits.wait)
    giving.cancel()
    finishing = asyncio.create_task(feed.finish(made.run(ended=True)))
    await asyncio.sleep(0)
    evidence.go.set()
    with pytest.raises(asyncio.CancelledError):
        await giving
    await finishing
    assert items(tmp_path) == [0]
    assert open_report(tmp_path).run().exit_code == 1


async def test_evidence_that_cannot_be_kept_keeps_its_rows_back(tmp_path: Path) -> None:
    evidence = Slow(tmp_path)
    evidence.go.set()
    evidence.fails = True
    feed = ReportFeed(ReportWriter(tmp_path, made.run(), rows_per_part=1), evidence)
    with pytest.raises(BatchScanError, match="evidence cannot be written"):
        await give(feed, 0)
    assert items(tmp_path) == []
    evidence.fails = False
    await feed.finish(made.run())
    assert items(tmp_path) == [0]


@pytest.mark.parametrize(
    ("error", "trace"),
    [(BatchScanError("the report cannot be written: disk full"), False), (KeyError("a mistake of ours"), True)],
)
async def test_what_goes_wrong_when_who_asked_was_cancelled_is_told(
    error: Exception,
    trace: bool,  # noqa: FBT001 - a table
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits, go = threading.Event(), threading.Event()

    def work() -> None:
        waits.set()
        assert go.wait(30)
        raise error

    working = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(waits.wait, 30)
    working.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    (told,) = caplog.records
    assert told.getMessage() == f"what was under way at the stop has failed: {error}"
    assert bool(told.exc_info) == trace


async def test_work_of_a_writer_is_done_beside_the_event_loop_and_to_its_end_also_where_it_is_cancelled() -> None:
    waits, go, done = threading.Event(), threading.Event(), []

    def work() -> None:
        waits.set()
        assert go.wait(30)
        done.append("to its end")

    working = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(waits.wait, 30)
    working.cancel()
    await asyncio.sleep(0)
    assert not working.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert done == ["to its end"]
