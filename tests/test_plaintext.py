from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.plaintext import WIDTH, aligned, cell, clock, display_width, head, number, share, tail

texts = st.text(st.characters() | st.sampled_from("\ud800\udcff\x00\x1b\u202e\u3042"), max_size=150)


@given(texts)
def test_a_cell_is_one_line_without_control_characters_or_formula(untrusted: str) -> None:
    shown = cell(untrusted)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs"}
    assert not shown.startswith(("=", "+", "-", "@"))
    shown.encode("utf-8")


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\n@x"])
def test_what_a_spreadsheet_takes_for_a_formula_gets_an_apostrophe(formula: str) -> None:
    assert cell(formula) == f"'{formula.strip()}"


@given(texts.map(cell), st.integers(1, 60))
def test_a_text_is_cut_to_the_columns_there_are(text: str, width: int) -> None:
    for cut, whole in ((head(text, width), text), (tail(text, width), text[::-1])):
        assert display_width(cut) <= width
        if display_width(whole) <= width:
            assert cut == text


def test_the_end_of_a_path_is_what_is_kept_of_it() -> None:
    assert tail("/archive/2026/film.mp4", 10) == "…/film.mp4"
    assert head("/archive/2026/film.mp4", 10) == "/archive/…"


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert display_width("映画") == 4
    assert display_width("e\N{COMBINING ACUTE ACCENT}") == 1
    assert head("映画館", 4) == "映…"


@given(st.lists(st.tuples(texts.map(cell), texts.map(cell), texts.map(cell)), min_size=1, max_size=5))
def test_no_line_is_wider_than_a_page(rows: list[tuple[str, str, str]]) -> None:
    for sides in ("lrt", "rrr", "lll"):
        lines = aligned(rows, sides)
        assert len(lines) == len(rows)
        assert all(display_width(line) <= WIDTH for line in lines)


def test_columns_stand_below_each_other() -> None:
    assert aligned([["a", "files"], ["映画", "1"], ["long name", "1,000"]], "lr") == [
        "  a          files",
        "  映画           1",
        "  long name  1,000",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0:00:00"), (59.9, "0:00:59"), (3661.0, "1:01:01"), (360_000.0, "100:00:00"), (None, "?")],
)
def test_positions_are_shown_as_on_a_clock(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_share_is_all_only_where_nothing_is_missing() -> None:
    assert [share(part, 1000) for part in (0, 1, 10, 999, 1000)] == ["0 %", "under 1 %", "1 %", "99 %", "100 %"]


def test_thousands_are_apart() -> None:
    assert number(1_234_567) == "1,234,567"
