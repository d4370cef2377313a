from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.retry_after import MAX_RETRY_AFTER_S, parse_retry_after, retry_after_only

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = NOW.timestamp()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-7"}, 0.0),
        ({"Retry-After": "1m30s"}, 90.0),
        ({"Retry-After": "250ms"}, 0.25),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:42 GMT"}, 42.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "2026-03-01T12:00:07Z"}, 7.0),
        ({"Retry-After": "2026-03-01T13:00:09+01:00"}, 9.0),
        ({"Retry-After": "2026-03-01T12:00:11"}, 11.0),
        ({"Retry-After": str(int(EPOCH) + 30)}, 30.0),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"X-RateLimit-Reset": "20"}, 20.0),
        ({"X-RateLimit-Reset": str(int(EPOCH) + 25)}, 25.0),
        ({"X-RateLimit-Reset": str(int(EPOCH + 25) * 1000)}, 25.0),
        ({"X-RateLimit-Reset": str(int(EPOCH + 25) * 10**9)}, 25.0),
        ({"X-Rate-Limit-Reset": "3"}, 3.0),
        ({"RateLimit-Reset": "50"}, 50.0),
        ({"X-RateLimit-Reset-After": "0.75"}, 0.75),
        ({"X-RateLimit-Reset-Requests": "1s", "X-RateLimit-Reset-Tokens": "6m0s"}, 360.0),
        ({"X-RateLimit-Reset": "5, 60, 2"}, 60.0),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50.0),
        ({"RateLimit": '"default";r=0;t=40'}, 40.0),
        ({"Retry-After": "2", "X-RateLimit-Reset": "9"}, 9.0),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "9"}, 9.0),
        ({"Retry-After": "999999"}, MAX_RETRY_AFTER_S),
        ({"Retry-After": "9" * 400}, MAX_RETRY_AFTER_S),
    ],
)
def test_every_way_of_asking_for_a_pause_is_understood(headers: dict[str, str], wait_s: float) -> None:
    assert parse_retry_after(headers, NOW) == pytest.approx(wait_s, abs=0.01)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Retry-After": ""},
        {"Retry-After": "soon"},
        {"Retry-After": "nan"},
        {"Retry-After": "inf"},
        {"Retry-After": "1e3"},
        {"Retry-After": "٣"},
        {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0"},
        {"RateLimit": "limit=100, remaining=0"},
        {"Date": "Sun, 01 Mar 2026 12:00:42 GMT"},
    ],
)
def test_what_is_no_request_for_a_pause_is_none(headers: dict[str, str]) -> None:
    assert parse_retry_after(headers, NOW) is None


def test_instants_are_compared_with_the_clock_of_the_service() -> None:
    headers = {"Retry-After": "Sun, 01 Mar 2026 15:00:42 GMT", "Date": "Sun, 01 Mar 2026 15:00:00 GMT"}
    assert parse_retry_after(headers, NOW) == 42.0


def test_beside_another_failure_than_429_the_reset_of_the_window_is_not_a_pause() -> None:
    kept = retry_after_only({"X-RateLimit-Reset": "50", "Retry-After": "3", "Date": "x"})
    assert parse_retry_after(kept, NOW) == 3.0


_NAMES = st.sampled_from(
    [
        "Retry-After",
        "retry-after-ms",
        "X-RateLimit-Reset",
        "ratelimit-reset",
        "x-ratelimit-reset-after",
        "RateLimit",
        "Date",
    ]
)
_VALUES = (
    st.text(max_size=60)
    | st.text(alphabet="0123456789.,:;=-+ TZdhmsrtGMT", max_size=40)
    | st.integers().map(str)
    | st.datetimes().map(str)
)


@given(st.dictionaries(_NAMES, _VALUES))
def test_whatever_a_service_sends_the_wait_is_none_or_within_bounds(headers: dict[str, str]) -> None:
    wait_s = parse_retry_after(headers, NOW)
    assert wait_s is None or 0.0 <= wait_s <= MAX_RETRY_AFTER_S


@given(st.integers(0, 3599))
def test_one_pause_is_the_same_however_it_is_written(seconds: int) -> None:
    until = NOW + timedelta(seconds=seconds)
    written = [
        str(seconds),
        f"{seconds}s",
        f"{seconds // 60}m{seconds % 60}s",
        format_datetime(until, usegmt=True),
        until.isoformat(),
        str(int(until.timestamp())),
    ]
    assert {parse_retry_after({"Retry-After": value}, NOW) for value in written} == {float(seconds)}


@given(st.lists(st.integers(0, 3599), min_size=1, max_size=5))
def test_of_several_pauses_the_longest_counts(pauses: list[int]) -> None:
    together = ", ".join(map(str, pauses))
    assert parse_retry_after({"X-RateLimit-Reset": together}, NOW) == float(max(pauses))
