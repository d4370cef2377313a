from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.job import PolicyTable
from batch_scan.model import Finding, Score, Shortfall
from batch_scan.verdict import CHOSEN, act, at_or_above, conclude, find
from batch_scan.vocabulary import Action, Category, Medium, Reason, Status, Verdict

POLICY = PolicyTable.model_validate(
    {
        "default": {"flag": 0.5, "remove": 0.8},
        "categories": {"weapon": {"flag": 0.8, "remove": 0.95}, "spam": {"remove": 1.0}},
    }
)


def score(value: float, category: Category = Category.HATE, *, unclean: bool = False, start_s: float = 0.0) -> Score:
    return Score("e", Medium.FRAME, start_s, start_s, category, "label", value, unclean=unclean)


findings = st.lists(st.builds(Finding, st.just(score(0.9)), st.sampled_from([Action.FLAG, Action.REMOVE])), max_size=3)
shortfalls = st.lists(st.builds(Shortfall, st.sampled_from(list(Reason)), st.just("why")), max_size=3)
counts = st.integers(0, 5)


def test_the_policy_decides_by_category_and_completes_it_from_the_default() -> None:
    assert act(score(0.79), POLICY) is Action.FLAG
    assert act(score(0.8), POLICY) is Action.REMOVE
    assert act(score(0.79, Category.WEAPON), POLICY) is Action.KEEP
    assert act(score(0.6, Category.SPAM), POLICY) is Action.FLAG
    assert act(score(0.99, Category.SPAM), POLICY) is Action.FLAG


def test_what_an_endpoint_calls_unclean_is_at_least_flagged() -> None:
    assert act(score(0.0, unclean=True), POLICY) is Action.FLAG
    never = PolicyTable.model_validate({"categories": {"hate": {"flag": 2 / 2, "remove": 1.0}}})
    assert act(score(0.1, unclean=True), never) is Action.FLAG


def test_a_number_that_is_none_is_not_clean() -> None:
    for value in (math.nan, -0.1, 1.1, math.inf):
        assert act(score(value), POLICY) is not Action.KEEP


def test_findings_come_in_order_of_time_worst_first() -> None:
    found = find([score(0.6, start_s=5), score(0.9, start_s=5), score(0.1), score(0.7, start_s=1)], POLICY)
    assert [(finding.score.start_s, finding.score.score) for finding in found] == [(1, 0.7), (5, 0.9), (5, 0.6)]


@given(findings, shortfalls, counts, counts)
def test_keep_is_given_only_where_everything_planned_was_answered(
    found: list[Finding], missing: list[Shortfall], answered: int, planned: int
) -> None:
    end = conclude(found, missing, answered, planned)
    assert (end.verdict is Verdict.KEEP) == (not found and not missing and 0 < planned <= answered)
    if end.verdict is Verdict.KEEP:
        assert end.status is Status.COMPLETE
        assert end.shortfall is None


@given(findings, shortfalls, counts, counts)
def test_a_finding_makes_the_verdict_whatever_is_missing(
    found: list[Finding], missing: list[Shortfall], answered: int, planned: int
) -> None:
    end = conclude(found, missing, answered, planned)
    assert (end.verdict in {Verdict.FLAG, Verdict.REMOVE}) == bool(found)
    assert (end.verdict is Verdict.REMOVE) == any(one.action is Action.REMOVE for one in found)


@given(shortfalls, counts, counts)
def test_what_is_not_complete_names_its_reason(missing: list[Shortfall], answered: int, planned: int) -> None:
    end = conclude([], missing, answered, planned)
    assert (end.status is Status.COMPLETE) == (end.shortfall is None)
    if end.status is Status.SKIPPED:
        assert {gap.reason for gap in missing} <= CHOSEN


def test_a_file_of_which_nothing_was_read_has_failed() -> None:
    end = conclude([], [Shortfall(Reason.DAMAGED, "no frame")], 0, 0)
    assert (end.verdict, end.status) == (Verdict.UNKNOWN, Status.FAILED)


def test_a_file_with_nothing_to_judge_is_not_clean() -> None:
    end = conclude([], [], 0, 0)
    assert (end.verdict, end.status) == (Verdict.UNKNOWN, Status.FAILED)
    assert end.shortfall is not None
    assert end.shortfall.reason is Reason.NO_SAMPLES


def test_verdicts_are_ordered_for_the_exit_code() -> None:
    assert at_or_above(Verdict.REMOVE, Verdict.FLAG)
    assert at_or_above(Verdict.FLAG, Verdict.FLAG)
    assert not at_or_above(Verdict.FLAG, Verdict.REMOVE)
    assert not at_or_above(Verdict.KEEP, Verdict.FLAG)
