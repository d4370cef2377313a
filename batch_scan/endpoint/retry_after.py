"""How long a service asks us to wait, in every way that services say it. Pure.

Understood: `Retry-After` as seconds, HTTP date, duration (``1m30s``) or ISO time; `Retry-After-Ms`; the
`RateLimit-Reset` and `X-RateLimit-Reset` families, as seconds to go or as an instant (seconds to nanoseconds since the
epoch), whole lists of them included; `RateLimit` as the IETF drafts write it (``limit=100, remaining=0, reset=50`` and
``"default";r=0;t=50``). Where several are given the longest counts: too long costs time, too short another 429.
Instants are compared with the service's own `Date` where it sends one, so that a clock that is wrong here does no harm.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_RETRY_AFTER_S = 3600.0
"""Longest wait taken from a service; a longer one is a mistake or an attack, and the next answer will say it again."""

_MAX_HEADER_CHARS = 200
_RESET_NAME = re.compile(r"^(?:x-)?rate-?limit-reset(?:-[a-z0-9-]+)?$")
_NUMBER = re.compile(r"^[+-]?[0-9]+(?:\.[0-9]+)?$")
_DURATION = re.compile(r"^(?:[0-9]+(?:\.[0-9]+)?(?:ms|us|µs|ns|[dhms]))+$")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|[dhms])")
_UNIT_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_IETF_RESET = re.compile(r"(?:^|[;,\s])(?:reset|t)\s*=\s*([0-9]+(?:\.[0-9]+)?)")
_OLDEST_EPOCH_S = 1e9
"""A number from here on (2001, or 31 years to wait) is an instant and not a delay."""
_EPOCH_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (_OLDEST_EPOCH_S, 1.0))


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds the service asks us to wait, from now; None where it does not say.

    Args:
        headers: of the answer, names in any case.
        now: this machine's time, timezone-aware; used where the service sends no `Date`.

    Returns:
        Between 0 and `MAX_RETRY_AFTER_S`; an instant that has passed is 0.
    """
    found = {name.lower(): value.strip()[:_MAX_HEADER_CHARS] for name, value in headers.items()}
    there = _http_date(found.get("date", "")) or now
    waits = list(_waits(found, there))
    return min(max(0.0, *waits), MAX_RETRY_AFTER_S) if waits else None


def retry_after_only(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that ask for a pause whatever the status: the reset of a window means nothing beside a 503."""
    return {name: value for name, value in headers.items() if name.lower() in {"retry-after", "retry-after-ms", "date"}}


def _waits(found: Mapping[str, str], now: datetime) -> Iterator[float]:
    for name, value in found.items():
        if name == "retry-after":
            yield from _waits_of(value, now)
        elif name == "retry-after-ms":
            yield from (wait / 1000.0 for wait in _waits_of(value, now))
        elif name == "ratelimit":
            yield from (float(reset) for reset in _IETF_RESET.findall(value))
        elif _RESET_NAME.match(name):
            yield from _waits_of(value, now)


def _waits_of(value: str, now: datetime) -> Iterator[float]:
    whole = _wait_of(value, now)  # first as a whole, for a date has a comma of its own
    parts = [whole] if whole is not None else [_wait_of(part.strip(), now) for part in value.split(",")]
    yield from (part for part in parts if part is not None)


def _wait_of(value: str, now: datetime) -> float | None:
    if _NUMBER.match(value):
        return _wait_of_number(float(value), now)
    if _DURATION.match(value.lower()):
        return sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(value.lower()))
    instant = _http_date(value) or _iso_time(value)
    return None if instant is None else (instant - now).total_seconds()


def _wait_of_number(number: float, now: datetime) -> float:
    for least, unit_s in _EPOCH_UNITS:
        if number >= least:
            return number * unit_s - now.timestamp()
    return number


def _http_date(value: str) -> datetime | None:
    try:
        return _aware(parsedate_to_datetime(value))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _iso_time(value: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
