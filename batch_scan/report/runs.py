"""Reads the row of one run back as the value that was written, without pandas."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.report.layout import RUN_PART, part_path
from batch_scan.report.rows import run_from_row
from batch_scan.report.schema import SCHEMAS, Table
from batch_scan.report.store import TOP, locate, store_of

if TYPE_CHECKING:
    from batch_scan.model import RunRow
    from batch_scan.report.store import Place


def read_run(place: Place, run_id: str) -> RunRow:
    """Return a run's row as the value that was written.

    Raises UsageError where the report has no such run, BatchScanError where its row cannot be read.
    """
    store, key = store_of(place), part_path(TOP, Table.RUNS, run_id, RUN_PART)
    try:
        with store.open(key) as opened, pq.ParquetFile(opened) as file:
            rows = file.read().to_pylist()
    except FileNotFoundError:
        raise UsageError(f"{store.uri} has no run {run_id}") from None
    except (OSError, pa.ArrowException) as error:
        where = locate(store, key)
        raise BatchScanError(f"{where} cannot be read ({type(error).__name__}); restore it from a copy") from error
    known = dict.fromkeys(SCHEMAS[Table.RUNS].names) | rows[0]
    for name in ("started_at", "finished_at"):
        # Arrow's time zone object needs the system's time zone data, which a slim container has not.
        known[name] = known[name].replace(tzinfo=UTC) if known[name] else None
    return run_from_row(known)
