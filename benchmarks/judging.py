"""Figures against their targets: which are reached, which are not and by how much, which were not measured."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measure import table
from benchmarks.targets import Sense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Cell, Row
    from benchmarks.targets import Target

_SHOWN: Final = 8
"""More figures than that are told by their range, more misses by the worst of them."""
_HEAD: Final = ("what", "target", "measured", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row's figure and its limit."""

    name: str
    value: float
    limit: float
    sense: Sense

    @property
    def reached(self) -> bool:
        """Whether it is on the right side."""
        holds = operator.le if self.sense is Sense.AT_MOST else operator.ge
        return bool(holds(self.value, self.limit))

    @property
    def miss(self) -> float:
        """How many times it is off, above 1 where the limit is not reached."""
        upper, lower = (self.value, self.limit) if self.sense is Sense.AT_MOST else (self.limit, self.value)
        return upper / lower if lower else float("inf")

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g}" if self.name else f"{self.value:.3g}"


def against(targets: Sequence[Target], rows: Mapping[str, Sequence[Row]]) -> str:
    """Return a Markdown table with one line per target.

    Args:
        targets: what is asked.
        rows: the rows of each case's tables; of two rows of one name the later counts.
    """
    return table(_HEAD, [_line(target, rows.get(target.case, ())) for target in targets])


def _figures(target: Target, rows: Sequence[Row]) -> list[Figure]:
    named = {_name(target, row): row for row in rows if _counts(target, row)}
    figures = []
    for name, row in named.items():
        limit = target.limit.get(name) if isinstance(target.limit, Mapping) else target.limit
        value, whole = _number(row.get(target.column)), _number(row.get(target.over, 1.0))
        if limit is not None and value is not None and whole:
            figures.append(Figure(name, value / whole, limit, target.sense))
    return figures


def _counts(target: Target, row: Row) -> bool:
    return target.column in row and all(row.get(column) == cell for column, cell in target.where.items())


def _name(target: Target, row: Row) -> str:
    return " ".join(f"{_number(cell):g}" if isinstance(cell, float) else cell for cell in _cells(target, row))


def _cells(target: Target, row: Row) -> list[Cell]:
    return [row.get(column, "") for column in target.by]


def _number(cell: Cell | None) -> float | None:
    return float(cell) if isinstance(cell, int | float) else None


def _line(target: Target, rows: Sequence[Row]) -> list[str]:
    figures = _figures(target, rows)
    asked = target.limit.items() if isinstance(target.limit, Mapping) else [("", target.limit)]
    limits = ", ".join(f"{name} {target.sense} {limit:g}".strip() for name, limit in asked)
    measured = ", ".join(map(str, figures))
    if len(figures) > _SHOWN:
        values = sorted(figure.value for figure in figures)
        measured = f"{len(figures)} figures, {values[0]:.3g} to {values[-1]:.3g}"
    if rows and not any(target.column in row for row in rows):
        return [target.what, limits, measured, f"not measured: {target.case} told of no {target.column!r}"]
    return [target.what, limits, measured, _verdict(target, figures)]


def _verdict(target: Target, figures: Sequence[Figure]) -> str:
    """Return the words for it: a target is reached where all of it was measured and every figure is within."""
    if not figures:
        return "not measured"
    names = {figure.name for figure in figures}
    unmeasured = [name for name in target.limit if name not in names] if isinstance(target.limit, Mapping) else []
    missing = f"; not measured: {', '.join(unmeasured)}" if unmeasured else ""
    missed = sorted((figure for figure in figures if not figure.reached), key=lambda figure: -figure.miss)
    if not missed:
        return f"reached{missing}"
    if len(figures) == 1:
        return f"not reached{missing}"
    told = ", ".join(map(str, missed[:_SHOWN])) + (f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else "")
    return f"not reached by {len(missed)} of {len(figures)}: {told}{missing}"
