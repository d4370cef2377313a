"""One request to a sandbox server as it was noted, what is answered, and the sending of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.faults import Fault, Kind

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from batch_scan.sandbox.serving import Scope, Send


@dataclass(slots=True)
class Seen:
    """What the server noted of one request."""

    number: int
    """Among the requests that judge something, from 1; 0 for others."""
    method: str
    path: str
    arrived_s: float
    """`time.monotonic` when its head was there."""
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    operation: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    """What it carried beside the sample, parsed."""
    digest: str = ""
    """SHA-256 of the sample."""
    size_bytes: int = 0
    file_name: str = ""
    mime: str = ""
    fault: Kind | None = None
    status: int | None = None
    tokens: int = 0
    answered_s: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a server answers."""

    body: Any
    """JSON-able; bytes go out as they are; None is no body at all."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @property
    def encoded(self) -> bytes:
        """The body as it travels."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def as_fault(self) -> Fault:
        """The same as something that is answered in place of the real answer."""
        headers = {"content-type": self.content_type, **self.headers} if self.body is not None else self.headers
        return Fault(Kind.ANSWER, self.status, headers, self.encoded)


class Refusal(Exception):  # noqa: N818 - it is an answer, in the vendor's own words
    """A request that breaks the contract; carries what the vendor says to it."""

    def __init__(self, told: Told) -> None:
        super().__init__(str(told.body))
        self.told = told


class Sending:
    """Sends an answer, whole or in part, and notes that it was sent."""

    def __init__(self, scope: Scope, send: Send, seen: Seen, released: asyncio.Event) -> None:
        self.scope = scope
        self.released = released
        self._send = send
        self._seen = seen

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send all of it."""
        await self._head(status, headers, len(body))
        self._seen.answered_s = time.monotonic()
        await self._send({"type": "http.response.body", "body": body})

    async def part(self, status: int, headers: Mapping[str, str], body: bytes, sent: bytes) -> None:
        """Send the head of an answer with this body, and only `sent` of it."""
        await self._head(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": sent, "more_body": True})

    async def _head(self, status: int, headers: Mapping[str, str], size_bytes: int) -> None:
        self._seen.status = status
        named = {**headers, "content-length": str(size_bytes)} if status != HTTPStatus.NO_CONTENT else headers
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})
