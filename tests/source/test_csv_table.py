from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.source.csv_table import CsvTable
from batch_scan.source.table import BadRow, Row
from batch_scan.source.textfile import MAX_LINE_CHARS

_IN_ONE_DIRECTORY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def _table(tmp_path: Path, text: str, delimiter: str = ",") -> CsvTable:
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode())
    return CsvTable(path, "m.csv", delimiter)


def _uris(table: CsvTable) -> list[str | None]:
    return [row.uri if isinstance(row, Row) else None for row in table.rows()]


_VALUES = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.tuples(_VALUES, _VALUES, _VALUES), max_size=8), st.sampled_from([",", "\t"]))
@_IN_ONE_DIRECTORY
def test_every_value_comes_out_as_it_was_written(
    tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "uri", "title"), *rows])
    table = _table(tmp_path, text.getvalue(), delimiter)
    read = [(row.columns["id"], row.uri, row.columns["title"]) for row in table.rows() if isinstance(row, Row)]
    assert read == rows
    assert table.total() == len(rows)


@given(st.text(st.sampled_from('",\n\r ab\0'), max_size=60))
@_IN_ONE_DIRECTORY
@example('"')
def test_no_text_is_too_odd_to_be_rows_and_none_that_has_something_vanishes(tmp_path: Path, text: str) -> None:
    table = _table(tmp_path, "uri,b\n" + text)
    rows = list(table.rows())
    assert table.total() == len(rows)
    for row in rows:
        assert isinstance(row, Row) or row.detail
    assert bool(rows) == bool(text.strip("\r\n"))


def test_nothing_is_guessed_about_values(tmp_path: Path) -> None:
    (row,) = _table(tmp_path, "uri,id,n,price,when\n007,007,NA,1.10,2024-01-01\n").rows()
    assert row == Row("line=2", "007", {"id": "007", "n": "NA", "price": "1.10", "when": "2024-01-01"})


def test_empty_values_are_carried_as_empty_text(tmp_path: Path) -> None:
    (row,) = _table(tmp_path, "uri,title\na,\n").rows()
    assert row.columns == {"title": ""}


def test_the_uri_column_may_be_quoted_and_have_a_byte_order_mark(tmp_path: Path) -> None:
    assert _uris(_table(tmp_path, '\ufeff"Path","id"\r\na,1\r\n')) == ["a"]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    table = _table(tmp_path, "\nuri\n\na\n\n\nb\n\n")
    assert [(row.place, row.uri) for row in table.rows() if isinstance(row, Row)] == [("line=4", "a"), ("line=7", "b")]
    assert table.total() == 2


@pytest.mark.parametrize("bad", ["b", "b,2,3", '"b"x,2', 'b,"2"3'])
def test_a_bad_row_is_one_bad_row_with_its_line_and_the_rest_goes_on(tmp_path: Path, bad: str) -> None:
    rows = list(_table(tmp_path, f"uri,id\na,1\n{bad}\nc,3\n").rows())
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].place == "line=3"


def test_a_wrong_number_of_fields_is_said_with_both_numbers(tmp_path: Path) -> None:
    (row,) = _table(tmp_path, "uri,id\na,1,x\n").rows()
    assert isinstance(row, BadRow)
    assert "3 fields" in row.detail
    assert "has 2" in row.detail


def test_a_stray_quote_costs_one_row_and_swallows_none(tmp_path: Path) -> None:
    lines = ["uri,id", "a,1", '"b,2', *(f"c{n},3" for n in range(500))]
    assert _uris(_table(tmp_path, "\n".join(lines))) == ["a", None, *(f"c{n}" for n in range(500))]


def test_two_stray_quotes_far_apart_do_not_swallow_what_is_between(tmp_path: Path) -> None:
    lines = ["uri,id", '"a,1', *(f"c{n},3" for n in range(50)), '"b,2', "d,4"]
    assert _uris(_table(tmp_path, "\n".join(lines))) == [None, *(f"c{n}" for n in range(50)), None, "d"]


def test_a_quoted_value_may_hold_line_ends(tmp_path: Path) -> None:
    rows = list(_table(tmp_path, 'uri,title\na,"one\ntwo"\nb,2\n').rows())
    assert rows == [Row("line=2", "a", {"title": "one\ntwo"}), Row("line=4", "b", {"title": "2"})]


def test_a_row_longer_than_memory_allows_is_bad(tmp_path: Path) -> None:
    rows = list(_table(tmp_path, f"uri,id\na,{'x' * (2 * MAX_LINE_CHARS)}\nb,2\n").rows())
    assert [type(row) for row in rows] == [BadRow, Row]
    assert rows[1].place == "line=3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title,id\na,1\n", r"m\.csv has no column named uri, url, path or file.*'title', 'id'"),
        ("uri;id\na;1\n", r"separated by ';' instead of ','"),
        ("uri\tid\na\t1\n", r"separated by '\\t' instead of ','"),
        ("uri,id,id\n", "more than one column is named 'id'"),
        ('"uri,id\na,1\n', "the line with the names of columns cannot be read"),
        ("", "empty"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_an_error_that_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _table(tmp_path, text)


def test_a_manifest_with_names_alone_has_no_rows(tmp_path: Path) -> None:
    table = _table(tmp_path, "uri,id")
    assert list(table.rows()) == []
    assert table.total() == 0
