from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.answer_json import MAX_DEPTH, dump_json, map_strings, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_dumped_is_parsed_to_the_same_value(value: Any) -> None:
    assert parse_json(dump_json(value)) == value


@given(st.binary() | st.text())
def test_anything_else_is_a_value_error(untrusted: bytes | str) -> None:
    try:
        value = parse_json(untrusted)
    except ValueError:
        return
    assert value == json.loads(untrusted)


@pytest.mark.parametrize(
    "untrusted",
    [
        b"",
        b"{",
        b"{} {}",
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b'{"isClean": false, "isClean": true}',
        b'{"outer": {"a": 1, "a": 1}}',
        b'"\xff"',
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" + b"9" * 10_000 + b"]",
        b"[" + b"9" * 400 + b"]",
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(untrusted: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(untrusted)


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_a_lone_surrogate_is_dumped_so_that_it_can_be_stored() -> None:
    dumped = dump_json(parse_json(b'{"term": "\\ud800", "other": "\xc3\xa9"}'))
    assert json.loads(dumped.encode("utf-8")) == {"term": "\ud800", "other": "é"}


def test_strings_are_changed_wherever_they_are() -> None:
    value = {"key": ["key", {"a": "my key"}], "n": 1}
    assert map_strings(value, lambda text: text.replace("key", "*")) == {"*": ["*", {"a": "my *"}], "n": 1}
