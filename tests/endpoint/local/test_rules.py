from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.local.rules import PHRASES, has_check_digit, masked_words, personal_data


def _labels(text: str) -> list[str]:
    return [hit.label for hit in personal_data(text)]


def test_every_phrase_has_its_own_id_and_a_score() -> None:
    assert len({phrase.id for phrase in PHRASES}) == len(PHRASES)
    assert all(0 < phrase.score <= 1 and re.fullmatch(r"[a-z]+\.[a-z-]+", phrase.id) for phrase in PHRASES)


@pytest.mark.parametrize("text", ["f*** you", "what the F**KING hell", "s*it", "bull****", "you ****", "[bleep] off"])
def test_starred_out_and_bleeped_words_are_found(text: str) -> None:
    (hit,) = masked_words(text)
    assert (hit.label, hit.category) == ("masked", "profanity")
    assert hit.term in text


@pytest.mark.parametrize("text", ["2*3 is 6", "see below*", "*", "**", "* one * two", "[music]", "a * b", "**bold**"])
def test_other_stars_and_brackets_are_no_swearing(text: str) -> None:
    assert list(masked_words(text)) == []


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("write to jane.doe@example.co.uk today", "pii.email"),
        ("it is john at example dot com", "pii.email"),
        ("call 415-555-2671 now", "pii.phone"),
        ("call (415) 555-2671 now", "pii.phone"),
        ("call +1 415 555 2671", "pii.phone"),
        ("call +49 30 901820 00", "pii.phone"),
        ("my number is 123-45-6789.", "pii.ssn"),
        ("the card is 4111 1111 1111 1111, thanks", "pii.card"),
        ("3782, 8224, 6310, 005", "pii.card"),
    ],
)
def test_personal_data_is_found(text: str, label: str) -> None:
    assert _labels(text) == [label]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "000-12-3456",
        "666-12-3456",
        "123-00-4567",
        "in 2019-2020 it was 10,000,000",
        "extension 415 555",
        "we met at noon dot dot dot",
        "3.14159265358979",
        "press 1 2 3 4 5",
    ],
)
def test_numbers_that_only_look_so_are_not_personal(text: str) -> None:
    assert _labels(text) == []


@given(st.text(alphabet="0123456789", min_size=12, max_size=18).filter(lambda digits: int(digits) > 0))
def test_exactly_one_last_digit_is_the_check_digit(digits: str) -> None:
    assert sum(has_check_digit(digits + last) for last in "0123456789") == 1


@given(st.text(alphabet="0123456789", min_size=12, max_size=18).filter(lambda digits: int(digits) > 0), st.data())
def test_a_mistyped_digit_is_noticed(digits: str, data: st.DataObject) -> None:
    (card,) = [digits + last for last in "0123456789" if has_check_digit(digits + last)]
    at = data.draw(st.integers(0, len(card) - 1))
    other = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != card[at]))
    assert not has_check_digit(card[:at] + other + card[at + 1 :])


@given(st.text(alphabet="1234 -.,@*[]()+ab", max_size=2000))
def test_no_text_makes_a_search_slow_or_fail(text: str) -> None:
    assert all(hit.term in text for hit in [*masked_words(text), *personal_data(text)])
