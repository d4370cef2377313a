from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.examine import Examined
from batch_scan.model import (
    Coverage,
    Finding,
    Item,
    MediaInfo,
    Refused,
    RequestId,
    RequestRecord,
    Score,
    Shortfall,
    Stat,
    Utterance,
)
from batch_scan.result import (
    Opened,
    dump_row,
    duplicate_result,
    examined_result,
    load_row,
    refused_result,
    unexamined_result,
)
from batch_scan.vocabulary import Action, Category, Medium, Outcome, Reason, Status, Verdict
from tests.report.made import full

if TYPE_CHECKING:
    from batch_scan.model import FileResult

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)
ITEM = Item(4, "/archive/a.mp4", "4:/archive/a.mp4", "/archive/a.mp4", {"show": "news"})
OPENED = Opened(ITEM, BEGAN, Stat(100, 1_500_000_000_000_000_000), "c" * 64)
BAD = Score("toy", Medium.FRAME, 5, 5, Category.HATE, "bad", 0.9)
FINE = Score("toy", Medium.FRAME, 1, 1, Category.SPAM, "fine", 0.1)


def record(attempts: int = 1, charged: int = 0, cost: float | None = None, *, cached: bool = False) -> RequestRecord:
    return RequestRecord(
        RequestId("r"),
        "toy",
        "judge",
        Medium.FRAME,
        0,
        0,
        1,
        Outcome.ANSWERED,
        cached=cached,
        attempts=attempts,
        tokens_estimated=2 * charged,
        tokens_charged=charged,
        cost=cost,
    )


def examined(*records: RequestRecord, gaps: tuple[Shortfall, ...] = (), scores: tuple[Score, ...] = ()) -> Examined:
    return Examined(
        MediaInfo("mov", 10.0),
        list(scores),
        [Utterance(5, 6, "later"), Utterance(1, 2, "sooner")],
        list(records),
        list(gaps),
        planned=3,
        answered=2 if gaps else 3,
        coverage=Coverage(frames_planned=3, frames_answered=3),
    )


def result_of(one: Examined, *findings: Finding) -> FileResult:
    return examined_result(OPENED, one, findings, ("toy",), ENDED)


def test_a_clean_file_is_kept_with_everything_that_is_known_of_it() -> None:
    row = result_of(examined(record(charged=3, cost=0.3), scores=(BAD, FINE))).row
    assert (row.verdict, row.status, row.reason, row.error) == (Verdict.KEEP, Status.COMPLETE, None, "")
    assert (row.content_sha256, row.size_bytes) == ("c" * 64, 100)
    assert row.modified_at == datetime(2017, 7, 14, 2, 40, tzinfo=UTC)
    assert (row.started_at, row.finished_at, row.item, row.endpoints) == (BEGAN, ENDED, ITEM, ("toy",))
    assert (row.top_category, row.top_score) == (Category.HATE, 0.9)
    assert (row.tokens_estimated, row.tokens_charged, row.cost) == (6, 3, 0.3)
    assert row.coverage == Coverage(frames_planned=3, frames_answered=3)


@pytest.mark.parametrize(
    ("actions", "top"),
    [
        ({}, (Category.SPAM, 0.95)),
        ({Category.NUDITY: Action.REMOVE}, (Category.NUDITY, 0.85)),
        ({Category.HATE: Action.FLAG}, (Category.HATE, 0.2)),
        ({Category.HATE: Action.FLAG, Category.NUDITY: Action.FLAG}, (Category.NUDITY, 0.85)),
        ({Category.HATE: Action.REMOVE, Category.NUDITY: Action.FLAG}, (Category.HATE, 0.2)),
    ],
)
def test_on_top_is_what_the_verdict_rests_on_and_only_without_findings_the_highest_score(
    actions: dict[Category, Action], top: tuple[Category, float]
) -> None:
    scores = (
        replace(FINE, category=Category.SPAM, score=0.95),
        replace(FINE, category=Category.NUDITY, score=0.85),
        replace(FINE, category=Category.HATE, score=0.2),
    )
    findings = [Finding(score, actions[score.category]) for score in scores if score.category in actions]
    row = result_of(examined(scores=scores), *findings).row
    assert (row.top_category, row.top_score) == top


@pytest.mark.parametrize("actions", [(), (Action.FLAG, Action.FLAG)])
def test_of_equal_scores_the_same_is_on_top_whichever_answer_came_first(actions: tuple[Action, ...]) -> None:
    equal = (replace(BAD, category=Category.SPAM), replace(BAD, category=Category.HATE))
    tops = set()
    for scores in (equal, equal[::-1]):
        findings = [Finding(score, action) for score, action in zip(scores, actions, strict=False)]
        tops.add(result_of(examined(scores=scores), *findings).row.top_category)
    assert tops == {Category.SPAM}


def test_what_belongs_to_a_file_comes_in_order_of_time() -> None:
    late, early = (replace(record(), start_s=start_s) for start_s in (9.0, 2.0))
    result = result_of(examined(late, early, scores=(BAD, FINE)), Finding(BAD, Action.REMOVE))
    assert result.scores == (FINE, BAD)
    assert result.requests == (early, late)
    assert [word.text for word in result.transcripts] == ["sooner", "later"]
    assert (result.row.verdict, result.row.findings) == (Verdict.REMOVE, 1)


def test_the_first_shortfall_is_told_and_the_others_are_named() -> None:
    gaps = (
        Shortfall(Reason.BUDGET, "no tokens left", "X"),
        Shortfall(Reason.DAMAGED, "cut off"),
        Shortfall(Reason.BUDGET, "no tokens left"),
        Shortfall(Reason.CODEC_UNSUPPORTED, "what is that"),
    )
    row = result_of(examined(gaps=gaps)).row
    assert (row.verdict, row.status, row.reason) == (Verdict.UNKNOWN, Status.PARTIAL, Reason.BUDGET)
    assert (row.error_type, row.error) == ("X", "no tokens left (2 times) (also: codec_unsupported, damaged)")
    assert result_of(examined(gaps=gaps)).further_reasons == {Reason.DAMAGED, Reason.CODEC_UNSUPPORTED}


def test_what_else_fell_short_for_the_same_reason_is_not_told_as_the_same() -> None:
    gaps = tuple(Shortfall(Reason.DAMAGED, detail) for detail in ("cut off", "a hole", "cut off", "another hole"))
    assert result_of(examined(gaps=gaps)).row.error == "cut off (2 times) (and 2 more of this kind)"


def test_requests_are_counted_where_they_were_sent() -> None:
    row = result_of(examined(record(attempts=3), record(attempts=0), record(attempts=0, cached=True))).row
    assert (row.requests, row.cached_requests) == (1, 1)


@pytest.mark.parametrize(
    ("records", "cost"),
    [
        ([], None),
        ([record(charged=1, cost=0.5), record(charged=1, cost=0.25)], 0.75),
        ([record(charged=1, cost=0.5), record(charged=1)], None),
        ([record(charged=1, cost=0.5), record(attempts=0, cached=True)], 0.5),
        ([record()], None),
    ],
)
def test_a_cost_is_null_where_a_charge_has_no_price(records: list[RequestRecord], cost: float | None) -> None:
    assert result_of(examined(*records)).row.cost == cost


def test_what_was_not_examined_is_unknown_and_skipped_only_by_choice() -> None:
    missing = refused_result(Refused(ITEM, Status.FAILED, Shortfall(Reason.MISSING, "gone", "FetchError")), ENDED).row
    assert (missing.verdict, missing.status, missing.reason) == (Verdict.UNKNOWN, Status.FAILED, Reason.MISSING)
    assert (missing.error, missing.error_type) == ("gone", "FetchError")
    late = unexamined_result(OPENED, Shortfall(Reason.TIME_LIMIT, "late"), ENDED).row
    assert (late.verdict, late.status, late.size_bytes) == (Verdict.UNKNOWN, Status.SKIPPED, 100)
    assert unexamined_result(OPENED, Shortfall(Reason.EMPTY, "empty"), ENDED).row.status is Status.FAILED
    left_out = Shortfall(Reason.EXCLUDED, "too old", "FetchError")
    assert unexamined_result(OPENED, left_out, ENDED).row.error_type == "", "as where the listing leaves it out"


def test_a_duplicate_has_its_twins_verdict_its_own_name_and_no_bill() -> None:
    twin = result_of(examined(record(charged=3, cost=0.3), scores=(BAD,)), Finding(BAD, Action.REMOVE)).row
    other = Opened(Item(9, "/archive/b.mp4", "9", "/b", {"show": "film"}), ENDED, Stat(100, 0), "c" * 64)
    row = duplicate_result(other, load_row(dump_row(twin)), ENDED).row
    assert (row.verdict, row.status, row.findings, row.top_score) == (Verdict.REMOVE, Status.COMPLETE, 1, 0.9)
    assert (row.item, row.duplicate_of) == (other.item, "/archive/a.mp4")
    assert (row.requests, row.cached_requests, row.tokens_estimated, row.tokens_charged, row.cost) == (0, 0, 0, 0, 0.0)
    assert (row.started_at, row.modified_at) == (ENDED, None)


def test_a_row_comes_back_as_it_was_but_for_what_is_its_items_own() -> None:
    row = full(3).row
    item = replace(row.item, identity="", locator="", manifest={})
    assert load_row(dump_row(row)) == replace(row, item=item)


@given(st.text(), st.text())
def test_a_row_can_be_kept_whatever_its_item_is_called(locator: str, value: str) -> None:
    item = Item(0, "/shown", "0:" + locator + "\udce9", locator + "\udce9", {"column": value})
    row = replace(full(1).row, item=item)
    assert load_row(dump_row(row)).item.uri == "/shown"


@given(st.integers())
def test_a_time_that_no_calendar_has_is_null(modified_ns: int) -> None:
    opened = Opened(ITEM, BEGAN, Stat(1, modified_ns))
    at = unexamined_result(opened, Shortfall(Reason.EMPTY, ""), ENDED).row.modified_at
    assert at is None or at.tzinfo is UTC
