from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.safecomms.answer import PII_SCORE, UNKNOWN_SCORE, read_answer
from batch_scan.endpoint.safecomms.config import SeverityScores
from batch_scan.errors import EndpointError
from batch_scan.model import Answer, Digest, Request, RequestId, Sample, Score
from batch_scan.vocabulary import Category, Medium

PAGE_EXAMPLE = {
    "id": "req_123456789",
    "isClean": False,
    "severity": "High",
    "categoryScores": {
        "HateSpeech": "High",
        "Harassment": "None",
        "SelfHarm": "None",
        "Sexual": "None",
        "Violence": "None",
    },
    "issues": [
        {
            "term": "offensive phrase",
            "context": "The user said 'offensive phrase' at the beginning.",
            "category": "HateSpeech",
            "severity": "High",
        }
    ],
    "metadata": {"Format": "mp3", "Duration": "00:00:15.5000000"},
}


def read(
    body: Any, medium: Medium = Medium.AUDIO, severities: SeverityScores | None = None, **options: bool
) -> list[Score]:
    end_s = 160.0 if medium is Medium.AUDIO else 100.0
    sample = Sample(medium, 100.0, end_s, Digest("d1"), "audio/mpeg", None)
    request = Request(RequestId("r1"), "safecomms", "audio", (sample,), 50)
    answer = Answer(raw=json.dumps(body), tokens_charged=50)
    return read_answer("safecomms", request, answer, severities or SeverityScores(), **options)


def brief(scores: list[Score]) -> list[tuple[str, float, bool]]:
    return [(score.category.value, score.score, score.unclean) for score in scores]


def test_the_example_of_the_page_is_read_in_full() -> None:
    scores = read(PAGE_EXAMPLE)
    assert brief(scores) == [
        ("hate", 0.9, False),
        ("harassment", 0.0, False),
        ("self_harm", 0.0, False),
        ("sexual", 0.0, False),
        ("violence", 0.0, False),
        ("hate", 0.9, True),
    ]
    issue = scores[-1]
    assert (issue.text, issue.vendor_label, issue.severity) == ("offensive phrase", "HateSpeech", "High")
    assert issue.context == "The user said 'offensive phrase' at the beginning."
    assert {(score.start_s, score.end_s, score.request_id, score.sample_digest) for score in scores} == {
        (100.0, 160.0, "r1", "d1")
    }


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("HateSpeech", Category.HATE),
        ("hate_speech", Category.HATE),
        ("Harassment", Category.HARASSMENT),
        ("SelfHarm", Category.SELF_HARM),
        ("self-harm", Category.SELF_HARM),
        ("Sexual", Category.SEXUAL),
        ("VIOLENCE", Category.VIOLENCE),
        ("PII", Category.PII),
        ("Gambling", Category.OTHER),
        ("", Category.OTHER),
    ],
)
def test_labels_have_one_category_each_and_keep_their_name(label: str, category: Category) -> None:
    (score,) = read({"isClean": True, "categoryScores": {label: "Low"}})
    assert (score.category, score.vendor_label) == (category, label)


@pytest.mark.parametrize(
    ("word", "number"), [("None", 0.0), ("Low", 0.3), ("Medium", 0.6), ("High", 0.9), ("hIgH ", 0.9)]
)
def test_severity_words_are_numbers_by_the_table_in_any_case(word: str, number: float) -> None:
    (score,) = read({"isClean": True, "categoryScores": {"Violence": word}})
    assert (score.score, score.unclean, score.severity) == (number, False, word.strip())


def test_the_table_of_severities_can_be_changed() -> None:
    (score,) = read({"isClean": True, "categoryScores": {"Violence": "Low"}}, severities=SeverityScores(low=0.45))
    assert score.score == 0.45


@pytest.mark.parametrize("word", ["Critical", "", "nonee", 3, 0.2, True, {}, ["High"]])
def test_a_severity_that_is_not_known_is_never_clean(word: Any) -> None:
    (score,) = read({"isClean": True, "categoryScores": {"Violence": word}})
    assert (score.category, score.score, score.unclean) == (Category.VIOLENCE, UNKNOWN_SCORE, True)


def test_clean_with_a_high_severity_keeps_both() -> None:
    assert brief(read({"isClean": True, "categoryScores": {"Sexual": "High"}})) == [("sexual", 0.9, False)]


def test_unclean_without_any_reason_is_a_score_in_other() -> None:
    assert brief(read({"isClean": False})) == [("other", UNKNOWN_SCORE, True)]
    told = {"isClean": False, "severity": "None", "categoryScores": {"Sexual": "None"}, "issues": []}
    assert brief(read(told)) == [("sexual", 0.0, False), ("other", UNKNOWN_SCORE, True)]


def test_only_the_worst_score_of_an_unclean_sample_is_called_unclean() -> None:
    told = {"isClean": False, "categoryScores": {"Sexual": "Low", "Violence": "Medium", "Harassment": "None"}}
    assert brief(read(told)) == [("sexual", 0.3, False), ("violence", 0.6, True), ("harassment", 0.0, False)]


@pytest.mark.parametrize("verdict", [None, "false", 0, 1, "True", [], {}])
def test_a_verdict_that_is_neither_true_nor_false_is_no_verdict(verdict: Any) -> None:
    with pytest.raises(EndpointError, match="isClean is neither true nor false"):
        read({"isClean": verdict, "categoryScores": {"Violence": "None"}})


def test_the_severity_of_the_whole_counts_where_no_category_explains_it() -> None:
    assert brief(read({"isClean": True, "severity": "Medium", "categoryScores": {"Violence": "Low"}})) == [
        ("violence", 0.3, False),
        ("other", 0.6, False),
    ]
    assert brief(read({"isClean": True, "severity": "Low", "categoryScores": {"Violence": "Low"}})) == [
        ("violence", 0.3, False)
    ]
    assert brief(read({"isClean": True, "severity": "Critical"})) == [("other", UNKNOWN_SCORE, True)]


def test_an_issue_without_severity_has_that_of_its_category_or_of_the_whole() -> None:
    issue = {"term": "x", "category": "Violence"}
    of_category = read({"isClean": True, "categoryScores": {"Violence": "Low"}, "issues": [issue]})
    assert brief(of_category)[-1] == ("violence", 0.3, False)
    of_whole = read({"isClean": True, "severity": "Medium", "issues": [issue]})
    assert brief(of_whole) == [("violence", 0.6, False)]
    of_nothing = read({"isClean": True, "issues": [issue]})
    assert brief(of_nothing) == [("violence", UNKNOWN_SCORE, True)]


def test_an_issue_that_is_a_bare_word_is_kept() -> None:
    (score,) = read({"isClean": True, "issues": ["bad\x00word"]})
    assert (score.text, score.unclean) == ("bad\ufffdword", True)


@pytest.mark.parametrize("name", ["categoryScores", "issues", "addons"])
def test_a_field_of_a_shape_we_do_not_know_is_never_clean(name: str) -> None:
    (score,) = read({"isClean": True, name: 5})
    assert (score.vendor_label, score.score, score.unclean) == (name, UNKNOWN_SCORE, True)


@pytest.mark.parametrize("name", ["categoryScores", "issues", "addons", "severity", "isBypassAttempt", "reason"])
def test_a_field_that_is_null_says_nothing(name: str) -> None:
    assert read({"isClean": True, name: None}) == []


def test_an_attempt_to_get_round_moderation_is_unclean() -> None:
    assert brief(read({"isClean": True, "isBypassAttempt": True})) == [("other", UNKNOWN_SCORE, True)]
    assert read({"isClean": True, "isBypassAttempt": False}) == []
    assert brief(read({"isClean": True, "isBypassAttempt": True, "addons": {"isBypassAttempt": False}})) == [
        ("other", UNKNOWN_SCORE, True)
    ]


def test_replaced_personal_data_is_a_pii_score_and_replaced_unsafe_text_is_unclean() -> None:
    assert brief(read({"isClean": True, "addons": {"replacedPii": True}})) == [("pii", PII_SCORE, False)]
    assert brief(read({"isClean": True, "addons": {"replacedUnsafe": True}})) == [("other", UNKNOWN_SCORE, True)]
    assert read({"isClean": True, "addons": {"replacedUnsafe": False, "replacedPii": None}}) == []
    assert read({"isClean": True, "addons": {"replacedPii": {}}})


@pytest.mark.parametrize("value", [True, 1, "yes", ["x"], {"count": 2}])
def test_an_addon_that_nobody_knows_is_never_clean(value: Any) -> None:
    (score,) = read({"isClean": True, "addons": {"replacedHate": value, "replacedSpam": False, "replacedPii": None}})
    assert (score.category, score.vendor_label, score.score, score.unclean) == (
        Category.OTHER,
        "replacedHate",
        UNKNOWN_SCORE,
        True,
    )


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "None"])
def test_an_addon_that_nobody_knows_and_that_says_nothing_is_none(value: Any) -> None:
    assert read({"isClean": True, "addons": {"replacedHate": value}}) == []


def test_a_bypass_that_only_the_addons_tell_of_counts() -> None:
    assert brief(read({"isClean": True, "addons": {"isBypassAttempt": True}})) == [("other", UNKNOWN_SCORE, True)]


def test_a_flood_of_addons_is_counted_not_swallowed() -> None:
    scores = read({"isClean": True, "addons": {f"new{n}": True for n in range(1003)}})
    assert len(scores) == 1000
    assert (scores[-1].context, scores[-1].unclean) == ("4 more addons than are read", True)


def test_where_findings_stand_in_fields_nobody_documents_an_unknown_field_is_never_clean() -> None:
    told = {"isClean": True, "pii": [{"type": "phone"}], "keywordMatches": ["bomb"], "distress": {"detected": True}}
    assert read(told) == []
    scores = read(told, unknown_fields_count=True)
    assert [(score.vendor_label, score.score, score.unclean) for score in scores] == [
        ("pii", UNKNOWN_SCORE, True),
        ("keywordMatches", UNKNOWN_SCORE, True),
        ("distress", UNKNOWN_SCORE, True),
    ]
    quiet = {"isClean": True, "id": "r", "pii": [], "keywordMatches": None, "distress": {"detected": False}}
    assert read(quiet, unknown_fields_count=True) == []
    assert read({**PAGE_EXAMPLE, "isClean": True, "transcription": "hello"}, unknown_fields_count=True) == read(
        {**PAGE_EXAMPLE, "isClean": True}
    )


def test_an_issue_is_timed_by_the_transcription_where_that_has_times() -> None:
    told = {
        **PAGE_EXAMPLE,
        "transcription": [
            {"start": 0.0, "end": 4.0, "text": "Good morning."},
            {"start": 12.5, "end": 15.0, "text": "An offensive phrase!"},
        ],
    }
    *categories, issue = read(told)
    assert (issue.start_s, issue.end_s) == (112.5, 115.0)
    assert {(score.start_s, score.end_s) for score in categories} == {(100.0, 160.0)}


def test_a_frame_is_not_timed_by_a_transcription() -> None:
    told = {**PAGE_EXAMPLE, "segments": [{"start": 0.0, "end": 0.0, "text": "offensive phrase"}]}
    assert {(score.start_s, score.end_s) for score in read(told, Medium.FRAME)} == {(100.0, 100.0)}


def test_a_flood_of_issues_and_categories_is_counted_not_swallowed() -> None:
    issue = {"term": "x", "category": "Violence", "severity": "Low"}
    scores = read({"isClean": True, "issues": [issue] * 1003, "categoryScores": {str(n): "None" for n in range(1002)}})
    assert len(scores) == 2002
    assert [(score.context, score.unclean) for score in scores if score.context] == [
        ("2 more categories than are read", True),
        ("3 more issues than are read", True),
    ]


@given(
    st.booleans(),
    st.dictionaries(st.sampled_from(["Sexual", "Violence", "New"]), st.sampled_from(["None", "Low", "High", "Odd"])),
)
def test_unclean_or_unknown_always_leaves_an_unclean_score(clean: bool, categories: dict[str, str]) -> None:  # noqa: FBT001 - drawn
    scores = read({"isClean": clean, "categoryScores": categories})
    assert any(score.unclean for score in scores) == (not clean or "Odd" in categories.values())
    assert len({score.vendor_label for score in scores} - {"isClean"}) == len(categories)
