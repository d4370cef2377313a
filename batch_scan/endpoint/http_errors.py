"""What an HTTP outcome means: status codes, problem bodies and broken connections to `EndpointError`. Pure.

| outcome | failure | may have been charged |
|---|---|---|
| 429 | rate limited | no |
| 408, 425, 503 | transient | no |
| any other 5xx | transient | yes |
| no connection | transient | no |
| certificate not valid | fatal | no |
| reset, timeout, answer cut short | transient | yes, once the whole request had left |
| 2xx that came whole and is compressed or not JSON, or is too large | refused: it would be paid again | yes |
| 401, 402, 403, 407 | fatal: key, quota, permission | no |
| 404, 405, 410, 421 and every redirect | fatal: the URL is wrong, and would be for every request | no |
| any other 4xx | refused: this sample, or these options | no |

A service whose pages call another 4xx transient names it (`also_transient`).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from batch_scan.endpoint.answer_json import parse_json
from batch_scan.endpoint.retry_after import parse_retry_after, retry_after_only
from batch_scan.errors import EndpointError, Failure
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping
    from datetime import datetime

_RATE_LIMITED = frozenset({HTTPStatus.TOO_MANY_REQUESTS})
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
_FATAL_KEY = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    }
)
_UNTOUCHED = HTTPStatus.SERVICE_UNAVAILABLE
"""Says that the service did not take the request on."""
WRONG_URL = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE, HTTPStatus.MISDIRECTED_REQUEST}
)
"""Statuses that say that there is no such service at this URL."""

_MESSAGE_KEYS = ("detail", "message", "error_description", "err_msg", "msg", "error", "title", "reason", "details")
_CODE_KEYS = ("code", "error_code", "errorCode", "err_code", "category", "type")
_CODE_CHARS = 80
_MAX_CAUSES = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """What a service said about a failure, still untrusted."""

    code: str = ""
    message: str = ""


class StatusError(Protocol):
    """Makes the error of an answer outside 2xx; `status_error` is the common one."""

    def __call__(
        self,
        service: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        now: datetime,
        redact: Callable[[str], str],
    ) -> EndpointError:
        """See `status_error`."""
        ...


def failure_of(status: int, also_transient: Container[int] = frozenset()) -> Failure:
    """Return what a status outside 2xx means for what comes next, given those that this service says to ask again."""
    if status in _RATE_LIMITED:
        return Failure.RATE_LIMITED
    if status in _TRANSIENT or status in also_transient or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Failure.TRANSIENT
    if status in _FATAL_KEY or status in WRONG_URL or status < HTTPStatus.BAD_REQUEST:
        return Failure.FATAL
    return Failure.REFUSED


def status_error(
    service: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    redact: Callable[[str], str],
    also_transient: Container[int] = frozenset(),
) -> EndpointError:
    """Return the error for an answer outside 2xx.

    Args:
        service: name of the service, for the message.
        status: the status code.
        headers: of the answer; read for the wait it asks for.
        body: what came of the body, perhaps cut.
        now: the present, timezone-aware.
        redact: takes secrets out of a text.
        also_transient: statuses that this service says to ask again, beside those of the table.
    """
    problem = problem_of(body)
    message, phrase = clean_text(redact(problem.message)), _phrase(status)
    failure = failure_of(status, also_transient)
    detail = f"{service} answered {status} {phrase}".rstrip() + (f": {message}" if message not in {"", phrase} else "")
    asked = headers if failure is Failure.RATE_LIMITED else retry_after_only(headers)
    retriable = failure in {Failure.RATE_LIMITED, Failure.TRANSIENT}
    return EndpointError(
        failure,
        detail + _mend(service, status),
        http_status=status,
        vendor_code=clean_text(redact(problem.code), _CODE_CHARS),
        retry_after_s=parse_retry_after(asked, now) if retriable else None,
        maybe_charged=status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != _UNTOUCHED,
    )


def problem_of(body: bytes) -> Problem:
    """Return what an error body says, whatever its shape: RFC 7807, the usual JSON dialects, or plain text."""
    try:
        parsed = parse_json(body)
    except ValueError:
        return Problem(message=body.decode("utf-8", "replace"))
    nested = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(nested, dict):
        parsed = {**parsed, **nested}
    if not isinstance(parsed, dict):
        return Problem(message=parsed if isinstance(parsed, str) else "")
    return Problem(code=_first(parsed, _CODE_KEYS), message=_first(parsed, _MESSAGE_KEYS))


def broken_error(
    service: str, error: Exception, *, begun: bool, sent: bool, status: int | None, redact: Callable[[str], str]
) -> EndpointError:
    """Return the error for a request whose answer never came, or not whole.

    Args:
        service: name of the service, for the message.
        error: what broke: httpx's or the socket's exception.
        begun: whether a connection came about, on which the request was begun.
        sent: whether the whole request had left; only then can the service have taken it on.
        status: the status code, where the answer had begun.
        redact: takes secrets out of a text.
    """
    chain = list(_causes(error))
    said = clean_text(redact(next((text for cause in chain if (text := str(cause))), "")))
    what = type(error).__name__ + (f": {said}" if said else "")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
        return EndpointError(
            Failure.FATAL,
            f"{service} cannot prove who it is and does not get the key ({what}); check base_url and the certificate",
            was_sent=begun,
        )
    return EndpointError(
        Failure.TRANSIENT,
        f"the connection to {service} failed ({what})",
        http_status=status,
        maybe_charged=sent,
        was_sent=begun,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _first(parsed: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = parsed.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _mend(service: str, status: int) -> str:
    if status in WRONG_URL:
        return f" (is the base_url of {service} right?)"
    if status < HTTPStatus.BAD_REQUEST:
        return f" (a key does not follow redirects: give {service} the base_url that answers itself)"
    return ""
