from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from batch_scan.endpoint.stream.config import StreamConfig
from batch_scan.endpoint.stream.endpoint import build
from batch_scan.endpoint.stream.labels import ACTION_SCORES, category_of
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer
from batch_scan.vocabulary import Category
from tests.endpoint.stream.kit import check_of, request_of, text_sample

if TYPE_CHECKING:
    from batch_scan.model import Score

FIRST, SECOND = text_sample("first", 0.0), text_sample("second", 10.0)
ONE, TWO = f"bs-{FIRST.digest}", f"bs-{SECOND.digest}"


def read(*checks: dict[str, Any], samples: int = 1, **table: Any) -> list[Score]:
    endpoint = build(StreamConfig.model_validate(table))
    request = request_of(endpoint, *(FIRST, SECOND)[:samples])
    return endpoint.read(request, Answer(json.dumps({"samples": samples, "checks": checks}), 1))


def refused(*checks: dict[str, Any], samples: int = 1) -> str:
    with pytest.raises(EndpointError) as caught:
        read(*checks, samples=samples)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)
    return caught.value.detail


# ---------------------------------------------------------------------------------------------------------- actions


@pytest.mark.parametrize(("action", "number"), [*((word, score) for word, score in ACTION_SCORES.items() if score)])
def test_an_action_stands_for_its_number_and_is_unclean(action: str, number: float) -> None:
    (score,) = read(check_of(ONE, [0], action, "INSULT"))
    assert (score.score, score.severity, score.unclean) == (number, action, True)


@pytest.mark.parametrize("action", ["quarantine", "kept", "no_keep", "block"])
def test_a_word_that_is_not_known_is_a_flag_with_the_word_kept(action: str) -> None:
    (score,) = read(check_of(ONE, [0], action))
    assert (score.score, score.severity, score.vendor_label, score.unclean) == (0.6, action, action, True)


@pytest.mark.parametrize("action", ["keep", "KEEP", " Keep "])
def test_keep_is_clean_however_it_is_written(action: str) -> None:
    assert read(check_of(ONE, [0], action)) == []


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ({"item": {"recommended_action": "remove"}}, "remove"),
        ({"item": {"recommended_action": "quarantine"}}, "quarantine"),
        ({"triggered_rules": [5, {"actions": "x"}, {"actions": [None, "webhook", "Flag"]}]}, "flag"),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_a_keep_beside_something_else_is_not_clean(reply: dict[str, Any], word: str, is_late: bool) -> None:  # noqa: FBT001 - a table
    check = check_of(ONE, [0], "keep", **reply)
    if is_late:
        told = {"entity_id": ONE, "recommended_action": "keep"}
        check = {**check, "reply": {**check["reply"], "status": "partial"}, "final": {"by": "webhook", "told": told}}
    (score,) = read(check)
    assert (score.severity, score.unclean) == (word, True)


@pytest.mark.parametrize("actions", [["webhook"], ["keep"], [], None])
def test_a_rule_that_judges_nothing_leaves_a_keep_clean(actions: Any) -> None:
    assert read(check_of(ONE, [0], item={"recommended_action": "keep"}, triggered_rules=[{"actions": actions}])) == []


def test_the_numbers_can_be_set_and_stay_unclean() -> None:
    (score,) = read(check_of(ONE, [0], "shadow"), action_scores={"shadow": 0.0, "veil": 0.4})
    assert (score.score, score.unclean) == (0.0, True)
    (score,) = read(check_of(ONE, [0], "veil"), action_scores={"veil": 0.4})
    assert score.score == 0.4


@pytest.mark.parametrize("scores", [{"keep": 0.1}, {"flag": 1.5}, {"": 0.5}, {"flag": True}, 5])
def test_numbers_that_cannot_be_are_refused(scores: Any) -> None:
    with pytest.raises(ValidationError):
        StreamConfig.model_validate({"action_scores": scores})


# ----------------------------------------------------------------------------------------------------------- labels


def test_each_label_is_a_score_with_what_the_item_says_of_it() -> None:
    scores = read(check_of(ONE, [0], "flag", "INSULT", "SCAM", "INSULT"))
    assert [(score.vendor_label, score.category) for score in scores] == [
        ("INSULT", Category.HARASSMENT),
        ("SCAM", Category.SPAM),
    ]
    assert {score.context for score in scores} == {"severity high; confidence 0.9; said so"}


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ({"item": {"flags": [{"type": "block_list", "labels": ["profanity_en"]}]}}, ["profanity_en"]),
        ({"item": {"flags": [{"type": "velocity"}]}}, ["velocity"]),
        ({"item": {"flags": ["x", {"labels": [None, " "]}]}}, ["flags"]),
        ({"item": {"flags": {}}}, ["flag"]),
        ({"triggered_rules": [{"rule_name": "three in a row"}, {}, 5]}, ["three in a row"]),
        ({"triggered_rules": [{"rule_name": "r"}], "item": {"flags": [{"labels": ["PII"]}]}}, ["PII"]),
        ({}, ["flag"]),
    ],
)
def test_what_names_no_label_is_named_by_what_there_is(reply: dict[str, Any], labels: list[str]) -> None:
    assert [score.vendor_label for score in read(check_of(ONE, [0], "flag", **reply))] == labels


def test_labels_without_end_are_counted() -> None:
    scores = read(check_of(ONE, [0], "flag", *(f"label {number}" for number in range(150))))
    assert len(scores) == 101
    assert (scores[-1].context, scores[-1].unclean) == ("50 more labels than are read", True)


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("INSULT", Category.HARASSMENT),
        ("Hate Speech", Category.HATE),
        ("HATE_SPEECH", Category.HATE),
        ("SEXUAL_HARASSMENT", Category.SEXUAL),
        ("Non-Explicit Nudity", Category.NUDITY),
        ("Swimwear/Underwear", Category.NUDITY),
        ("Drugs & Tobacco", Category.DRUGS),
        ("profanity_en_2020_v1", Category.PROFANITY),
        ("my_words", Category.OTHER),
        ("PLATFORM_BYPASS", Category.OTHER),
        ("", Category.OTHER),
    ],
)
def test_a_label_has_a_category(label: str, category: Category) -> None:
    assert category_of(label) is category


# --------------------------------------------------------------------------------------------------------- finality


@pytest.mark.parametrize("status", ["complete", "completed", "Completed"])
def test_a_final_status_is_final(status: str) -> None:
    assert read(check_of(ONE, [0], status=status)) == []


@pytest.mark.parametrize("status", ["partial", "pending", "done?", "", None, 1])
def test_a_check_that_is_not_final_is_no_answer(status: Any) -> None:
    assert "not final" in refused(check_of(ONE, [0], status=status))


def later(action: str, final: dict[str, Any]) -> dict[str, Any]:
    return {**check_of(ONE, [0], action, status="partial"), "final": final}


def item(action: str, **fields: Any) -> dict[str, Any]:
    return {"entity_id": ONE, "status": "complete", "recommended_action": action, **fields}


def test_what_is_learned_later_is_the_verdict() -> None:
    queue = {"by": "review_queue", "item": item("remove", flags=[{"labels": ["THREAT"]}])}
    (score,) = read(later("keep", queue))
    assert (score.vendor_label, score.severity) == ("THREAT", "remove")
    told = {"by": "webhook", "told": {"entity_id": ONE, "recommended_action": "keep"}}
    assert read(later("keep", told)) == []


def test_a_late_keep_takes_nothing_back() -> None:
    (score,) = read(later("flag", {"by": "webhook", "told": {"entity_id": ONE, "recommended_action": "keep"}}))
    assert (score.severity, score.unclean) == ("flag", True)


@pytest.mark.parametrize(
    "final",
    [
        {},
        {"item": item("keep", status="partial")},
        {"item": item("keep", entity_id="bs-another")},
        {"item": item("")},
        {"item": 5},
        {"told": {"entity_id": "bs-another", "recommended_action": "keep"}},
        {"told": {"entity_id": ONE}},
        {"told": [], "item": item("keep")},
        [],
    ],
)
def test_what_was_learned_must_be_an_end_of_this_check(final: Any) -> None:
    assert refused(later("keep", final))


# -------------------------------------------------------------------------------------------------- several samples


def test_each_sample_has_its_own_verdict() -> None:
    whole = check_of("bs-both", [0, 1], "flag", "INSULT")
    scores = read(whole, check_of(ONE, [0]), check_of(TWO, [1], "remove", "THREAT"), samples=2)
    assert [(score.start_s, score.vendor_label) for score in scores] == [(10.0, "THREAT")]


def test_where_none_is_unclean_alone_all_are() -> None:
    whole = check_of("bs-both", [0, 1], "flag", "INSULT")
    scores = read(whole, check_of(ONE, [0]), check_of(TWO, [1]), samples=2)
    assert [(score.start_s, score.vendor_label) for score in scores] == [(0.0, "INSULT"), (10.0, "INSULT")]


@pytest.mark.parametrize(
    "checks",
    [
        [check_of("bs-both", [0, 1], "flag")],
        [check_of("bs-both", [0, 1], "flag"), check_of(ONE, [0])],
        [check_of("bs-both", [0, 1], "flag"), check_of(TWO, [0]), check_of(ONE, [1])],
        [check_of("bs-both", [0, 1], "flag"), check_of(ONE, [0]), check_of(TWO, [7])],
        [check_of("bs-both", [0, 1], "flag"), check_of(ONE, [0]), check_of(TWO, [1], recommended_action=None)],
        [check_of("bs-both", [0])],
        [check_of("bs-both", [0, 0])],
        [check_of("bs-both", [])],
        [check_of("bs-both", [True, False])],
        [{"about": [0, 1], "reply": {}}],
    ],
)
def test_a_sample_whose_verdict_is_missing_is_not_clean(checks: list[dict[str, Any]]) -> None:
    assert refused(*checks, samples=2)


def test_the_number_of_samples_must_be_right() -> None:
    endpoint = build(StreamConfig())
    raw = json.dumps({"samples": 2, "checks": [check_of(ONE, [0])]})
    with pytest.raises(EndpointError, match="another number of samples"):
        endpoint.read(request_of(endpoint, FIRST), Answer(raw, 1))


def test_the_name_of_other_content_is_refused() -> None:
    assert "other content" in refused(check_of(TWO, [0]))
    assert "other content" in refused(check_of(ONE, [0], item={"entity_id": TWO}))


# ------------------------------------------------------------------------------------------------------------ table


@pytest.mark.parametrize(
    "table",
    [
        {"samples": []},
        {"samples": ["utterance", "utterance"]},
        {"samples": ["audio"]},
        {"config_key": ""},
        {"creator_id": "a\nb"},
        {"texts_per_check": 0},
        {"content_published_at": "2026-01-01T00:00:00"},
        {"policy": {"ai_text": [{"label": "INSULT"}]}},
        {"policy": {"ai_text": [{"label": "INSULT", "action": "burn"}]}},
        {"policy": {"ai_image": [{"label": "Explicit", "action": "flag", "min_confidence": 101}]}},
        {"policy": {"ai_image": [{"label": "Explicit", "action": "mask"}]}},
        {"policy": {"block_lists": [{"name": "x"}]}},
        {"base_url": "http://example.com"},
    ],
)
def test_a_table_that_cannot_be_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StreamConfig.model_validate(table)


def test_another_endpoints_table_is_a_mistake_of_the_caller() -> None:
    from batch_scan.endpoint.config import ServiceConfig  # noqa: PLC0415

    with pytest.raises(TypeError, match="StreamConfig"):
        build(ServiceConfig())
