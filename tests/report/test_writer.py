from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.model import FileResult, FileRow, RunId, RunTotals
from batch_scan.report.layout import part_numbers, part_path, partition
from batch_scan.report.published import identify_by_uri
from batch_scan.report.reader import open_report
from batch_scan.report.schema import DETAIL_TABLES, TABLES, Table
from batch_scan.report.writer import ReportWriter
from batch_scan.vocabulary import Reason, Status, Verdict
from tests.report import made

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def parts(root: Path, table: Table) -> list[int]:
    return list(part_numbers(root, table, made.RUN_ID))


def hidden(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(".")]


def test_every_table_can_be_read_before_the_first_result(tmp_path: Path) -> None:
    ReportWriter(tmp_path, made.run())
    for table, spec in TABLES.items():
        frame = pd.read_parquet(tmp_path / table.value)
        assert tuple(frame.columns) == spec.names
        assert len(frame) == (1 if table is Table.RUNS else 0)
    assert open_report(tmp_path).run().isna().finished_at


def test_results_are_published_when_their_number_is_reached(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run(), rows_per_part=3)
    for index in range(7):
        writer.add(made.full(index))
    assert parts(tmp_path, Table.FILES) == [0, 1, 2]
    assert open_report(tmp_path).files()["item"].tolist() == list(range(6))
    writer.flush()
    assert open_report(tmp_path).files()["item"].tolist() == list(range(7))


def test_results_are_published_when_the_oldest_has_waited_long_enough(tmp_path: Path) -> None:
    clock = Clock()
    writer = ReportWriter(tmp_path, made.run(), max_age_s=60.0, clock=clock)
    writer.add(made.plain(0))
    clock.now_s += 59.0
    writer.flush_if_due()
    assert parts(tmp_path, Table.FILES) == [0]
    clock.now_s += 1.0
    writer.flush_if_due()
    assert parts(tmp_path, Table.FILES) == [0, 1]
    clock.now_s += 3600.0
    writer.add(made.plain(1))
    assert parts(tmp_path, Table.FILES) == [0, 1], "a new result has not waited yet"


def test_large_answers_are_published_before_they_fill_the_memory(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    result = made.full(0)
    large = replace(result, requests=(replace(result.requests[0], answer='"' + "x" * (10 << 20) + '"'),))
    writer.add(large)
    assert parts(tmp_path, Table.FILES) == [0]
    writer.add(large)
    assert parts(tmp_path, Table.FILES) == [0, 1]


def test_tables_without_rows_get_no_part(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    writer.add(made.plain(0))
    writer.flush()
    writer.flush()
    assert parts(tmp_path, Table.FILES) == [0, 1]
    assert [parts(tmp_path, table) for table in DETAIL_TABLES] == [[0]] * 4


def test_finishing_publishes_what_waits_and_replaces_the_row_of_the_run(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    writer.add(made.full(0))
    writer.finish(made.run(ended=True, totals=RunTotals(items=1, remove=1, partial=1)))
    report = open_report(tmp_path)
    assert len(report.files()) == 1
    run = report.run()
    assert (run.exit_code, run["items"], run.remove, run.cost) == (1, 1, 1, 1.5)
    assert parts(tmp_path, Table.RUNS) == [0]
    assert hidden(tmp_path) == []


def test_a_continued_run_knows_what_it_has_and_goes_on_with_the_next_part(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    for result in (made.full(0), made.plain(1), made.lost(2, Reason.EXCLUDED, Status.SKIPPED)):
        writer.add(result)
    writer.flush()
    writer.add(made.plain(3))  # never flushed: lost with the process

    again = ReportWriter(tmp_path, made.run())
    published = again.published()
    assert len(published) == 3
    assert [made.item(index).identity in published for index in range(5)] == [True, True, True, False, False]
    assert published.totals == RunTotals(
        items=3, keep=1, flag=0, remove=1, unknown=1, complete=1, partial=1, failed=0, skipped=1,
        requests=2, cached_requests=1, tokens_estimated=9, tokens_charged=7,
    )  # fmt: skip
    assert published.cost.total == pytest.approx(0.07)
    again.add(made.plain(3))
    again.flush()
    assert parts(tmp_path, Table.FILES) == [0, 1, 2]
    assert open_report(tmp_path).files()["item"].tolist() == [0, 1, 2, 3]


def test_items_of_a_directory_are_known_by_their_uri_wherever_they_stand(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    writer.add(made.plain(7))
    writer.flush()
    published = writer.published(identify_by_uri)
    assert "/archive/7.mp4" in published
    assert "7:/archive/7.mp4" not in published


def test_names_that_utf8_cannot_hold_are_known_again(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    item = made.item(0, "/archive/\udcff\x00.mp4")
    writer.add(FileResult(FileRow(item, Verdict.KEEP, Status.COMPLETE)))
    writer.flush()
    assert item.identity in writer.published()
    assert open_report(tmp_path).files().uri[0] == "/archive/\\udcff\x00.mp4"


def test_cost_is_unknown_where_something_was_charged_without_a_price(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    writer.add(made.full(0))
    free = made.plain(1)
    writer.add(free)
    writer.flush()
    assert writer.published().cost.total == pytest.approx(0.07)
    writer.add(replace(free, row=replace(free.row, tokens_charged=1)))
    writer.flush()
    assert writer.published().cost.total is None


def test_details_without_their_row_of_files_are_not_read_and_go_when_the_run_is_continued(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    writer.add(made.full(0))
    writer.flush()
    writer.add(made.full(1))
    writer.flush()
    part_path(tmp_path, Table.FILES, made.RUN_ID, 2).unlink()
    assert len(open_report(tmp_path).findings()) == 2
    leftover = partition(tmp_path, Table.SCORES, made.RUN_ID) / ".part-00003.parquet.0badcafe.partial"
    leftover.write_bytes(b"PAR1 half")

    again = ReportWriter(tmp_path, made.run())
    assert [parts(tmp_path, table) for table in (Table.FILES, *DETAIL_TABLES)] == [[0, 1]] * 5
    assert not leftover.exists()
    again.add(made.full(1))
    again.flush()
    assert len(open_report(tmp_path).findings()) == 4


def test_two_runs_in_one_report_do_not_touch_each_other(tmp_path: Path) -> None:
    first = ReportWriter(tmp_path, made.run())
    second = ReportWriter(tmp_path, made.run(made.LATER_RUN_ID))
    first.add(made.full(0))
    second.add(made.full(1))
    second.add(made.full(2))
    second.flush()
    first.flush()
    report = open_report(tmp_path)
    assert report.run_id == made.LATER_RUN_ID
    assert report.files()["item"].tolist() == [1, 2]
    assert report.files(made.RUN_ID)["item"].tolist() == [0]
    assert len(pd.read_parquet(tmp_path / "files")) == 3


@pytest.mark.parametrize("name", ["../elsewhere", "", "run_id=x", "20261121T231648Z-7f3a9c/.."])
def test_a_run_is_not_written_under_a_name_that_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a run"):
        ReportWriter(tmp_path, made.run(RunId(name)))
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_whole_at_every_moment_of_a_run(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run(), rows_per_part=4)

    def write() -> None:
        for index in range(120):
            writer.add(made.full(index))

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while thread.is_alive():
        files = pd.read_parquet(tmp_path / "files")
        assert files["item"].tolist() == list(range(len(files)))
        report = open_report(tmp_path)
        read = len(report.files(columns=["uri"]))
        assert len(report.findings(columns=["uri"])) >= 2 * read, "a row of files comes after its details"
        seen.append(len(files))
    thread.join()
    assert all(count % 4 == 0 for count in seen)
    assert len(open_report(tmp_path).files()) == 120


@pytest.fixture
def no_file_larger_than_4_kib() -> Iterator[None]:
    """Make every write beyond 4 KiB of a file fail, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def check_disk_full(root: Path) -> ReportWriter:
    """Fill a report until it cannot be written; nothing half-written may show, and nothing be lost."""
    writer = ReportWriter(root, made.run(), rows_per_part=10**9)
    writer.add(made.full(0))
    writer.flush()
    before = {table: parts(root, table) for table in Table}
    for index in range(1, 4000):
        writer.add(made.full(index, score=index / 4000))
    with pytest.raises(BatchScanError, match=r"the report in .* cannot be written: .*; what is published stays"):
        writer.flush()
    assert {table: parts(root, table) for table in Table} == before
    assert hidden(root) == []
    assert open_report(root).files()["item"].tolist() == [0]
    return writer


@pytest.mark.usefixtures("no_file_larger_than_4_kib")
def test_a_part_that_cannot_be_written_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    # Parts of one result take more than 4 KiB, so the limit is raised to what they need.
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    writer = check_disk_full(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    writer.flush()
    report = open_report(tmp_path)
    assert report.files()["item"].tolist() == list(range(4000))
    assert len(report.scores(columns=["uri"])) == 3 * 4000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("a file system of a given size can only be mounted by root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_nothing_half_written(small_disk: Path) -> None:
    check_disk_full(small_disk / "reports")


def test_a_report_that_may_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(BatchScanError, match="cannot be written: File exists"):
        ReportWriter(tmp_path / "reports", made.run())


def test_a_damaged_part_is_named_when_the_run_is_continued(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    writer.add(made.plain(0))
    writer.flush()
    part_path(tmp_path, Table.FILES, made.RUN_ID, 1).write_bytes(b"PAR1 not really")
    with pytest.raises(BatchScanError, match=r"part-00001\.parquet cannot be read"):
        ReportWriter(tmp_path, made.run()).published()


def test_a_run_of_another_version_is_not_continued(tmp_path: Path) -> None:
    ReportWriter(tmp_path, made.run())
    path = part_path(tmp_path, Table.FILES, made.RUN_ID, 0)
    pd.read_parquet(path).drop(columns="cost").to_parquet(path)
    with pytest.raises(BatchScanError, match="other columns than this version writes"):
        ReportWriter(tmp_path, made.run()).published()


MEMORY_PROGRAM = """
import resource, sys
from pathlib import Path
from batch_scan.report.writer import ReportWriter
from tests.report import made

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

writer = ReportWriter(Path(sys.argv[1]), made.run())
for index in range(20_000):
    writer.add(made.plain(index))
warm = peak_mb()
for index in range(20_000, 150_000):
    writer.add(made.plain(index))
writer.flush()
published = writer.published()
assert len(published) == 150_000
print(peak_mb() - warm)
"""


def test_memory_does_not_grow_with_the_number_of_items(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MEMORY_PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    assert float(done.stdout) < 60.0
