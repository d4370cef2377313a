from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_scan.errors import UsageError
from batch_scan.source.parquet_table import ParquetTable
from batch_scan.source.table import BadRow, Row

if TYPE_CHECKING:
    from pathlib import Path


def _table(tmp_path: Path, columns: pa.Table | dict[str, Any], **options: Any) -> ParquetTable:
    path = tmp_path / "m.parquet"
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return ParquetTable(path, "m.parquet")


def _carried(tmp_path: Path, values: pa.Array) -> list[str | None]:
    table = _table(tmp_path, {"uri": [str(n) for n in range(len(values))], "x": values})
    return [row.columns.get("x") for row in table.rows()]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        ("NA", "NA"),
        ("", ""),
        (None, None),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (Decimal("1.10"), "1.10"),
        (date(2024, 5, 1), "2024-05-01"),
        (time(1, 2, 3), "01:02:03"),
        (datetime(2024, 5, 1, 12, tzinfo=UTC), "2024-05-01T12:00:00+00:00"),
        (timedelta(seconds=90), "0:01:30"),
        (b"\xff", "/w=="),
        (["a", None, 1.5], None),
        ({"a": 1, "b": ["ü"]}, '{"a": 1, "b": ["ü"]}'),
    ],
)
def test_values_become_text(tmp_path: Path, value: object, text: str | None) -> None:
    if isinstance(value, list):
        assert _carried(tmp_path, pa.array([["a", None]])) == ['["a", null]']
    else:
        assert _carried(tmp_path, pa.array([value])) == [text]


def test_nested_times_and_bytes_become_text_too(tmp_path: Path) -> None:
    (text,) = _carried(tmp_path, pa.array([{"at": datetime(2024, 5, 1, tzinfo=UTC), "raw": b"\xff"}]))
    assert text is not None
    assert json.loads(text) == {"at": "2024-05-01T00:00:00+00:00", "raw": "/w=="}


def test_nanoseconds_are_kept(tmp_path: Path) -> None:
    (text,) = _carried(tmp_path, pa.array([1], pa.timestamp("ns")))
    assert text == "1970-01-01T00:00:00.000000001"


def test_odd_values_harm_only_themselves(tmp_path: Path) -> None:
    far = pa.array([0, 2**60, None], pa.timestamp("ms"))
    assert _carried(tmp_path, far) == ["1970-01-01T00:00:00", str(2**60), None]


def test_text_that_is_not_utf8_is_carried_in_a_form_that_can_be_written(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"bad\xff"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    assert _carried(tmp_path, text) == ["good", "bad\\xff"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_the_uri_may_be_any_kind_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    table = _table(tmp_path, {"id": [1, 2], " URL ": pa.array(["a", None], kind)})
    assert list(table.rows()) == [Row("row=1", "a", {"id": "1"}), Row("row=2", "", {"id": "2"})]


def test_rows_are_numbered_through_row_groups_and_batches(tmp_path: Path) -> None:
    names = [f"{n}.mp4" for n in range(5000)]
    table = _table(tmp_path, {"uri": names}, row_group_size=1500)
    assert [(row.place, row.uri) for row in table.rows() if isinstance(row, Row)] == [
        (f"row={number}", name) for number, name in enumerate(names, start=1)
    ]
    assert table.total() == 5000


def test_a_damaged_row_group_is_a_bad_row_for_each_of_its_rows_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    names = [f"{n:09}.mp4" for n in range(3000)]
    pq.write_table(
        pa.table({"uri": names}),
        path,
        row_group_size=1000,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    data = bytearray(path.read_bytes())
    page = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    data[page : page + 10] = b"\xff" * 10
    path.write_bytes(data)
    rows = list(ParquetTable(path, "m.parquet").rows())
    assert len(rows) == 3000
    assert [row.place for row in rows] == [f"row={number}" for number in range(1, 3001)]
    assert [isinstance(row, BadRow) for row in rows] == [False] * 1000 + [True] * 1000 + [False] * 1000
    assert isinstance(rows[1000], BadRow)
    assert "row group 1" in rows[1000].detail


@pytest.mark.parametrize("content", [b"", b"uri,id\n", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_file_that_is_not_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.parquet is not a readable Parquet file"):
        ParquetTable(path, "m.parquet")


def test_a_cut_file_is_an_error(tmp_path: Path) -> None:
    _table(tmp_path, {"uri": ["a"] * 1000})
    path = tmp_path / "m.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        ParquetTable(path, "m.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"title": ["a"]}, r"no column named uri, url, path or file.*'title'"),
        ({"uri": [1]}, r"the column 'uri' holds int64, not text"),
        (pa.table([pa.array(["a"]), pa.array(["b"])], names=["uri", "uri"]), "more than one column is named 'uri'"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_an_error_that_says_why(
    tmp_path: Path, columns: pa.Table | dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        _table(tmp_path, columns)


def test_a_file_that_changed_since_is_an_os_error(tmp_path: Path) -> None:
    table = _table(tmp_path, {"uri": ["a"]})
    (tmp_path / "m.parquet").write_bytes(b"nothing")
    with pytest.raises(OSError, match="arquet"):
        list(table.rows())
