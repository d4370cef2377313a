from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.report.layout import (
    committed_parts,
    is_run_id,
    new_run_id,
    part_numbers,
    part_path,
    run_ids,
    run_of_partition,
)
from batch_scan.report.schema import Table
from tests.report import made

if TYPE_CHECKING:
    from pathlib import Path

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - see timezones


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_the_name_of_a_run_is_its_start_in_utc_and_six_digits() -> None:
    began = datetime(2026, 11, 22, 8, 16, 48, tzinfo=timezone(timedelta(hours=9)))

    class Fixed(Random):
        def getrandbits(self, k: int, /) -> int:
            assert k == 24
            return 0x7F3A9C

    assert new_run_id(began, Fixed()) == "20261121T231648Z-7f3a9c"


@given(moments, moments, st.randoms(use_true_random=False))
def test_names_of_runs_sort_as_their_starts(one: datetime, other: datetime, random: Random) -> None:
    names = [new_run_id(one, random), new_run_id(other, random)]
    assert all(map(is_run_id, names))
    if abs(one - other) >= timedelta(seconds=1):
        assert (names[0] < names[1]) == (one < other)


def test_two_runs_of_one_second_have_two_names() -> None:
    assert len({new_run_id(made.BEGAN) for _ in range(20)}) > 1


def test_parts_are_known_by_their_number_and_come_in_its_order(tmp_path: Path) -> None:
    for number in (10, 2, 100_000):
        touch(part_path(tmp_path, Table.FILES, made.RUN_ID, number))
    directory = part_path(tmp_path, Table.FILES, made.RUN_ID, 0).parent
    for name in (".part-00003.parquet.0123abcd.partial", "part-00004.parquet.bak", "part-x.parquet", "notes.txt"):
        touch(directory / name)
    assert list(part_numbers(tmp_path, Table.FILES, made.RUN_ID)) == [2, 10, 100_000]
    assert part_numbers(tmp_path, Table.SCORES, made.RUN_ID) == {}


def test_details_count_where_the_part_of_files_is_there(tmp_path: Path) -> None:
    for table, number in ((Table.FILES, 0), (Table.SCORES, 0), (Table.SCORES, 1), (Table.FILES, 2)):
        touch(part_path(tmp_path, table, made.RUN_ID, number))
    assert [path.name for path in committed_parts(tmp_path, Table.SCORES, made.RUN_ID)] == ["part-00000.parquet"]
    assert len(committed_parts(tmp_path, Table.FILES, made.RUN_ID)) == 2


def test_runs_are_those_that_have_their_row(tmp_path: Path) -> None:
    assert run_ids(tmp_path) == []
    for run_id in (made.LATER_RUN_ID, made.RUN_ID):
        touch(part_path(tmp_path, Table.RUNS, run_id, 0))
    (tmp_path / "runs" / "run_id=20270101T000000Z-000000").mkdir()
    touch(tmp_path / "runs" / "notes" / "part-00000.parquet")
    assert run_ids(tmp_path) == [made.RUN_ID, made.LATER_RUN_ID]


def test_only_partitions_of_runs_are_taken_for_them(tmp_path: Path) -> None:
    assert run_of_partition(tmp_path / f"run_id={made.RUN_ID}") == made.RUN_ID
    assert run_of_partition(tmp_path / made.RUN_ID) is None
    assert run_of_partition(tmp_path / "run_id=other") is None
