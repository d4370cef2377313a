"""Counts a run's rows, and says which exit code they come to. Pure."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING

from batch_scan.job import FailOn
from batch_scan.verdict import at_or_above
from batch_scan.vocabulary import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batch_scan.model import FileRow, RunTotals

_BOUND = {FailOn.FLAG: Verdict.FLAG, FailOn.REMOVE: Verdict.REMOVE}


class Exit(IntEnum):
    """Exit codes; where several apply the last of them here wins."""

    CLEAN = 0
    FOUND = 1
    INCOMPLETE = 3
    BUDGET = 4
    TIME_LIMIT = 5
    ENDPOINT_REFUSED = 6
    USAGE = 2
    INTERNAL = 7
    INTERRUPTED = 130
    TERMINATED = 143


_ORDER = list(Exit)


def add_row(totals: RunTotals, row: FileRow) -> RunTotals:
    """Return the totals with one more row."""
    return replace(
        totals,
        items=totals.items + 1,
        **{
            row.verdict.value: getattr(totals, row.verdict) + 1,
            row.status.value: getattr(totals, row.status) + 1,
        },
        requests=totals.requests + row.requests,
        cached_requests=totals.cached_requests + row.cached_requests,
        tokens_estimated=totals.tokens_estimated + row.tokens_estimated,
        tokens_charged=totals.tokens_charged + row.tokens_charged,
    )


def exit_of_rows(totals: RunTotals, fail_on: FailOn) -> Exit:
    """Return the exit code that the rows alone come to."""
    if totals.partial or totals.failed:
        return Exit.INCOMPLETE
    bound = _BOUND.get(fail_on)
    counts = {Verdict.FLAG: totals.flag, Verdict.REMOVE: totals.remove}
    found = bound is not None and any(count and at_or_above(verdict, bound) for verdict, count in counts.items())
    return Exit.FOUND if found else Exit.CLEAN


def worst(codes: Iterable[Exit]) -> Exit:
    """Return the exit code that wins among those that apply."""
    return max(codes, key=_ORDER.index)
