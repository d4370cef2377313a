from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.model import RunId
from batch_scan.report.layout import part_path
from batch_scan.report.runs import read_run
from batch_scan.report.schema import Table
from batch_scan.report.writer import ReportWriter
from tests.report import made

if TYPE_CHECKING:
    from pathlib import Path


def test_the_row_of_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run())
    assert read_run(tmp_path, made.RUN_ID) == made.run()
    writer.finish(made.run(ended=True))
    assert read_run(tmp_path, made.RUN_ID) == made.run(ended=True)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no run 20200101T000000Z-000000"):
        read_run(tmp_path, RunId("20200101T000000Z-000000"))


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    ReportWriter(tmp_path, made.run())
    part_path(tmp_path, Table.RUNS, made.RUN_ID, 0).write_bytes(b"")
    with pytest.raises(BatchScanError, match=r"part-00000\.parquet cannot be read"):
        read_run(tmp_path, made.RUN_ID)
