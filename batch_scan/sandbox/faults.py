"""What a test server can be told to do wrong, and when. Thread-safe: tests script it while the server runs."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Kind(StrEnum):
    """What happens to a request."""

    ANSWER = "answer"
    """Another answer is given: `status`, `headers`, `body`. The sample is not judged."""
    RESET_MID_UPLOAD = "reset_mid_upload"
    """The connection is reset (RST) before the body is read."""
    RESET_BEFORE_ANSWER = "reset_before_answer"
    """The connection is reset once the body has been read."""
    RESET_MID_ANSWER = "reset_mid_answer"
    """The connection is reset after half of the real answer."""
    TRUNCATE = "truncate"
    """The connection is closed in order after half of the real answer, of which the whole length was announced."""
    HANG = "hang"
    """Nothing is answered for `seconds`, or until released; then the connection is closed."""
    HANG_AFTER_HEADERS = "hang_after_headers"
    """The head of the real answer, then nothing for `seconds`, or until released."""
    DELAY = "delay"
    """The real answer, `seconds` late, or when released."""
    CHANGE = "change"
    """The real answer with `change` made to it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one request."""

    kind: Kind
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float | None = None
    change: Callable[[dict[str, Any]], Any] | None = None
    charge: bool | None = None
    """Whether the request is charged; None: as the kind does (real answers are, others are not)."""

    def charged(self) -> Fault:
        """Return the same fault for a request that is charged all the same."""
        return replace(self, charge=True)


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer with this status; header names as keywords, ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(Kind.ANSWER, code, {"content-type": "application/problem+json", **named}, body)


def rate_limited(retry_after: str | None = None) -> Fault:
    """429, with a `Retry-After` if there is one."""
    return status(
        429, b'{"title":"Too Many Requests","status":429}', **({"retry_after": retry_after} if retry_after else {})
    )


def bad_gateway() -> Fault:
    """502 with a page of a proxy, not JSON."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>"
    return Fault(Kind.ANSWER, 502, {"content-type": "text/html"}, page)


def garbage() -> Fault:
    """200 and bytes that are no JSON."""
    return Fault(Kind.ANSWER, 200, {"content-type": "application/json"}, b'{"isClean": tru\xff\xfe')


def huge(size_bytes: int) -> Fault:
    """200 and a valid JSON object of this size."""
    filler = b'{"isClean":true,"reason":"' + b"x" * size_bytes + b'"}'
    return Fault(Kind.ANSWER, 200, {"content-type": "application/json"}, filler)


def changed(**fields: Any) -> Fault:
    """The real answer with these fields replaced; None removes one."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (answer | fields).items() if value is not None}

    return Fault(Kind.CHANGE, change=change)


def without_verdict() -> Fault:
    """The real answer without `isClean`."""
    return changed(isClean=None)


def hang(seconds: float | None = None) -> Fault:
    """No answer for this long, or until the server is released."""
    return Fault(Kind.HANG, seconds=seconds)


@dataclass(slots=True)
class _Rule:
    wanted: Callable[[Any], bool]
    fault: Fault
    times: int | None


class Faults:
    """Which request gets which fault. The first that fits is taken: by number, then the queue, then rules in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbered: dict[int, Fault] = {}
        self._queue: deque[Fault | None] = deque()
        self._rules: list[_Rule] = []

    def at(self, number: int, fault: Fault) -> None:
        """Have the request of this number (from 1, in order of arrival) go wrong."""
        with self._lock:
            self._numbered[number] = fault

    def queue(self, *faults: Fault | None) -> None:
        """Have the next requests go wrong one after the other; None lets one pass."""
        with self._lock:
            self._queue.extend(faults)

    def when(self, wanted: Callable[[Any], bool], fault: Fault, times: int | None = None) -> None:
        """Have requests go wrong that `wanted` says yes to, at most `times` of them.

        `wanted` gets the server's record of the request, whose body is not read yet.
        """
        with self._lock:
            self._rules.append(_Rule(wanted, fault, times))

    def clear(self) -> None:
        """Let everything pass from now on."""
        with self._lock:
            self._numbered.clear()
            self._queue.clear()
            self._rules.clear()

    def take(self, number: int, seen: Any) -> Fault | None:
        """Return the fault for a request, if there is one, and use it up."""
        with self._lock:
            if number in self._numbered:
                return self._numbered.pop(number)
            if self._queue:
                return self._queue.popleft()
            for rule in self._rules:
                if rule.times != 0 and rule.wanted(seen):
                    rule.times = None if rule.times is None else rule.times - 1
                    return rule.fault
        return None
