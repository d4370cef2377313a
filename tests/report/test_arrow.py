from __future__ import annotations

import math

import pytest

from batch_scan.report.arrow import arrow_table
from batch_scan.report.schema import SCHEMAS, Table


@pytest.mark.parametrize("table", Table)
def test_a_table_without_rows_and_one_of_nulls_have_the_same_types(table: Table) -> None:
    nulls = (None,) * len(SCHEMAS[table])
    assert arrow_table(table, []).schema.equals(SCHEMAS[table])
    filled = arrow_table(table, [nulls])
    assert filled.schema.equals(SCHEMAS[table])
    assert filled.num_rows == 1


def test_one_text_that_cannot_be_stored_does_not_change_its_neighbours() -> None:
    names = SCHEMAS[Table.TRANSCRIPTS].names
    rows = [tuple(text if name == "text" else None for name in names) for text in ("fine", "\udcff\ud83d", "a\x00b")]
    assert arrow_table(Table.TRANSCRIPTS, rows)["text"].to_pylist() == ["fine", r"\udcff\ud83d", "a\x00b"]


def test_numbers_that_are_none_are_null() -> None:
    names = SCHEMAS[Table.SCORES].names
    rows = [
        tuple(score if name == "score" else None for name in names) for score in (math.nan, math.inf, -math.inf, 0.5)
    ]
    assert arrow_table(Table.SCORES, rows)["score"].to_pylist() == [None, None, None, 0.5]


def test_whole_numbers_beyond_64_bits_become_the_nearest_that_fit() -> None:
    names = SCHEMAS[Table.FILES].names
    rows = [tuple(size if name == "size_bytes" else None for name in names) for size in (2**80, -(2**80), 1)]
    assert arrow_table(Table.FILES, rows)["size_bytes"].to_pylist() == [2**63 - 1, -(2**63), 1]


def test_a_manifest_may_hold_what_cannot_be_stored() -> None:
    names = SCHEMAS[Table.FILES].names
    row = tuple([("a", "\udcff"), ("\ud800", "b")] if name == "manifest" else None for name in names)
    assert arrow_table(Table.FILES, [row])["manifest"].to_pylist() == [[("a", r"\udcff"), (r"\ud800", "b")]]
