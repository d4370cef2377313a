from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.http_errors import Problem, failure_of, problem_of, status_error
from batch_scan.errors import EndpointError, Failure
from tests.endpoint.contract import is_one_clean_line

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def error_for(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> EndpointError:
    return status_error(
        "acme", status, headers or {}, body, now=NOW, redact=lambda text: text.replace("KEY", "[redacted]")
    )


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (429, Failure.RATE_LIMITED),
        *((status, Failure.TRANSIENT) for status in (408, 425, 500, 502, 503, 504, 520, 599)),
        *((status, Failure.FATAL) for status in (401, 402, 403, 407, 404, 405, 410, 300, 301, 302, 303, 304, 307, 308)),
        *((status, Failure.REFUSED) for status in (400, 406, 409, 411, 413, 414, 415, 422, 451)),
    ],
)
def test_a_status_says_what_may_be_done_next(status: int, failure: Failure) -> None:
    assert failure_of(status) is failure


def test_a_service_may_call_another_refusal_transient_but_only_those_it_names() -> None:
    named = frozenset({409})
    assert [failure_of(status, named) for status in (409, 400)] == [Failure.TRANSIENT, Failure.REFUSED]
    error = status_error("acme", 409, {"Retry-After": "7"}, b"", now=NOW, redact=str, also_transient=named)
    assert (error.failure, error.retry_after_s, error.maybe_charged) == (Failure.TRANSIENT, 7.0, False)


@given(st.integers(100, 999))
def test_only_5xx_may_have_been_charged_and_503_not(status: int) -> None:
    assert error_for(status).maybe_charged == (status >= 500 and status != 503)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"type":"about:blank","title":"Bad","status":400,"detail":"no audio"}', Problem("about:blank", "no audio")),
        (b'{"title":"Bad"}', Problem("", "Bad")),
        (b'{"code":9,"message":"slow down"}', Problem("9", "slow down")),
        (b'{"error":"invalid_key","error_description":"wrong"}', Problem("", "wrong")),
        (b'{"error":{"code":"E1","message":"nested"}}', Problem("E1", "nested")),
        (b'{"err_code":"INVALID_AUTH","err_msg":"bad key"}', Problem("INVALID_AUTH", "bad key")),
        (
            b'{"category":"INVALID_JSON","message":"Invalid JSON submitted.","details":"line 1","request_id":"r"}',
            Problem("INVALID_JSON", "Invalid JSON submitted."),
        ),
        (b'{"category":"BAD","details":"nothing but details"}', Problem("BAD", "nothing but details")),
        (b'"just a string"', Problem("", "just a string")),
        (b"plain text", Problem("", "plain text")),
        (b"[1,2]", Problem("", "")),
        (b'{"detail":["a"],"message":true}', Problem("", "")),
        (b"", Problem("", "")),
        (b"\xff\xfe", Problem("", "\ufffd\ufffd")),
    ],
)
def test_a_problem_is_read_whatever_its_shape(body: bytes, problem: Problem) -> None:
    assert problem_of(body) == problem


@given(st.integers(200, 599), st.binary(max_size=200), st.text(max_size=40))
def test_whatever_the_body_the_message_is_one_clean_line(status: int, body: bytes, header: str) -> None:
    error = error_for(status, {"Retry-After": header}, body)
    assert is_one_clean_line(error.detail)
    assert error.detail.startswith(f"acme answered {status}")


def test_secrets_that_come_back_are_taken_out_of_message_and_code() -> None:
    error = error_for(401, body=b'{"code":"bad KEY","detail":"the KEY is wrong"}')
    assert "KEY" not in error.detail + error.vendor_code
    assert "the [redacted] is wrong" in error.detail


def test_503_keeps_its_retry_after_and_ignores_the_window() -> None:
    assert error_for(503, {"Retry-After": "7", "X-RateLimit-Reset": "50"}).retry_after_s == 7.0
    assert error_for(429, {"Retry-After": "7", "X-RateLimit-Reset": "50"}).retry_after_s == 50.0


def test_a_final_refusal_has_no_pause() -> None:
    assert error_for(401, {"Retry-After": "7"}).retry_after_s is None


def test_a_wrong_url_and_a_redirect_say_what_to_mend() -> None:
    assert "base_url" in error_for(404).detail
    assert "redirect" in error_for(301, {"Location": "https://elsewhere"}).detail
