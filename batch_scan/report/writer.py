"""Writes a report: results are buffered and published as whole parts, again and again while a run goes on.

A part of `files` is the commit marker. It is published after the parts of the other tables that have its number, so a
row of `files` that can be read has all its details; details without it are what a killed writer left, and are removed
when the run is continued. Everything of one flush is staged before the first of it is published, so that a full disk
leaves nothing half-done.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.report.buffer import TableBuffer
from batch_scan.report.layout import RUN_PART, is_run_id, part_numbers, part_path, partition
from batch_scan.report.published import identify_by_row, read_published
from batch_scan.report.rows import rows_of, run_row
from batch_scan.report.schema import DETAIL_TABLES, TABLES, Table
from batch_scan.report.store import TOP, store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch_scan.model import FileResult, RunRow
    from batch_scan.report.published import Identify, Published
    from batch_scan.report.store import Place, ReportStore, Staged

_BUFFER_BYTES = 16 << 20
"""About how much may wait in memory: raw answers are large, and a long film has many scores."""
_ROW_GROUP_ROWS = 65_536


class ReportWriter:
    """Writes the tables of one run. One thread at a time; one writer per run.

    Opening it publishes the run's row with `finished_at` null, and an empty part of every table, so that each can be
    read from the first moment. Opening it for a run that is there continues it. Until `flush`, `finish` or a limit
    of rows, bytes or age, results wait in memory: a run that is killed scans them again.
    """

    def __init__(
        self,
        place: Place,
        run: RunRow,
        *,
        rows_per_part: int = 10_000,
        max_age_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start or continue a run.

        Args:
            place: where the report is kept; a directory is made where it is not there.
            run: the run's row as far as it is known.
            rows_per_part: results after which a part is published.
            max_age_s: seconds that a result waits at most, as long as `add` or `flush_if_due` is called.
            clock: seconds that only grow.

        Raises BatchScanError where the report cannot be written.
        """
        if not is_run_id(run.run_id):
            raise UsageError(f"not the name of a run: {run.run_id!a}")
        self._store = store_of(place)
        self._run_id = run.run_id
        self._rows_per_part = rows_per_part
        self._max_age_s = max_age_s
        self._clock = clock
        self._empty_buffer()
        with _writing(self._store):
            self._clean_up()
            self._next_part = max(part_numbers(self._store, Table.FILES, run.run_id), default=-1) + 1
            self._publish_run(run)
            if self._next_part == 0:
                self._publish_buffer(tuple(TABLES)[1:])

    def published(self, identify: Identify = identify_by_row) -> Published:
        """Read which items have their row by now, buffered ones left out, and what is counted over them.

        Args:
            identify: makes an item's identity of its position and URI, as its source does: `identify_by_row` for
                manifests, `identify_by_uri` for directories and buckets.

        Raises BatchScanError where a part cannot be read.
        """
        with _writing(self._store):
            parts = part_numbers(self._store, Table.FILES, self._run_id)
        return read_published(self._store, list(parts.values()), identify)

    def add(self, result: FileResult) -> None:
        """Take one item's results; publishes a part when a limit is reached. Raises BatchScanError as `flush`."""
        if self.take(result):
            self.flush()

    def take(self, result: FileResult) -> bool:
        """Take one item's results and return `is_due`. Publishes nothing."""
        if not self._buffer[Table.FILES]:
            self._oldest_s = self._clock()
        for table, rows in rows_of(self._run_id, result).items():
            for row in rows:
                self._buffer[table].add(row)
        return self.is_due

    @property
    def is_due(self) -> bool:
        """Whether a limit of rows, bytes or age is reached, so that what waits is to be published."""
        waiting = len(self._buffer[Table.FILES])
        size_bytes = sum(rows.size_bytes for rows in self._buffer.values())
        full = waiting >= self._rows_per_part or size_bytes >= _BUFFER_BYTES
        return full or (waiting > 0 and self._clock() - self._oldest_s >= self._max_age_s)

    def flush_if_due(self) -> None:
        """Publish what waits, where a limit of rows, bytes or age is reached. Raises BatchScanError as `flush`."""
        if self.is_due:
            self.flush()

    def flush(self) -> None:
        """Publish what waits; durable when it returns.

        Raises BatchScanError where the report cannot be written (disk full, permission); nothing is lost then, and it
        may be tried again.
        """
        filled = tuple(table for table in TABLES if self._buffer[table])
        if filled:
            with _writing(self._store):
                self._publish_buffer(filled)

    def finish(self, run: RunRow) -> None:
        """Publish what waits and replace the run's row. Raises BatchScanError as `flush`."""
        self.flush()
        with _writing(self._store):
            self._publish_run(run)

    def _clean_up(self) -> None:
        for table in TABLES:
            self._store.sweep(partition(TOP, table, self._run_id))
        committed = part_numbers(self._store, Table.FILES, self._run_id)
        for table in DETAIL_TABLES:
            for number, key in part_numbers(self._store, table, self._run_id).items():
                if number not in committed:
                    self._store.delete(key)

    def _publish_run(self, run: RunRow) -> None:
        rows = TableBuffer(Table.RUNS)
        rows.add(run_row(run))
        self._store.publish([self._stage(Table.RUNS, RUN_PART, rows)])

    def _publish_buffer(self, tables: tuple[Table, ...]) -> None:
        staged: dict[Table, Staged] = {}
        try:
            for table in tables:
                staged[table] = self._stage(table, self._next_part, self._buffer[table])
            self._store.publish([file for table, file in staged.items() if table is not Table.FILES])
            self._store.publish([staged[Table.FILES]])
        finally:
            for file in staged.values():
                file.discard()
        self._next_part += 1
        self._empty_buffer()

    def _stage(self, table: Table, number: int, rows: TableBuffer) -> Staged:
        arrow = rows.as_table()

        def write(file: IO[bytes]) -> None:
            pq.write_table(arrow, file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)

        return self._store.stage(part_path(TOP, table, self._run_id, number), write)

    def _empty_buffer(self) -> None:
        self._buffer = {table: TableBuffer(table) for table in TABLES}
        self._oldest_s = 0.0


@contextmanager
def _writing(store: ReportStore) -> Iterator[None]:
    """Turn what the place says into one sentence for the operator."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise BatchScanError(
            f"the report in {store.uri} cannot be written: {why}; "
            "what is published stays, and the same command continues once this is mended"
        ) from error
