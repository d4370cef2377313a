from __future__ import annotations

import tracemalloc
from operator import itemgetter

import pytest

from batch_scan.report.arrow import arrow_table
from batch_scan.report.buffer import CHUNK_ROWS, TableBuffer
from batch_scan.report.rows import rows_of
from batch_scan.report.schema import SCHEMAS, TABLES, Table
from tests.report import made


def filled(number: int) -> TableBuffer:
    buffer = TableBuffer(Table.FILES)
    for index in range(number):
        (row,) = rows_of(made.RUN_ID, made.full(index))[Table.FILES]
        buffer.add(row)
    return buffer


@pytest.mark.parametrize("number", [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS + 7])
def test_rows_come_out_as_they_went_in_however_often_they_are_asked_for(number: int) -> None:
    buffer = filled(number)
    in_order = itemgetter(*TABLES[Table.FILES].names)
    rows = [in_order(rows_of(made.RUN_ID, made.full(index))[Table.FILES][0]) for index in range(number)]
    wanted = arrow_table(Table.FILES, rows)
    for _ in range(2):  # a part that cannot be written is tried again
        assert buffer.as_table().equals(wanted)
        assert buffer.as_table().schema.equals(SCHEMAS[Table.FILES], check_metadata=True)
    assert len(buffer) == number


def test_rows_that_wait_are_no_python_objects() -> None:
    filled(1)  # what is made once
    tracemalloc.start()
    try:
        buffer = filled(20 * CHUNK_ROWS)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(buffer) == 20 * CHUNK_ROWS
    assert held_bytes < 100 * len(buffer), "a row as a tuple takes over 1,000 bytes"


def test_large_values_do_not_wait_for_their_number() -> None:
    buffer = TableBuffer(Table.REQUESTS)
    (row,) = rows_of(made.RUN_ID, made.full(0))[Table.REQUESTS][:1]
    buffer.add({**row, "answer": "x" * (3 << 20)})
    assert 3 << 20 <= buffer.size_bytes < 4 << 20
