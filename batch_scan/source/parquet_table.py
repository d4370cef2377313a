"""Manifests in Parquet, read a batch at a time."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batch_scan.errors import UsageError
from batch_scan.source.table import BadRow, Row, column_names, require_uri_column
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BATCH_ROWS = 1024
_BUFFER_BYTES = 1 << 20


class ParquetTable:
    """A manifest in Parquet. Values become text: numbers as Python writes them, times in ISO 8601, nested as JSON.

    Rows of a row group that cannot be read are bad rows, each of them; the next row group is read again.
    """

    def __init__(self, path: Path, shown_path: str) -> None:
        self._path = path
        try:
            with self._open() as file:
                schema = file.schema_arrow
                self._rows_of_groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{shown_path} is not a readable Parquet file: {clean_text(str(error))}") from None
        self._names = column_names(schema.names, shown_path)
        self._uri_position = self._names.index(require_uri_column(self._names, shown_path))
        kind = schema.field(self._uri_position).type
        if not _is_text(kind):
            raise UsageError(f"{shown_path}: the column {self._names[self._uri_position]!r} holds {kind}, not text")

    def rows(self) -> Iterator[Row | BadRow]:
        """See `Table.rows`."""
        first = 1
        try:
            opened = self._open()
        except pa.ArrowException as error:
            raise OSError(str(error)) from None
        with opened as file:
            for group, expected in enumerate(self._rows_of_groups):
                yield from self._group(file, group, first, expected)
                first += expected

    def total(self) -> int | None:
        """See `Table.total`."""
        return int(sum(self._rows_of_groups))

    def _open(self) -> pq.ParquetFile:
        # Without pre_buffer and with a buffer, a row group is streamed instead of held.
        return pq.ParquetFile(self._path, pre_buffer=False, buffer_size=_BUFFER_BYTES)

    def _group(self, file: pq.ParquetFile, group: int, first: int, expected: int) -> Iterator[Row | BadRow]:
        number = first
        problem = "the file ends before it"
        try:
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
                for row in self._batch(batch, number):
                    yield row
                    number += 1
        except (OSError, pa.ArrowException) as error:
            problem = clean_text(str(error))
        for lost in range(number, first + expected):
            yield BadRow(f"row={lost}", f"row group {group} cannot be read: {problem}", {})

    def _batch(self, batch: pa.RecordBatch, first: int) -> Iterator[Row]:
        columns = [_texts(column) for column in batch.columns]
        uris = columns.pop(self._uri_position)
        names = [name for position, name in enumerate(self._names) if position != self._uri_position]
        for offset, uri in enumerate(uris):
            others = {
                name: value
                for name, column in zip(names, columns, strict=True)
                if (value := column[offset]) is not None
            }
            yield Row(f"row={first + offset}", uri or "", others)


def _texts(column: pa.Array) -> list[str | None]:
    try:
        return [_text(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):  # some value is not UTF-8, or a time that Python cannot hold
        return [_odd_text(scalar) for scalar in column]


def _odd_text(scalar: pa.Scalar) -> str | None:
    try:
        return _text(scalar.as_py())
    except UnicodeDecodeError as error:
        return bytes(error.object).decode("utf-8", "backslashreplace")
    except (ValueError, OverflowError):
        return str(getattr(scalar, "value", scalar.type))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case dict() | list() | tuple():
            return json.dumps(value, default=_text, ensure_ascii=False)
        case _:
            return _plain_text(value)


def _plain_text(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value)
