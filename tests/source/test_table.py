from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.source.table import URI_COLUMNS, column_names, find_uri_column, require_uri_column

_OTHERS = st.text(max_size=8).filter(lambda name: name.strip().casefold() not in URI_COLUMNS)


@given(st.permutations(URI_COLUMNS), st.integers(0, 3), st.lists(_OTHERS, max_size=5), st.randoms())
def test_the_first_of_uri_url_path_file_wins_wherever_it_stands(
    order: list[str], missing: int, others: list[str], random: object
) -> None:
    present = order[: len(order) - missing]
    names = [*others, *present]
    random.shuffle(names)  # type: ignore[attr-defined]
    assert find_uri_column(names) == next(wanted for wanted in URI_COLUMNS if wanted in present)


@given(st.lists(_OTHERS, max_size=5))
def test_where_none_is_named_so_there_is_none(others: list[str]) -> None:
    assert find_uri_column(others) is None


@pytest.mark.parametrize("written", ["URI", " uri ", "\ufeffuri", "\ufeff Uri", "uRi\t"])
def test_case_spaces_and_byte_order_mark_do_not_matter(written: str) -> None:
    names = column_names(["id", written], "m.csv")
    assert require_uri_column(names, "m.csv").casefold() == "uri"


def test_a_missing_uri_column_is_an_error_that_lists_the_columns_there_are() -> None:
    with pytest.raises(UsageError, match=r"m\.csv has no column named uri, url, path or file.*'Titel', 'id'"):
        require_uri_column(["Titel", "id"], "m.csv")


def test_two_columns_of_one_name_are_an_error_that_names_them() -> None:
    with pytest.raises(UsageError, match="'id'"):
        column_names(["uri", "id", " id "], "m.csv")


def test_two_uri_columns_that_differ_in_case_alone_are_an_error() -> None:
    with pytest.raises(UsageError, match="'uri', 'URI'"):
        require_uri_column(["uri", "URI"], "m.csv")


def test_columns_without_a_name_are_numbered_instead_of_lost() -> None:
    assert column_names(["uri", "", " "], "m.csv") == ["uri", "column 2", "column 3"]
