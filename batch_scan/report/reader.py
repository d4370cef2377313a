"""Reads a report into pandas, for notebooks: ``batch_scan.open_report("reports").findings()``.

Only parts that count are read (see `layout.committed_parts`), so a report can be read while its run goes on and after a
run was killed. What a column is does not depend on what stands in it: whole numbers are pandas' `Int64` (null where
unknown, never a float), numbers `float64`, times `datetime64[us, UTC]`, `manifest` and `box` are dictionaries,
`endpoints` is a list, the rest is text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.report.layout import committed_parts, is_run_id, part_numbers, run_ids, run_of_partition
from batch_scan.report.schema import SCHEMAS, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.model import RunId

_PANDAS_TYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def open_report(path: str | Path) -> Report:
    """Open a report for reading.

    Args:
        path: the report's directory, for its newest run; or of one of its runs `REPORT/RUN_ID` or
            `REPORT/runs/run_id=RUN_ID`.

    Raises UsageError where there is no report.
    """
    path = Path(path)
    try:
        runs = run_ids(path)
        if runs:
            return Report(path, runs[-1])
        for root, run_id in ((path.parent, path.name), (path.parent.parent, run_of_partition(path))):
            if run_id in run_ids(root):
                return Report(root, run_id)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if is_run_id(path.name) and (known := run_ids(path.parent)):
        raise UsageError(f"{path.parent} has no run {path.name}; its newest is {known[-1]}")
    raise UsageError(f"{path} is not a report: it has no table `runs`; name the directory that --report named")


class Report:
    """A report on disk and one of its runs. Every table method reads the disk anew."""

    def __init__(self, root: Path, run_id: str) -> None:
        """Use `open_report`, which looks whether there is one."""
        self.root = root
        """Directory of the report."""
        self.run_id = run_id
        """The run that the table methods show unless told otherwise."""

    def __repr__(self) -> str:
        return f"Report({str(self.root)!r}, run_id={self.run_id!r})"

    def run_ids(self) -> list[RunId]:
        """Return the runs of this report, oldest first."""
        return run_ids(self.root)

    def run(self, run_id: str | None = None) -> pd.Series[Any]:
        """Return the row of one run as a series."""
        return self._frame(Table.RUNS, run_id, None).iloc[0]

    def runs(self) -> pd.DataFrame:
        """Return the rows of all runs, oldest first."""
        parts = [part for run_id in self.run_ids() for part in committed_parts(self.root, Table.RUNS, run_id)]
        return _frame(_read(self.root, Table.RUNS, parts, SCHEMAS[Table.RUNS]))

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
        if not part_numbers(self.root, Table.RUNS, run_id):
            raise UsageError(f"{self.root} has no run {run_id}")
        return _read(self.root, table, committed_parts(self.root, table, run_id), schema)

    def _frame(self, table: Table, run_id: str | None, columns: Sequence[str] | None) -> pd.DataFrame:
        return _frame(self.arrow(table, run_id, columns))


def _read(root: Path, table: Table, parts: Sequence[Path], schema: pa.Schema) -> pa.Table:
    if not parts:
        return schema.empty_table()
    try:
        # The schema given, columns that an older version did not write are null.
        dataset = ds.dataset([str(part) for part in parts], schema=SCHEMAS[table], format="parquet")
        return dataset.to_table(columns=schema.names)
    except (OSError, pa.ArrowException) as error:
        raise BatchScanError(f"table `{table}` of {root} cannot be read: {error}") from error


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
