from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.source.jsonl_table import JsonlTable
from batch_scan.source.table import BadRow, Row
from batch_scan.source.textfile import MAX_LINE_CHARS

if TYPE_CHECKING:
    from pathlib import Path


def _table(tmp_path: Path, *lines: str) -> JsonlTable:
    path = tmp_path / "m.jsonl"
    path.write_bytes("\n".join(lines).encode())
    return JsonlTable(path, "m.jsonl")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.text(min_size=1), _JSON), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_value_is_carried_as_text_that_means_the_same(tmp_path: Path, rows: list[tuple[str, Any]]) -> None:
    table = _table(tmp_path, *(json.dumps({"uri": uri, "x": value}) for uri, value in rows))
    read = list(table.rows())
    assert table.total() == len(read)
    for (uri, value), row in zip(rows, read, strict=True):
        assert isinstance(row, Row)
        assert row.uri == uri
        carried = row.columns.get("x")
        if isinstance(value, str) or value is None:
            assert carried == value
        else:
            assert carried is not None
            assert json.dumps(json.loads(carried)) == json.dumps(value)


def test_numbers_are_carried_as_they_are_written(tmp_path: Path) -> None:
    line = '{"uri": "a", "price": 1.10, "big": 12345678901234567890123, "e": 1E5, "in": {"p": [1.10, true, null, "x"]}}'
    (row,) = _table(tmp_path, line).rows()
    assert row.columns == {
        "price": "1.10",
        "big": "12345678901234567890123",
        "e": "1E5",
        "in": '{"p": [1.10, true, null, "x"]}',
    }


def test_nulls_are_left_out_and_truth_is_spelled_as_in_json(tmp_path: Path) -> None:
    (row,) = _table(tmp_path, '{"uri": "a", "n": null, "t": true, "f": false, "s": ""}').rows()
    assert row.columns == {"t": "true", "f": "false", "s": ""}


def test_keys_may_differ_from_line_to_line(tmp_path: Path) -> None:
    rows = _table(tmp_path, '{"id": 1, "file": "a"}', '{"url": "b", "file": "c"}').rows()
    assert list(rows) == [Row("line=1", "a", {"id": "1"}), Row("line=2", "b", {"file": "c"})]


def test_blank_lines_are_no_rows_and_lines_are_counted(tmp_path: Path) -> None:
    table = _table(tmp_path, "\ufeff", '{"uri": "a"}\r', "", '{"uri": "b"}', "")
    assert [row.place for row in table.rows()] == ["line=2", "line=4"]
    assert table.total() == 2


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('"a"', "not a JSON object"),
        ('{"uri": "b"} {"uri": "c"}', "not JSON"),
        ('{"title": "b"}', "no key named uri, url, path, file"),
        ('{"uri": ["b"]}', "not text"),
        ('{"uri": true}', "not text"),
        ('{"uri": "b", "uri": "c"}', "twice"),
        ('{"uri": "b", "URI": "c"}', "rename one"),
        ('{"uri": "b", " uri": "c"}', "spaces alone"),
        ('{"uri": "b", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"uri": "' + "x" * MAX_LINE_CHARS + '"}', "longer than"),
    ],
)
def test_a_bad_line_is_one_bad_row_and_the_rest_goes_on(tmp_path: Path, bad: str, said: str) -> None:
    rows = list(_table(tmp_path, '{"uri": "a"}', bad, '{"uri": "z"}').rows())
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert isinstance(rows[1], BadRow)
    assert rows[1].place == "line=2"
    assert said in rows[1].detail


def test_a_null_uri_names_no_file(tmp_path: Path) -> None:
    (row,) = _table(tmp_path, '{"uri": null}').rows()
    assert isinstance(row, Row)
    assert row.uri == ""


def test_half_characters_are_carried_in_a_form_that_can_be_written(tmp_path: Path) -> None:
    (row,) = _table(tmp_path, r'{"uri": "a", "x": "\ud83d", "\ude00": ["\ud83d"]}').rows()
    for text in (*row.columns, *row.columns.values()):
        text.encode()
    assert row.columns["x"] == "\\ud83d"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["", "uri,id", "a,1"], r"m\.jsonl, line 2: it is not JSON"),
        (["["], r"line 1"),
        (["[]"], r"line 1: it is not a JSON object; write one JSON object per line"),
        (['{"title": "a"}', '{"id": 1}'], r"no column named uri.*'title', 'id'"),
        ([""], "empty"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_an_error_that_says_why(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _table(tmp_path, *lines)
