"""Reads a report into pandas, for notebooks: ``batch_scan.open_report("reports").findings()``.

Only parts that count are read (see `layout.committed_parts`), so a report can be read while its run goes on and after a
run was killed. What a column is does not depend on what stands in it: whole numbers are pandas' `Int64` (null where
unknown, never a float), numbers `float64`, times `datetime64[us, UTC]`, `manifest` and `box` are dictionaries,
`endpoints` is a list, the rest is text.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.report.directory import DirectoryStore
from batch_scan.report.layout import committed_parts, is_run_id, part_numbers, run_ids, run_of_partition
from batch_scan.report.open import open_place
from batch_scan.report.schema import SCHEMAS, Table
from batch_scan.report.store import store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import PurePath

    from batch_scan.model import RunId
    from batch_scan.report.store import Place, ReportStore
    from batch_scan.store import StoreOptions

_READS_AT_ONCE = 8
_PANDAS_TYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def open_report(path: str | Path, options: StoreOptions | None = None) -> Report:
    """Open a report for reading.

    Args:
        path: the report's directory or bucket URL (``s3://…``, ``gs://…``, ``az://…``), for its newest run; or of one
            of its runs `REPORT/RUN_ID` or `REPORT/runs/run_id=RUN_ID`.
        options: how a bucket is reached, where the environment does not say it.

    Raises UsageError where there is no report, or its bucket cannot be reached.
    """
    remote = isinstance(path, str) and "://" in path
    at = PurePosixPath(str(path).partition("://")[2].strip("/")) if remote else Path(path)

    def above(levels: int) -> ReportStore:
        """Return the place so many levels above the path."""
        if not remote:
            return DirectoryStore(Path(path) if levels == 0 else Path(path).parents[levels - 1])
        scheme, _, rest = str(path).partition("://")
        parts = rest.strip("/").split("/")
        return open_place(f"{scheme}://{'/'.join(parts[: len(parts) - levels])}", options)

    try:
        return _opened(at, above)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _opened(at: PurePath, above: Callable[[int], ReportStore]) -> Report:
    place = above(0)
    place.reach()
    runs = run_ids(place)
    if runs:
        return Report(place, runs[-1])
    for levels, run_id in ((1, at.name), (2, run_of_partition(at))):
        if run_id is not None and is_run_id(run_id) and run_id in run_ids(above(levels)):
            return Report(above(levels), run_id)
    if is_run_id(at.name) and (known := run_ids(above(1))):
        raise UsageError(f"{above(1).uri} has no run {at.name}; its newest is {known[-1]}")
    raise UsageError(
        f"{place.uri} is not a report: it has no table `runs`; name the directory or bucket that --report named"
    )


class Report:
    """A report and one of its runs. Every table method reads its place anew."""

    def __init__(self, place: Place, run_id: str) -> None:
        """Use `open_report`, which looks whether there is one."""
        self.place = store_of(place)
        """Where the report is kept."""
        self.run_id = run_id
        """The run that the table methods show unless told otherwise."""

    @property
    def root(self) -> Path | str:
        """Directory of the report, or its URL."""
        return self.place.uri if self.place.is_remote else Path(self.place.uri)

    def __repr__(self) -> str:
        return f"Report({self.place.uri!r}, run_id={self.run_id!r})"

    def run_ids(self) -> list[RunId]:
        """Return the runs of this report, oldest first."""
        return run_ids(self.place)

    def run(self, run_id: str | None = None) -> pd.Series[Any]:
        """Return the row of one run as a series."""
        return self._frame(Table.RUNS, run_id, None).iloc[0]

    def runs(self) -> pd.DataFrame:
        """Return the rows of all runs, oldest first."""
        parts = [part for run_id in self.run_ids() for part in committed_parts(self.place, Table.RUNS, run_id)]
        return _frame(_read(self.place, Table.RUNS, parts, SCHEMAS[Table.RUNS]))

    def files(self, run_id: str | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per item of a run.

        Args:
            run_id: the run; by default the one this report was opened for.
            columns: names of the columns wanted; all by default.

        Raises UsageError for a run or a column that is not there, BatchScanError where a part cannot be read.
        """
        return self._frame(Table.FILES, run_id, columns)

    def findings(self, run_id: str | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per finding of a run; arguments and errors as for `files`."""
        return self._frame(Table.FINDINGS, run_id, columns)

    def scores(self, run_id: str | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per score of a run; arguments and errors as for `files`."""
        return self._frame(Table.SCORES, run_id, columns)

    def requests(self, run_id: str | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per request of a run; arguments and errors as for `files`."""
        return self._frame(Table.REQUESTS, run_id, columns)

    def transcripts(self, run_id: str | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per utterance of a run; arguments and errors as for `files`."""
        return self._frame(Table.TRANSCRIPTS, run_id, columns)

    def arrow(self, table: Table, run_id: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a run's table as Arrow; arguments and errors as for `files`."""
        schema = _schema_of(table, columns)
        run_id = run_id or self.run_id
        if not part_numbers(self.place, Table.RUNS, run_id):
            raise UsageError(f"{self.place.uri} has no run {run_id}")
        return _read(self.place, table, committed_parts(self.place, table, run_id), schema)

    def _frame(self, table: Table, run_id: str | None, columns: Sequence[str] | None) -> pd.DataFrame:
        return _frame(self.arrow(table, run_id, columns))


def _read(store: ReportStore, table: Table, parts: Sequence[PurePosixPath], schema: pa.Schema) -> pa.Table:
    def read(part: PurePosixPath) -> pa.Table:
        try:
            with store.open(part) as opened, pq.ParquetFile(opened, pre_buffer=store.is_remote) as file:
                return _conform(file, schema)
        except (OSError, pa.ArrowException) as error:
            raise BatchScanError(f"table `{table}` of {store.uri} cannot be read: {part}: {error}") from error

    if not parts:
        return schema.empty_table()
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        return pa.concat_tables(pool.map(read, parts))


def _conform(file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    """Read the columns of a schema; those that an older version did not write are null."""
    there = [name for name in schema.names if name in file.schema_arrow.names]
    read = file.read(columns=there)
    columns = [
        read[name].cast(schema.field(name).type)
        if name in there
        else pa.nulls(file.metadata.num_rows, schema.field(name).type)
        for name in schema.names
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _frame(arrow: pa.Table) -> pd.DataFrame:
    plain = pa.schema([field.with_type(_plain_type(field.type)) for field in arrow.schema])
    frame: pd.DataFrame = arrow.cast(plain).to_pandas(types_mapper=_PANDAS_TYPES.get, maps_as_pydicts="lossy")
    if "endpoints" in frame:
        frame["endpoints"] = pd.Series(arrow["endpoints"].to_pylist(), dtype=object, index=frame.index)
    return frame


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _schema_of(table: Table, columns: Sequence[str] | None) -> pa.Schema:
    schema = SCHEMAS[table]
    if columns is None:
        return schema
    unknown = [name for name in columns if name not in schema.names]
    if unknown:
        raise UsageError(f"table `{table}` has no column {unknown[0]!a}; it has {', '.join(schema.names)}")
    return pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
