from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.job import FailOn
from batch_scan.model import FileRow, Item, RunTotals
from batch_scan.totals import Exit, add_row, exit_of_rows, worst
from batch_scan.vocabulary import Status, Verdict


def row(verdict: Verdict, status: Status) -> FileRow:
    item = Item(0, "/a", "0:/a", "/a")
    return FileRow(item, verdict, status, requests=2, cached_requests=1, tokens_estimated=40, tokens_charged=20)


@given(st.lists(st.builds(row, st.sampled_from(list(Verdict)), st.sampled_from(list(Status)))))
def test_totals_add_up_to_the_rows(rows: list[FileRow]) -> None:
    totals = RunTotals()
    for one in rows:
        totals = add_row(totals, one)
    assert totals.items == len(rows) == totals.keep + totals.flag + totals.remove + totals.unknown
    assert totals.items == totals.complete + totals.partial + totals.failed + totals.skipped
    assert (totals.requests, totals.cached_requests) == (2 * len(rows), len(rows))
    assert (totals.tokens_estimated, totals.tokens_charged) == (40 * len(rows), 20 * len(rows))


@pytest.mark.parametrize(
    ("totals", "fail_on", "code"),
    [
        (RunTotals(items=1, keep=1, complete=1), FailOn.FLAG, Exit.CLEAN),
        (RunTotals(items=1, flag=1, complete=1), FailOn.FLAG, Exit.FOUND),
        (RunTotals(items=1, flag=1, complete=1), FailOn.REMOVE, Exit.CLEAN),
        (RunTotals(items=1, remove=1, complete=1), FailOn.REMOVE, Exit.FOUND),
        (RunTotals(items=1, remove=1, complete=1), FailOn.NEVER, Exit.CLEAN),
        (RunTotals(items=2, remove=1, unknown=1, complete=1, failed=1), FailOn.NEVER, Exit.INCOMPLETE),
        (RunTotals(items=1, flag=1, partial=1), FailOn.FLAG, Exit.INCOMPLETE),
        (RunTotals(items=2, keep=1, complete=1, unknown=1, skipped=1), FailOn.FLAG, Exit.CLEAN),
        (RunTotals(), FailOn.FLAG, Exit.CLEAN),
    ],
)
def test_rows_come_to_an_exit_code(totals: RunTotals, fail_on: FailOn, code: Exit) -> None:
    assert exit_of_rows(totals, fail_on) is code


def test_the_last_of_the_documented_order_wins() -> None:
    assert worst([Exit.FOUND, Exit.BUDGET, Exit.INCOMPLETE]) is Exit.BUDGET
    assert worst([Exit.ENDPOINT_REFUSED, Exit.TIME_LIMIT]) is Exit.ENDPOINT_REFUSED
    assert worst([Exit.USAGE, Exit.ENDPOINT_REFUSED]) is Exit.USAGE
    assert worst([Exit.INTERNAL, Exit.USAGE, Exit.INTERRUPTED]) is Exit.INTERRUPTED
