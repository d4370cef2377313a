"""What cases measured, as rows: read back from the tables that they print, kept as lines of JSON.

A case says what it found once, as a Markdown table for people. What is kept for later is read from that same table, so
that the two cannot differ: of a cell such as `1.06 (0.99 to 1.12)` the median.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Cell = float | str
Row = dict[str, Cell]
"""Columns of a table by their names."""

_NUMBER: Final = re.compile(r"(-?\d+(?:,\d{3})*(?:\.\d+)?)(?= \(|, |$)")
"""A number that a cell begins with, as all of it or before its spread: `480 lines` is a text."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case found in one go."""

    case: str
    measured_at: str
    """UTC, ISO 8601."""
    cores: int
    python: str
    runs: int
    length_s: int
    rows: list[Row]

    def line(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def rows_of(markdown: str) -> list[Row]:
    """Return the rows of every Markdown table in a text, numbers as numbers. Whatever is no table is passed over."""
    rows: list[Row] = []
    head: list[str] = []
    for line in markdown.splitlines():
        if not line.startswith("| "):
            head = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not head:
            head = cells
        elif cells[0] != "---":
            rows.append({name: _cell(text) for name, text in zip(head, cells, strict=True)})
    return rows


def read(paths: Iterable[Path]) -> list[Measured]:
    """Return what `--json` wrote to these files, oldest first. Raises SystemExit, with a reason, for any other file."""
    found: list[Measured] = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [Measured(**_checked(json.loads(line))) for line in lines]
        except OSError as error:
            raise SystemExit(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError):
            raise SystemExit(f"{path} holds something else than what --json writes") from None
    return found


def rows_by_case(measured: Sequence[Measured]) -> dict[str, list[Row]]:
    """Return all rows of each case, in the order in which they were measured."""
    rows: dict[str, list[Row]] = {}
    for one in measured:
        rows.setdefault(one.case, []).extend(one.rows)
    return rows


def _cell(text: str) -> Cell:
    found = _NUMBER.match(text)
    return float(found[1].replace(",", "")) if found else text


def _checked(record: Any) -> dict[str, Any]:
    """Return a record whose rows are rows. Raises TypeError for others."""
    if not isinstance(record, dict) or not all(isinstance(row, dict) for row in record["rows"]):
        raise TypeError(record)
    return record
