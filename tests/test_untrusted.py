from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.untrusted import clean_text, show_path, storable_text


@pytest.mark.parametrize(
    ("untrusted", "shown"),
    [
        ("plain words", "plain words"),
        ("  many\n\tspaces \r\n", "many spaces"),
        ("\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        ("a\u202eb", "a\N{REPLACEMENT CHARACTER}b"),
        ("caf\udce9", "caf\N{REPLACEMENT CHARACTER}"),
        ("grüße 你好", "grüße 你好"),
    ],
)
def test_text_from_outside_is_one_line_without_surprises(untrusted: str, shown: str) -> None:
    assert clean_text(untrusted) == shown


@given(st.text(st.characters()), st.integers(1, 50))
def test_nothing_gets_through_that_a_terminal_would_obey(untrusted: str, limit: int) -> None:
    shown = clean_text(untrusted, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in shown)
    shown.encode()


def test_long_text_is_cut_and_says_so() -> None:
    assert clean_text("x" * 600) == "x" * 499 + "…"


@given(st.binary())
def test_every_file_name_can_be_shown_and_different_ones_look_different(name: bytes) -> None:
    path = name.decode("utf-8", "surrogateescape")
    show_path(path).encode()
    if name.isascii():
        assert show_path(path) == path


def test_bytes_that_are_no_text_are_shown_as_python_writes_them() -> None:
    assert show_path("caf\udce9.mp4") == r"caf\xe9.mp4"


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_storable_and_text_that_is_stays_as_it_was(text: str) -> None:
    shown = storable_text(text)
    shown.encode("utf-8")
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert shown == text


def test_half_a_character_is_stored_as_python_writes_it() -> None:
    assert storable_text("\ud800 ok") == r"\ud800 ok"
