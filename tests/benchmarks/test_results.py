from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import Ratio, spread, table
from benchmarks.results import Measured, read, rows_by_case, rows_of

WORDS = st.text("abc é.%/", min_size=1).map(str.strip).filter(bool)


def measured(case: str, *rows: dict[str, float | str]) -> Measured:
    return Measured(case, "2026-11-22T00:00:00+00:00", 2, "3.11.2", 1, 2, list(rows))


@given(st.lists(st.tuples(WORDS, st.integers(0, 10**7), st.lists(st.floats(0.01, 90), min_size=1, max_size=3))))
def test_a_table_that_was_printed_is_read_back_with_its_medians(rows: list[tuple[str, int, list[float]]]) -> None:
    printed = table(("name", "how many", "took"), [[name, f"{count:,}", spread(took)] for name, count, took in rows])

    found = rows_of(f"A line before it.\n\n{printed}\nAnd one after.\n")

    assert [(row["name"], row["how many"]) for row in found] == [(name, count) for name, count, _ in rows]
    assert [f"{row['took']:.2f}" for row in found] == [spread(took).split(" ", maxsplit=1)[0] for *_, took in rows]


def test_a_ratio_is_read_as_its_median() -> None:
    assert rows_of(table(("r",), [[Ratio(1.06, 0.99, 1.12)]])) == [{"r": 1.06}]


def test_names_that_begin_with_a_number_stay_names() -> None:
    names = ["480p", "480 lines", "480p, 7200 s", "6 films of 300 s", ""]

    assert [row["film"] for row in rows_of(table(("film", "x"), [[name, 1] for name in names]))] == names


def test_what_follows_a_number_after_a_comma_is_left_out() -> None:
    assert rows_of(table(("same", "dB"), [["60, and 1 more", "35.6, 40.9"]])) == [{"same": 60.0, "dB": 35.6}]


def test_two_tables_of_one_case_keep_their_own_columns() -> None:
    assert rows_of(table(("a",), [[1]]) + "\n" + table(("b",), [[2]])) == [{"a": 1.0}, {"b": 2.0}]


def test_lines_are_read_back_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(measured("flac", {"x": 1.0}).line() + measured("tiny", {"y": "é"}).line(), encoding="utf-8")
    other.write_text(measured("flac", {"x": 2.0}).line(), encoding="utf-8")

    assert rows_by_case(read([one, other])) == {"flac": [{"x": 1.0}, {"x": 2.0}], "tiny": [{"y": "é"}]}


@pytest.mark.parametrize("text", ["{", "[1]\n", '{"case": "flac"}\n', '{"rows": 1}\n', "\xff"])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(SystemExit, match="other holds something else"):
        read([path])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="missing: No such file"):
        read([tmp_path / "missing"])
