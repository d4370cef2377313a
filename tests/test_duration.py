from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        (" 30 M ", 1800),
        ("6h", 21_600),
        ("1h30m", 5400),
        ("1h 30m 15s", 5415),
        ("1.5h", 5400),
        ("2d", 172_800),
        (12, 12),
        (None, None),
    ],
)
def test_words_for_lengths_of_time_are_seconds(words: object, seconds: object) -> None:
    assert parse_duration(words) == seconds


@pytest.mark.parametrize("words", ["", "soon", "6 hours", "h", "1h30", "-6h", "6h!", "1:30"])
def test_anything_else_is_refused_with_an_example(words: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(words)


@given(st.text())
def test_no_text_does_worse_than_be_refused(text: str) -> None:
    try:
        assert isinstance(parse_duration(text), float)
    except ValueError as error:
        assert "length of time" in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")],
)
def test_lengths_of_time_are_shown_in_their_largest_units(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
