"""What Stream says in an error beside what every service says. Pure.

Its bodies are ``{code, message, StatusCode, duration, more_info, details, unrecoverable?}``; any field may be missing,
and a proxy's page is no JSON at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.endpoint.answer_json import parse_json
from batch_scan.endpoint.http_errors import status_error
from batch_scan.endpoint.retry_after import parse_retry_after
from batch_scan.errors import EndpointError, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

_RATE_HEADERS = "x-ratelimit-"
_RESET = "x-ratelimit-reset"


@dataclass(frozen=True, slots=True)
class RateTold:
    """What the headers of an answer say of the rate; None where they say nothing."""

    limit: int | None = None
    """Calls a minute, of this kind."""
    remaining: int | None = None
    rest_s: float | None = None
    """Seconds until the window begins anew."""


def rate_told(headers: Mapping[str, str], now: datetime) -> RateTold:
    """Return what the headers say of the rate. `X-RateLimit-Reset` is an instant, seconds since the epoch."""
    first = first_values(headers)
    reset = {name: value for name, value in first.items() if name in {_RESET, "date"}}
    return RateTold(
        limit=_count(first.get("x-ratelimit-limit", "")),
        remaining=_count(first.get("x-ratelimit-remaining", "")),
        rest_s=parse_retry_after(reset, now) if _RESET in reset else None,
    )


def first_values(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers, names in lower case, with the first value alone where a rate header holds a list of them."""
    named = {name.lower(): value for name, value in headers.items()}
    return {
        name: value.partition(",")[0].strip() if name.startswith(_RATE_HEADERS) else value
        for name, value in named.items()
    }


def stream_error(
    service: str, status: int, headers: Mapping[str, str], body: bytes, *, now: datetime, redact: Callable[[str], str]
) -> EndpointError:
    """Return the error for an answer outside 2xx: what is `unrecoverable` is never asked again."""
    error = status_error(service, status, first_values(headers), body, now=now, redact=redact)
    if error.failure not in {Failure.RATE_LIMITED, Failure.TRANSIENT} or not _is_unrecoverable(body):
        return error
    return EndpointError(
        Failure.REFUSED,
        f"{error.detail} (Stream says that asking again is in vain)",
        http_status=error.http_status,
        vendor_code=error.vendor_code,
        maybe_charged=error.maybe_charged,
    )


def _is_unrecoverable(body: bytes) -> bool:
    try:
        told = parse_json(body)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("unrecoverable") is True


def _count(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None  # noqa: PLR2004 - 64 bits
