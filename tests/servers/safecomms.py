"""A server that keeps SafeComms' contract, strictly, on a loopback port; its judgement and its faults are scripted.

What the vendor's pages say it does: paths, keys, fields, types, options that need others, tiers, token prices, rate
per minute, quota, problem documents. What they do not say can be set: sizes, whether a 429 has a `Retry-After`.

    with SafeCommsServer(judge=by_digest({digest: {"Violence": "High"}})) as server:
        server.faults.queue(rate_limited("1"), bad_gateway())
        ...
        assert server.tokens_used == 50
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from tests.servers.faults import Fault, Faults, Kind
from tests.servers.safecomms_contract import (
    BASE_TOKENS,
    MAGIC,
    Problem,
    check_fields,
    demand,
    from_text,
    operation_of,
    price,
)
from tests.servers.serving import ThreadServer, wait_for
from tests.servers.verdicts import Judge, all_clean, by_digest, clean, found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import FormData

    from tests.servers.serving import Receive, Scope, Send

__all__ = ["DEFAULT_KEY", "Judge", "SafeCommsServer", "Seen", "all_clean", "by_digest", "clean", "found"]

DEFAULT_KEY = "sc-live-0123456789abcdef"


@dataclass(slots=True)
class Seen:
    """What the server noted of one request."""

    number: int
    """Among moderation requests, from 1; 0 for others."""
    method: str
    path: str
    arrived_s: float
    """`time.monotonic` when its head was there."""
    headers: Mapping[str, str]
    operation: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    """SHA-256 of the sample."""
    size_bytes: int = 0
    file_name: str = ""
    mime: str = ""
    fault: Kind | None = None
    status: int | None = None
    tokens: int = 0
    answered_s: float | None = None


class SafeCommsServer(ThreadServer):
    """See the module. Attributes may be changed while it runs."""

    def __init__(
        self,
        *,
        judge: Judge = all_clean,
        key: str = DEFAULT_KEY,
        tier: str = "Business",
        rate_limit: int = 60_000,
        rate_window_s: float = 60.0,
        retry_after: bool = True,
        token_limit: int | None = None,
        max_bytes: int = 25_000_000,
        keywords_encoding: str = "repeat",
        check_media: bool = True,
        delay_s: float = 0.0,
    ) -> None:
        """Prepare a server.

        Args:
            judge: what is true of a sample.
            key: the only key that is right.
            tier: decides which options are allowed.
            rate_limit: requests per minute, told by the usage call; over any `rate_window_s`, its share is enforced.
            rate_window_s: length of the sliding window.
            retry_after: whether a 429 says how long to wait.
            token_limit: tokens of the billing cycle; None is unlimited.
            max_bytes: larger samples are answered 413.
            keywords_encoding: how keywords must come in a form, ``repeat`` or ``json``.
            check_media: refuse (415) what does not begin like sound or a picture.
            delay_s: how long judging takes.
        """
        super().__init__()
        self.judge = judge
        self.key = key
        self.tier = tier
        self.rate_limit = rate_limit
        self.rate_window_s = rate_window_s
        self.retry_after = retry_after
        self.token_limit = token_limit
        self.max_bytes = max_bytes
        self.keywords_encoding = keywords_encoding
        self.check_media = check_media
        self.delay_s = delay_s
        self.urls: dict[str, bytes] = {}
        """What "public" URLs hold, for requests that name one."""
        self.faults = Faults()
        """Faults of moderation requests."""
        self.usage_faults = Faults()
        self.requests: list[Seen] = []
        self.tokens_used = 0
        self._admitted: deque[float] = deque()
        self._arrived = 0
        self._changed = threading.Condition()

    # ----------------------------------------------------------------------------------------------- what tests ask

    @property
    def calls(self) -> list[Seen]:
        """Moderation requests in order of arrival."""
        with self._changed:
            return [seen for seen in self.requests if seen.number]

    @property
    def answered(self) -> list[Seen]:
        """Moderation requests that got a whole answer with status 200."""
        return [seen for seen in self.calls if seen.status == 200 and seen.answered_s is not None]

    def wait_for_calls(self, number: int, timeout_s: float = 20.0) -> None:
        """Block until this many moderation requests have arrived. From asynchronous tests: in a thread."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._arrived >= number, timeout_s)
        assert arrived, f"fewer than {number} requests arrived"

    # ----------------------------------------------------------------------------------------------------- serving

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the request, break it if a fault is due, else answer it as the contract says."""
        request = Request(scope, receive)
        released = self.next_release
        seen = self._note(request)
        fault = (self.faults if seen.number else self.usage_faults).take(seen.number, seen)
        seen.fault = fault.kind if fault is not None else None
        answer = _Answer(scope, send, seen, released)
        try:
            await self._serve_one(request, seen, fault, answer)
        except ClientDisconnect:
            return

    async def _serve_one(self, request: Request, seen: Seen, fault: Fault | None, answer: _Answer) -> None:
        if fault is not None and fault.kind is Kind.RESET_MID_UPLOAD:
            self.reset(request.scope)
            return
        body = await request.body()
        if fault is not None and fault.kind in {Kind.ANSWER, Kind.RESET_BEFORE_ANSWER, Kind.HANG}:
            await self._misbehave(request, seen, fault, answer)
            return
        try:
            status, headers, told = 200, {"content-type": "application/json"}, await self._answer(request, seen, body)
        except Problem as problem:
            status, headers = problem.status, {"content-type": "application/problem+json", **problem.headers}
            told = {"type": "about:blank", "title": problem.title, "status": status, "detail": str(problem)}
        if fault is not None and fault.change is not None:
            told = fault.change(dict(told))
        self._charge(seen, fault, delivered=status == 200)
        await self._deliver(answer, fault, status, headers, json.dumps(told).encode())

    async def _misbehave(self, request: Request, seen: Seen, fault: Fault, answer: _Answer) -> None:
        if fault.charge:
            seen.operation, _ = operation_of(seen.path)
            self._add_tokens(seen, BASE_TOKENS[seen.operation])
        if fault.kind is Kind.ANSWER:
            await answer.whole(fault.status, fault.headers, fault.body)
        elif fault.kind is Kind.RESET_BEFORE_ANSWER:
            self.reset(request.scope)
        else:
            await wait_for(answer.released, fault.seconds)
            self.hang_up(request.scope)

    async def _deliver(
        self, answer: _Answer, fault: Fault | None, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        kind = fault.kind if fault is not None else None
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if fault is not None and kind is Kind.DELAY:
            await wait_for(answer.released, fault.seconds)
        if fault is None or kind in {Kind.DELAY, Kind.CHANGE}:
            await answer.whole(status, headers, body)
            return
        await answer.part(status, headers, body, b"" if kind is Kind.HANG_AFTER_HEADERS else body[: len(body) // 2])
        if kind is Kind.HANG_AFTER_HEADERS:
            await wait_for(answer.released, fault.seconds)
        if kind is Kind.RESET_MID_ANSWER:
            self.reset(answer.scope)
        else:
            self.hang_up(answer.scope)

    def _note(self, request: Request) -> Seen:
        operation = request.url.path.startswith("/moderation/")
        with self._changed:
            self._arrived += operation
            number = self._arrived if operation else 0
            seen = Seen(number, request.method, request.url.path, time.monotonic(), dict(request.headers))
            self.requests.append(seen)
            self._changed.notify_all()
        return seen

    # ------------------------------------------------------------------------------------------------ the contract

    async def _answer(self, request: Request, seen: Seen, body: bytes) -> dict[str, Any]:
        self._check_key(request)
        if seen.path == "/usage":
            demand(seen.method == "GET", 405, "Method Not Allowed", "usage is asked with GET")
            return self._usage()
        seen.operation, upload = operation_of(seen.path)
        demand(seen.method == "POST", 405, "Method Not Allowed", "moderation is asked with POST")
        self._admit(seen)
        fields, content = await (self._form(request, seen) if upload else self._json(request, seen, body))
        seen.fields, seen.digest, seen.size_bytes = fields, hashlib.sha256(content).hexdigest(), len(content)
        demand(len(content) <= self.max_bytes, 413, "Payload Too Large", "the file is too large")
        if self.check_media:
            known = content.startswith(MAGIC[seen.operation])
            demand(known, 415, "Unsupported Media Type", f"this is no {seen.operation} we know")
        tokens = price(seen.operation, fields, self.tier)
        short = self.token_limit is not None and self.tokens_used + tokens > self.token_limit
        demand(not short, 402, "Payment Required", "the tokens of this billing cycle are used up")
        seen.tokens = tokens
        return {"id": f"req_{seen.number:09d}"} | self._judged(seen, fields, content)

    def _judged(self, seen: Seen, fields: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        answer = {**self.judge(content, seen.operation)}
        if fields.get("extractMetadata"):
            answer.setdefault("metadata", {"Format": seen.operation, "Size": str(len(content))})
        if not fields.get("transcribe"):
            answer.pop("transcription", None)
        return answer

    def _check_key(self, request: Request) -> None:
        given = [value for name in ("x-api-key",) if (value := request.headers.get(name)) is not None]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            given.append(token if scheme == "Bearer" else "")
        demand(len(given) == 1 and given[0] == self.key, 401, "Unauthorized", "the API key is missing or wrong")

    def _admit(self, seen: Seen) -> None:
        allowed = self.rate_limit * self.rate_window_s / 60.0
        while self._admitted and self._admitted[0] <= seen.arrived_s - self.rate_window_s:
            self._admitted.popleft()
        if len(self._admitted) + 1 > allowed:
            wait_s = (self._admitted[0] if self._admitted else seen.arrived_s) + self.rate_window_s - seen.arrived_s
            headers = {"retry_after": f"{wait_s:.3f}"} if self.retry_after else {}
            raise Problem(429, "Too Many Requests", "rate limit exceeded", **headers)
        self._admitted.append(seen.arrived_s)

    async def _form(self, request: Request, seen: Seen) -> tuple[dict[str, Any], bytes]:
        multipart = request.headers.get("content-type", "").startswith("multipart/form-data;")
        demand(multipart, 415, "Unsupported Media Type", "an upload is multipart/form-data")
        try:
            async with request.form(max_files=1) as form:
                fields, content = await self._parts(form, seen)
        except (MultiPartException, HTTPException) as error:
            raise Problem(400, "Bad Request", f"the form cannot be read: {error}") from None
        demand(content is not None, 400, "Bad Request", f"{seen.operation} is required")
        check_fields(seen.operation, fields, self.tier)
        return fields, content or b""

    async def _parts(self, form: FormData, seen: Seen) -> tuple[dict[str, Any], bytes | None]:
        fields: dict[str, Any] = {}
        content: bytes | None = None
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                demand(name == seen.operation, 400, "Bad Request", f"the file's field is {seen.operation}")
                content = await value.read()
                seen.file_name, seen.mime = value.filename or "", value.content_type or ""
            elif name == "customKeywords" and self.keywords_encoding == "repeat":
                fields.setdefault(name, []).append(value)
            else:
                demand(name not in fields, 400, "Bad Request", f"{name} is given twice")
                fields[name] = from_text(seen.operation, name, value)
        return fields, content

    async def _json(self, request: Request, seen: Seen, body: bytes) -> tuple[dict[str, Any], bytes]:
        is_json = request.headers.get("content-type", "").split(";")[0] == "application/json"
        demand(is_json, 415, "Unsupported Media Type", "the body is application/json")
        try:
            fields = json.loads(body)
        except ValueError:
            raise Problem(400, "Bad Request", "the body is not JSON") from None
        demand(isinstance(fields, dict), 400, "Bad Request", "the body is not an object")
        given = fields.pop(seen.operation, None)
        demand(isinstance(given, str) and given != "", 400, "Bad Request", f"{seen.operation} is required")
        check_fields(seen.operation, fields, self.tier)
        return fields, self._content(seen.operation, given)

    def _content(self, operation: str, given: str) -> bytes:
        if given.startswith(("http://", "https://")):
            demand(given in self.urls, 400, "Bad Request", "the URL cannot be downloaded")
            return self.urls[given]
        if operation == "image" and given.startswith("data:image/"):
            given = given.partition(";base64,")[2]
        try:
            return base64.b64decode(given, validate=True)
        except binascii.Error:
            raise Problem(400, "Bad Request", f"{operation} is neither a URL nor base64") from None

    # ------------------------------------------------------------------------------------------------------- tokens

    def _charge(self, seen: Seen, fault: Fault | None, *, delivered: bool) -> None:
        whole = fault is None or fault.kind in {Kind.DELAY, Kind.CHANGE}
        charged = whole if fault is None or fault.charge is None else fault.charge
        tokens, seen.tokens = seen.tokens, 0
        if delivered and charged:
            self._add_tokens(seen, tokens)

    def _add_tokens(self, seen: Seen, tokens: int) -> None:
        with self._changed:
            seen.tokens = tokens
            self.tokens_used += tokens

    def _usage(self) -> dict[str, Any]:
        remaining = None if self.token_limit is None else max(0, self.token_limit - self.tokens_used)
        return {
            "tier": self.tier,
            "rateLimit": self.rate_limit,
            "tokenLimit": self.token_limit,
            "tokensUsed": self.tokens_used,
            "remainingTokens": remaining,
        }


class _Answer:
    """Sends an answer, whole or in part, and notes that it was sent."""

    def __init__(self, scope: Scope, send: Send, seen: Seen, released: asyncio.Event) -> None:
        self.scope = scope
        self.released = released
        self._send = send
        self._seen = seen

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self._head(status, headers, len(body))
        self._seen.answered_s = time.monotonic()
        await self._send({"type": "http.response.body", "body": body})

    async def part(self, status: int, headers: Mapping[str, str], body: bytes, sent: bytes) -> None:
        await self._head(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": sent, "more_body": True})

    async def _head(self, status: int, headers: Mapping[str, str], size_bytes: int) -> None:
        self._seen.status = status
        named = {**headers, "content-length": str(size_bytes)}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})
