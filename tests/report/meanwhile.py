"""A report that is read over and over while it is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from batch_scan.report.writer import ReportWriter
from tests.report import made

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from batch_scan.report.store import ReportStore

ROWS_PER_PART = 4


def assert_whole_while_written(place: ReportStore, items: int, read: Callable[[], pd.DataFrame]) -> None:
    """What `read` finds of `files` at any moment are the first items, in whole parts, and all of them in the end."""
    writer = ReportWriter(place, made.run(), rows_per_part=ROWS_PER_PART)

    def write_all() -> None:
        for index in range(items):
            writer.add(made.full(index))

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write_all)
        is_last = False
        while not is_last:
            is_last = writing.done()
            found = sorted(read()["item"])
            assert found == list(range(len(found)))
            assert len(found) % ROWS_PER_PART == 0
        writing.result()
    assert len(found) == items
