"""A process that writes a report to a bucket, to be killed, and what has to stand there once it was continued."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.report.reader import open_report
from batch_scan.report.schema import Table
from batch_scan.report.writer import ReportWriter
from tests.report import made

if TYPE_CHECKING:
    from tests.report.buckets import Bucket

_ROOT = Path(__file__).parents[2]
ITEMS, ROWS_PER_PART = 12, 5
"""A start puts the row of the run and five empty parts; a flush five tables, `files` last."""


def start(bucket: Bucket, endpoint: str) -> subprocess.Popen[str]:
    """Start or continue the run, through an endpoint."""
    command = [sys.executable, "-m", "tests.report.writing_child", bucket.uri, str(ITEMS), str(ROWS_PER_PART)]
    environment = {**os.environ, **bucket.environment, bucket.names_endpoint: endpoint, "PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=_ROOT)


def assert_as_if_left_alone(bucket: Bucket, directory: Path) -> None:
    """The bucket's report is the one that a run without interruption writes to a directory."""
    writer = ReportWriter(directory, made.run())
    for index in range(ITEMS):
        writer.add(made.full(index) if index % 3 else made.plain(index))
    writer.finish(made.run(ended=True))
    here, there = open_report(directory), open_report(bucket.uri, bucket.options)
    for table in Table:
        assert there.arrow(table).to_pylist() == here.arrow(table).to_pylist()
