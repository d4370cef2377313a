"""Manifests in CSV and TSV.

Read with the standard library's parser rather than with pandas: a million lines must give a million rows, and pandas
drops rows with too many fields and fills up those with too few, neither of which can be told from what it returns.
"""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.errors import UsageError
from batch_scan.source.table import BadRow, Row, column_names, require_uri_column
from batch_scan.source.textfile import MAX_LINE_CHARS, bounded_lines, check_utf8, open_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class CsvTable:
    """A manifest in CSV: a line with the names of columns, then a row per file. Every value is taken as it stands.

    Blank lines are no rows. A row with another number of fields than the first line has, or with a quote left open, is
    bad; the further lines that it swallowed are read again as rows, so that a stray quote hides none.
    """

    def __init__(self, path: Path, shown_path: str, delimiter: str) -> None:
        self._path = path
        self._delimiter = delimiter
        check_utf8(path, shown_path)
        head = next(self._records(), None)
        if head is None or head.problem:
            problem = head.problem if head else "there is none"
            raise UsageError(f"{shown_path}: the line with the names of columns cannot be read: {problem}")
        names = column_names(head.fields, shown_path)
        column = require_uri_column(names, shown_path, _separator_hint(names, delimiter))
        self._uri_position = names.index(column)
        self._others = [name for name in names if name != column]

    def rows(self) -> Iterator[Row | BadRow]:
        """See `Table.rows`."""
        records = self._records()
        next(records, None)
        return map(self._row, records)

    def total(self) -> int | None:
        """See `Table.total`. Counts by parsing, a few microseconds a row: quoted fields may hold line ends."""
        return sum(1 for _ in self._records()) - 1

    def _records(self) -> Iterator[_Record]:
        with open_lines(self._path, newline="") as file:
            yield from _parse(_Lines(bounded_lines(file)), self._delimiter)

    def _row(self, record: _Record) -> Row | BadRow:
        place = f"line={record.line}"
        if record.problem:
            return BadRow(place, record.problem, {})
        uri = record.fields.pop(self._uri_position)
        return Row(place, uri, dict(zip(self._others, record.fields, strict=True)))


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    """Number of its first line, from 1."""
    fields: list[str]
    problem: str = ""


class _Lines:
    """Lines for the parser; those that a bad row swallowed can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._taken_chars = 0
        self.row_starts_at = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        self._taken_chars += len(line)
        if self._taken_chars > MAX_LINE_CHARS:
            raise csv.Error(f"it is longer than {MAX_LINE_CHARS} characters")
        return line

    def start_row(self) -> None:
        """The next line begins a row."""
        self.row_starts_at += len(self._taken)
        self._taken.clear()
        self._taken_chars = 0

    def give_back(self) -> None:
        """Let all lines of the current row but its first be read again."""
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]


def _parse(lines: _Lines, delimiter: str) -> Iterator[_Record]:
    """Yield records, the one with the names of columns first; it says how many fields the others must have."""
    parser = csv.reader(lines, delimiter=delimiter, strict=True)
    width = 0
    while True:
        lines.start_row()
        try:
            fields = next(parser)
        except StopIteration:
            return
        except csv.Error as error:
            lines.give_back()
            yield _Record(lines.row_starts_at, [], str(error))
            continue
        if not fields:
            continue
        width = width or len(fields)
        if len(fields) == width:
            yield _Record(lines.row_starts_at, fields)
        else:
            lines.give_back()
            problem = f"it has {len(fields)} fields where the first line has {width}"
            yield _Record(lines.row_starts_at, [], problem)


def _separator_hint(names: list[str], delimiter: str) -> str:
    """Return what to do where the whole first line became one name because it is separated otherwise."""
    other = next((char for char in ";\t,|" if len(names) == 1 and char != delimiter and char in names[0]), "")
    return f"; they seem to be separated by {other!r} instead of {delimiter!r}" if other else ""
