"""A server that keeps SafeComms' contract, strictly, on a loopback port.

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
import contextlib
import hashlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from batch_scan.sandbox.safecomms.contract import (
    BASE_TOKENS,
    MAGIC,
    PULL_S,
    Problem,
    check_fields,
    demand,
    from_text,
    operation_of,
    price,
    time_span,
)
from batch_scan.sandbox.safecomms.pull import PrivateAddress, PullRules, pull
from batch_scan.sandbox.safecomms.words import Teller, all_clean, by_digest, by_judge, clean, found
from batch_scan.sandbox.sound import duration_s
from batch_scan.sandbox.vendor import Seen, Told, VendorServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from batch_scan.sandbox.faults import Fault
    from batch_scan.sandbox.judge import Judge

__all__ = ["DEFAULT_KEY", "SafeCommsServer", "Seen", "Teller", "all_clean", "by_digest", "clean", "found"]

DEFAULT_KEY = "sc-live-0123456789abcdef"


class SafeCommsServer(VendorServer):
    """See the module. Attributes may be changed while it runs."""

    name = "safecomms"

    def __init__(
        self,
        *,
        judge: Judge | Teller = all_clean,
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
        send: str = "upload",
        pull_timeout_s: float = 30.0,
        max_redirects: int = 3,
        pulls_from_loopback: bool = True,
        pull_refusal: int = 400,
        private_is_skipped: bool = False,
        tells_metadata: bool = True,
    ) -> None:
        """Prepare a server.

        Args:
            judge: what is true of a sample, or what says it in SafeComms' own words; called in threads.
            key: the only key that is right.
            tier: decides which options are allowed.
            rate_limit: requests per minute, told by the usage call; over any `rate_window_s`, its share is enforced.
            rate_window_s: length of the sliding window.
            retry_after: whether a 429 says how long to wait.
            token_limit: tokens of the billing cycle; what judging may cost is set aside before. None is unlimited.
            max_bytes: larger samples are answered 413.
            keywords_encoding: how keywords must come in a form, ``repeat`` or ``json``.
            check_media: refuse (415) what does not begin like sound or a picture.
            delay_s: how long judging takes.
            send: what a job is told to use: ``upload``, ``base64`` or ``url``; all are served.
            pull_timeout_s: how long what is named by its URL may take to arrive in all; pictures have 5 s at most.
            max_redirects: followed on the way to it.
            pulls_from_loopback: whether addresses of this machine are asked; other private ones never are.
            pull_refusal: status where a URL cannot be fetched.
            private_is_skipped: whether what may not be asked is answered as a clean sample, instead.
            tells_metadata: whether `metadata` of a sound hold its length where they are asked for.
        """
        super().__init__(rate_limit=rate_limit, rate_window_s=rate_window_s, retry_after=retry_after, delay_s=delay_s)
        self.judge: Judge | Teller = judge
        self.key = key
        self.tier = tier
        self.token_limit = token_limit
        self.max_bytes = max_bytes
        self.keywords_encoding = keywords_encoding
        self.check_media = check_media
        self.send = send
        self.pull_timeout_s = pull_timeout_s
        self.max_redirects = max_redirects
        self.pulls_from_loopback = pulls_from_loopback
        self.pull_refusal = pull_refusal
        self.private_is_skipped = private_is_skipped
        self.tells_metadata = tells_metadata
        self.urls: dict[str, bytes] = {}
        """What URLs hold that nobody serves; all others are really fetched."""
        self.before_pull: Callable[[str], object] = lambda _url: None
        """Called in a thread with each URL before it is fetched."""
        self._set_aside = 0
        """Tokens of what is being judged."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """See `VendorServer.secrets`."""
        return {"SAFECOMMS_API_KEY": self.key}

    @property
    def table(self) -> Mapping[str, Any]:
        """See `VendorServer.table`."""
        return {"base_url": self.url, **({"send": self.send} if self.send != "upload" else {})}

    def judges(self, method: str, path: str) -> bool:  # noqa: ARG002 - the path says it all
        """See `VendorServer.judges`."""
        return path.startswith("/moderation/")

    def tokens_of_fault(self, seen: Seen) -> int:
        """See `VendorServer.tokens_of_fault`: the base price, if there is such an operation."""
        seen.operation = seen.path.removeprefix("/moderation/").removesuffix("/upload")
        return BASE_TOKENS.get(seen.operation, 0)

    def refusal(self, status: int) -> Fault:
        """See `VendorServer.refusal`: a problem document."""
        problem = Problem(status, HTTPStatus(status).phrase, "the sandbox was told to say so")
        return _told(problem).as_fault

    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        """See `VendorServer.answer`; a problem document where the contract is broken."""
        try:
            return Told(await self._answer(request, seen, body))
        except Problem as problem:
            return _told(problem)

    # ------------------------------------------------------------------------------------------------ the contract

    async def _answer(self, request: Request, seen: Seen, body: bytes) -> dict[str, Any]:
        self._check_key(request)
        if seen.path == "/usage":
            demand(seen.method == "GET", 405, "Method Not Allowed", "usage is asked with GET")
            return self._usage()
        seen.operation, upload = operation_of(seen.path)
        demand(seen.method == "POST", 405, "Method Not Allowed", "moderation is asked with POST")
        self._admit(seen)
        try:
            fields, content = await (self._form(request, seen) if upload else self._json(request, seen, body))
        except PrivateAddress:
            demand(self.private_is_skipped, self.pull_refusal, "Bad Request", "the URL cannot be downloaded")
            seen.tokens = BASE_TOKENS[seen.operation]
            return {"id": f"req_{seen.number:09d}"} | clean()
        seen.fields, seen.digest, seen.size_bytes = fields, hashlib.sha256(content).hexdigest(), len(content)
        demand(len(content) <= self.max_bytes, 413, "Payload Too Large", "the file is too large")
        if self.check_media:
            known = content.startswith(MAGIC[seen.operation])
            demand(known, 415, "Unsupported Media Type", f"this is no {seen.operation} we know")
        answer = await self._judged(seen, content, price(seen.operation, fields, self.tier))
        told = {"id": f"req_{seen.number:09d}"} | _asked_for(answer, fields)
        if fields.get("extractMetadata"):
            told.setdefault("metadata", await asyncio.to_thread(self._metadata, seen.operation, content))
        return told

    async def _judged(self, seen: Seen, content: bytes, tokens: int) -> dict[str, Any]:
        """Have a sample judged while its price is set aside."""
        spent = self.tokens_used + self._set_aside
        enough = self.token_limit is None or spent + tokens <= self.token_limit
        demand(enough, 402, "Payment Required", "the tokens of this billing cycle are used up")
        tell = self.judge if callable(self.judge) else by_judge(self.judge)
        self._set_aside += tokens
        try:
            answer = {**await asyncio.to_thread(tell, content, seen.operation)}
        except ValueError:
            raise Problem(415, "Unsupported Media Type", f"this {seen.operation} cannot be decoded") from None
        finally:
            self._set_aside -= tokens
        seen.tokens = tokens
        return answer

    def _check_key(self, request: Request) -> None:
        given = [value for name in ("x-api-key",) if (value := request.headers.get(name)) is not None]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            given.append(token if scheme == "Bearer" else "")
        demand(len(given) == 1 and given[0] == self.key, 401, "Unauthorized", "the API key is missing or wrong")

    def _admit(self, seen: Seen) -> None:
        wait_s = self.over_rate_s(seen)
        if wait_s is not None:
            headers = {"retry_after": f"{wait_s:.3f}"} if self.retry_after else {}
            raise Problem(429, "Too Many Requests", "rate limit exceeded", **headers)

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
        return fields, await self._content(seen.operation, given)

    async def _content(self, operation: str, given: str) -> bytes:
        if given.startswith(("http://", "https://")):
            return self.urls[given] if given in self.urls else await self._pulled(operation, given)
        if operation == "image" and given.startswith("data:image/"):
            given = given.partition(";base64,")[2]
        try:
            return base64.b64decode(given, validate=True)
        except binascii.Error:
            raise Problem(400, "Bad Request", f"{operation} is neither a URL nor base64") from None

    async def _pulled(self, operation: str, url: str) -> bytes:
        await asyncio.to_thread(self.before_pull, url)
        rules = PullRules(
            min(self.pull_timeout_s, PULL_S[operation]),
            self.max_redirects,
            self.max_bytes,
            self.pulls_from_loopback,
            self.pull_refusal,
        )
        return await pull(url, rules)

    def _metadata(self, operation: str, content: bytes) -> dict[str, str]:
        told = {"Format": operation, "Size": str(len(content))}
        if operation == "audio" and self.tells_metadata:
            with contextlib.suppress(ValueError):
                told["Duration"] = time_span(duration_s(content))
        return told

    def _usage(self) -> dict[str, Any]:
        remaining = None if self.token_limit is None else max(0, self.token_limit - self.tokens_used)
        return {
            "tier": self.tier,
            "rateLimit": self.rate_limit,
            "tokenLimit": self.token_limit,
            "tokensUsed": self.tokens_used,
            "remainingTokens": remaining,
        }


def _asked_for(answer: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with what was asked for and nothing else."""
    told = {name: value for name, value in answer.items() if name != "transcription" or fields.get("transcribe")}
    said = told.get("transcription")
    if isinstance(said, dict) and "text" in said and not fields.get("includeTimestamps"):
        told["transcription"] = said["text"]
    return told


def _told(problem: Problem) -> Told:
    body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": str(problem)}
    return Told(body, problem.status, problem.headers, "application/problem+json")
