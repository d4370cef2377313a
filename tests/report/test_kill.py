"""Real processes that write a report are killed; nothing that was acknowledged may be missing or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import duckdb
import pandas as pd
import pytest

from batch_scan.report.layout import part_numbers, partition
from batch_scan.report.reader import open_report
from batch_scan.report.schema import Table
from tests.report import made

ROOT = Path(__file__).parents[2]
ITEMS = 160
ROWS_PER_PART = 5


def start(report: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.report.writing_child", str(report), str(ITEMS), str(ROWS_PER_PART), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def run_until_killed(report: Path, random: Random) -> int:
    """Kill a writer somewhere after its first flushes; return how many rows it had acknowledged."""
    with start(report) as child:
        assert child.stdout is not None
        acknowledged = int(child.stdout.readline())
        for _ in range(random.randrange(4)):
            acknowledged = int(child.stdout.readline() or acknowledged)
        try:
            child.wait(random.uniform(0.0, 0.03))
        except subprocess.TimeoutExpired:
            child.kill()
        said = child.stdout.read().split()
    assert child.returncode == -signal.SIGKILL, "it had ended before it could be killed: give it more items"
    return max([acknowledged, *map(int, said)])


def check_whole(report: Path, acknowledged: int) -> None:
    """Every reader reads; what was acknowledged is there, once, with its details."""
    with_pandas = pd.read_parquet(report / "files")
    assert len(with_pandas) >= acknowledged
    assert with_pandas["item"].is_unique
    query = f"SELECT count(*) FROM read_parquet('{report}/files/**/*.parquet', hive_partitioning = true)"  # noqa: S608
    assert duckdb.execute(query).fetchall() == [(len(with_pandas),)]
    opened = open_report(report)
    files = opened.files(columns=["uri", "findings"])
    details = opened.findings(columns=["uri"]).groupby("uri").size()
    assert details.to_dict() == files[files.findings > 0].set_index("uri").findings.to_dict()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_again_and_again_ends_with_the_rows_of_one_left_alone(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    report = tmp_path / "reports"
    acknowledged = 0
    for _ in range(6):
        acknowledged = max(acknowledged, run_until_killed(report, random))
        check_whole(report, acknowledged)
    check_ends_whole(report)


def test_a_run_killed_before_each_rename_in_turn_ends_with_the_rows_of_one_left_alone(tmp_path: Path) -> None:
    report = tmp_path / "reports"
    acknowledged = 0
    # A start renames the row of the run and five empty parts; a flush the parts of five tables.
    for renames in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12):
        with start(report, str(renames)) as child:
            said = child.communicate()[0].split()
        assert child.returncode == -signal.SIGKILL
        acknowledged = max([acknowledged, *map(int, said)])
        if part_numbers(report, Table.FILES, made.RUN_ID):
            check_whole(report, acknowledged)
    assert acknowledged >= ROWS_PER_PART
    check_ends_whole(report)


def check_ends_whole(report: Path) -> None:
    """The same command, left alone, ends with exactly one row per item and the details of each."""
    with start(report) as child:
        child.communicate()
    assert child.returncode == 0
    check_whole(report, ITEMS)
    opened = open_report(report)
    assert opened.run().exit_code == 1
    assert sorted(opened.files()["item"]) == list(range(ITEMS))
    # Every third item is plain; each of the others has this many rows in the tables of details.
    others = ITEMS - len(range(0, ITEMS, 3))
    counts = {table: len(opened.arrow(table)) for table in Table}
    assert counts == {
        Table.RUNS: 1,
        Table.FILES: ITEMS,
        Table.FINDINGS: 2 * others,
        Table.SCORES: 3 * others,
        Table.REQUESTS: 3 * others,
        Table.TRANSCRIPTS: 2 * others,
    }
    leftovers = [path for table in Table for path in partition(report, table, made.RUN_ID).glob(".*")]
    assert leftovers == []
    # The writer has removed details without their row of `files`, so readers that know nothing of it agree.
    assert len(pd.read_parquet(report / "findings")) == 2 * others
