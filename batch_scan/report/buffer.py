"""Rows of one table that wait to be published: the latest as tuples, all before them as Arrow.

As Arrow a row takes a quarter of its memory, and what is left to do when a part is written holds no other thread up.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batch_scan.report.arrow import arrow_table
from batch_scan.report.schema import SCHEMAS, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.report.schema import Table

CHUNK_ROWS = 256
"""Rows that are made Arrow at a time, in some 3 ms."""
_CHUNK_BYTES = 1 << 20
_VALUE_BYTES = 40
"""What a value weighs beside its text: its place in the tuple and a small object."""


class TableBuffer:
    """The rows of one table, in the order in which they came."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._in_order = itemgetter(*TABLES[table].names)
        self._chunks: list[pa.Table] = []
        self._chunk_bytes = 0
        self._rows: list[tuple[Any, ...]] = []
        self._row_bytes = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self._chunk_bytes + self._row_bytes

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one row, with exactly the columns of the table."""
        values = self._in_order(row)
        self._rows.append(values)
        self._row_bytes += _weight(values)
        self._length += 1
        if len(self._rows) >= CHUNK_ROWS or self._row_bytes >= _CHUNK_BYTES:
            chunk = arrow_table(self._table, self._rows)
            self._chunks.append(chunk)
            self._chunk_bytes += chunk.nbytes
            self._rows.clear()
            self._row_bytes = 0

    def as_table(self) -> pa.Table:
        """Return all rows as one table of exactly the schema; they stay here too."""
        rest = [arrow_table(self._table, self._rows)] if self._rows else []
        whole = [*self._chunks, *rest]
        return pa.concat_tables(whole) if whole else SCHEMAS[self._table].empty_table()


def _weight(values: tuple[Any, ...]) -> int:
    """Return about how many bytes a row takes as a tuple."""
    return _VALUE_BYTES * len(values) + sum(map(_length, values))


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_length, value)) if isinstance(value, list | tuple) else 0
