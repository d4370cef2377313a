from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.safecomms.times import transcription_of

SEGMENTS = [
    {"start": 1.0, "end": 3.0, "text": "So what the hell"},
    {"start": 3.0, "end": 5.0, "text": "man, is this? Hell no."},
    {"start": 9.0, "end": 11.5, "text": "Shell and hello are fine."},
]


def span(body: dict[str, Any], term: str, duration_s: float = 60.0) -> tuple[float, float] | None:
    return transcription_of(body, duration_s).span_of(term)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("so", (1.0, 3.0)),
        ("hell", (1.0, 5.0)),
        ("HELL MAN", (1.0, 5.0)),
        ("what the hell man is", (1.0, 5.0)),
        ("fine", (9.0, 11.5)),
        ("hel", None),
        ("hell fine", None),
        ("", None),
        ("?!", None),
    ],
)
def test_a_term_is_found_as_whole_words_also_across_segments(term: str, expected: tuple[float, float] | None) -> None:
    assert span({"segments": SEGMENTS}, term) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"segments": SEGMENTS},
        {"transcription": SEGMENTS},
        {"transcript": SEGMENTS},
        {"transcription": {"text": "all of it", "segments": SEGMENTS}},
        {"transcription": {"utterances": SEGMENTS}},
        {"transcription": "all of it", "segments": SEGMENTS},
        {"segments": [{"startTime": "00:00:09.0000000", "endTime": "0:11.5", "content": "fine"}]},
        {"segments": [{"start": "9", "end": "11.5s", "text": "fine"}]},
        {"segments": [{"from": 9, "to": 11.5, "word": "Fine"}]},
        {"segments": list(reversed(SEGMENTS))},
    ],
)
def test_transcriptions_of_many_shapes_are_read(body: dict[str, Any]) -> None:
    assert span(body, "fine") == (9.0, 11.5)


@pytest.mark.parametrize(
    "segment",
    [
        {"start": 9000, "end": 11500, "text": "fine"},
        {"start": -1, "end": 2, "text": "fine"},
        {"start": 5, "end": 2, "text": "fine"},
        {"start": 5, "text": "fine"},
        {"start": True, "end": 2, "text": "fine"},
        {"start": "soon", "end": 2, "text": "fine"},
        {"start": 1, "end": 2, "text": None},
        "fine",
        None,
    ],
)
def test_one_time_that_cannot_be_right_discredits_all(segment: Any) -> None:
    assert span({"segments": [{"start": 0, "end": 1, "text": "fine"}, segment]}, "fine") is None


def test_a_segment_may_end_in_the_padding_of_the_encoder() -> None:
    assert span({"segments": [{"start": 9.5, "end": 10.04, "text": "fine"}]}, "fine", duration_s=10.0) == (9.5, 10.0)


@pytest.mark.parametrize("body", [{}, {"transcription": "plain text"}, {"segments": []}, {"segments": {"words": "x"}}])
def test_without_times_there_is_no_span(body: dict[str, Any]) -> None:
    assert span(body, "fine") is None


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60), st.text(alphabet="ab ", max_size=8)), max_size=6),
    st.text(alphabet="ab ", max_size=5),
)
def test_a_span_is_always_within_the_chunk(segments: list[tuple[float, float, str]], term: str) -> None:
    found = span({"segments": [{"start": start, "end": end, "text": text} for start, end, text in segments]}, term)
    assert found is None or 0.0 <= found[0] <= found[1] <= 60.0
