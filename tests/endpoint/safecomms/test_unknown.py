from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.safecomms.unknown import raised_fields, says_something

NOTHING: list[Any] = [
    *(None, False, 0, 0.0, "", " None ", "no", "FALSE", [], {}, [None, []], {"items": [], "level": "None"}),
    *({"detected": False, "confidence": 0.98}, {"detected": False, "level": "Low", "words": []}, [{"found": False}]),
]
SOMETHING: list[Any] = [
    *(True, 1, 0.02, "phone", ["bomb"], {"score": 0.9}, [{"type": "phone"}], {"matches": [{"word": "bomb"}]}),
    *({"detected": True}, {"detected": False, "matches": ["bomb"]}, {"voice": {"scream": True}, "calm": False}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_what_is_empty_or_false_says_nothing(value: Any) -> None:
    assert not says_something(value)


@pytest.mark.parametrize("value", SOMETHING, ids=repr)
def test_everything_else_says_something(value: Any) -> None:
    assert says_something(value)


@given(JSON, st.sampled_from(["list", "true beside"]))
def test_whatever_stands_beside_a_finding_does_not_hide_it(other: Any, how: str) -> None:
    found = {"x": other, "detected": True} if how == "true beside" else {"x": other, "found": ["bomb"]}
    assert says_something([other, found])


@pytest.mark.parametrize(
    "name", ["pii", "detectedPII", "keywordMatches", "keyword_matches", "distress", "acousticDistress", "somethingNew"]
)
def test_a_field_that_nobody_knows_is_raised(name: str) -> None:
    assert raised_fields({"isClean": True, name: {"detected": True}}) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("id", "isClean", "reason", "metadata", "transcription", "transcript", "segments", "sentiment"),
        *("sentimentScore", "topics", "audioQuality", "audio_quality", "words", "speakers"),
    ],
)
def test_what_else_was_asked_for_is_no_finding(name: str) -> None:
    assert raised_fields({name: ["x"]}) == []
