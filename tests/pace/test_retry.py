from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.config import LimitTable
from batch_scan.errors import EndpointError, Failure
from batch_scan.pace.retry import MAX_DOUBTFUL_ATTEMPTS, RATE_WINDOW_S, RetryPolicy, rate_pause_s

POLICY = RetryPolicy(max_attempts=6, max_elapsed_s=600.0, base_s=1.0, cap_s=60.0)


def failed(failure: Failure, retry_after_s: float | None = None) -> EndpointError:
    return EndpointError(failure, "it failed", retry_after_s=retry_after_s)


def test_the_policy_of_a_service_is_what_its_limit_table_says() -> None:
    policy = RetryPolicy.of(LimitTable(max_attempts=3, max_retry_s=20.0))
    assert (policy.max_attempts, policy.max_elapsed_s) == (3, 20.0)


@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.FATAL])
def test_what_is_final_is_never_sent_again(failure: Failure) -> None:
    assert POLICY.next_wait_s(failed(failure, retry_after_s=1.0), 1, 0.0, Random(1)) is None


@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.RATE_LIMITED])
def test_attempts_bound_it(failure: Failure) -> None:
    assert POLICY.next_wait_s(failed(failure), 5, 0.0, Random(1)) is not None
    assert POLICY.next_wait_s(failed(failure), 6, 0.0, Random(1)) is None


def test_what_may_be_paid_each_time_is_tried_less_often() -> None:
    assert POLICY.next_wait_s(failed(Failure.TRANSIENT), 4, 0.0, Random(1), doubtful_attempts=2) is not None
    assert POLICY.next_wait_s(failed(Failure.TRANSIENT), 4, 0.0, Random(1), doubtful_attempts=3) is None
    assert MAX_DOUBTFUL_ATTEMPTS == 3


@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.RATE_LIMITED])
def test_time_bounds_it(failure: Failure) -> None:
    assert POLICY.next_wait_s(failed(failure), 1, 500.0, Random(1)) is not None
    assert POLICY.next_wait_s(failed(failure), 1, 600.0, Random(1)) is None


def test_no_time_to_retry_means_one_attempt() -> None:
    assert RetryPolicy(6, 0.0).next_wait_s(failed(Failure.TRANSIENT), 1, 0.0, Random(1)) is None


@given(st.integers(1, 40), st.floats(0.0, 599.0), st.integers())
def test_a_wait_lies_below_a_bound_that_doubles_and_within_the_time_left(
    attempt: int, elapsed_s: float, seed: int
) -> None:
    policy = RetryPolicy(max_attempts=100, max_elapsed_s=600.0, base_s=1.0, cap_s=60.0)
    wait_s = policy.next_wait_s(failed(Failure.TRANSIENT), attempt, elapsed_s, Random(seed))
    assert wait_s is not None
    assert 0.0 <= wait_s <= min(60.0, 2.0 ** (attempt - 1), 600.0 - elapsed_s)


def test_jitter_spreads_requests_that_failed_together() -> None:
    random = Random(1)
    waits = [POLICY.next_wait_s(failed(Failure.TRANSIENT), 5, 0.0, random) or 0.0 for _ in range(1000)]
    assert min(waits) < 1.0
    assert max(waits) > 15.0
    assert sum(waits) / 1000 == pytest.approx(8.0, rel=0.1)


@given(st.floats(0.0, 600.0), st.integers())
def test_a_retry_after_is_a_minimum(retry_after_s: float, seed: int) -> None:
    wait_s = POLICY.next_wait_s(failed(Failure.TRANSIENT, retry_after_s), 1, 0.0, Random(seed))
    assert wait_s is not None
    assert wait_s >= retry_after_s


@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.RATE_LIMITED])
def test_a_retry_after_beyond_the_time_left_is_the_end(failure: Failure) -> None:
    assert POLICY.next_wait_s(failed(failure, 100.0), 1, 500.0, Random(1)) is not None
    assert POLICY.next_wait_s(failed(failure, 100.1), 1, 500.0, Random(1)) is None


@pytest.mark.parametrize("retry_after_s", [None, 30.0])
def test_after_a_rate_limit_the_limiter_waits_and_the_request_does_not_wait_again(retry_after_s: float | None) -> None:
    assert POLICY.next_wait_s(failed(Failure.RATE_LIMITED, retry_after_s), 1, 0.0, Random(1)) == 0.0


def test_pauses_without_a_retry_after_grow_to_the_window_that_vendors_count_in() -> None:
    assert [rate_pause_s(round_number) for round_number in (1, 2, 3, 4, 2000)] == [15.0, 30.0, 60.0, 60.0, 60.0]
    assert rate_pause_s(3) == RATE_WINDOW_S


def test_a_rate_limit_without_retry_after_is_given_up_where_its_pause_lies_beyond_the_time_left() -> None:
    assert POLICY.next_wait_s(failed(Failure.RATE_LIMITED), 3, 550.0, Random(1)) is None
