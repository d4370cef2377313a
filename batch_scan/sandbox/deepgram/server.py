"""A server that keeps Deepgram's contract for recorded sound, strictly, on a loopback port.

What the vendor's pages say it does: one path, the key's header, options in the query, a body that is the sound itself
or JSON with its URL, requests at once instead of requests per minute, seconds of sound as what is paid. What they do
not say can be set: the shape of errors, whether a 429 has a `Retry-After`, sizes, how long a sound may be worked on.

    with DeepgramServer(judge=judge) as server:
        server.faults.queue(legacy(429, "TOO_MANY_REQUESTS", "slow down").as_fault)
        ...
        assert server.tokens_used == 61
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.deepgram.errors import UNSUPPORTED, No, Shape, demand, said
from batch_scan.sandbox.deepgram.options import parse_options
from batch_scan.sandbox.deepgram.transcript import transcript_of
from batch_scan.sandbox.sound import duration_s
from batch_scan.sandbox.vendor import Seen, Told, VendorServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from batch_scan.sandbox.faults import Fault
    from batch_scan.sandbox.judge import Heard, Judge
    from batch_scan.sandbox.serving import Receive, Scope, Send

__all__ = ["DEFAULT_KEY", "DeepgramServer"]

DEFAULT_KEY = "dg-0123456789abcdef0123456789abcdef"
_PATH = "/v1/listen"
_MAX_BYTES = 2_000_000_000


class DeepgramServer(VendorServer):
    """See the module. Attributes may be changed while it runs."""

    name = "deepgram"
    parent = "transcribe"

    def __init__(
        self,
        *,
        judge: Judge,
        key: str = DEFAULT_KEY,
        concurrency_limit: int = 100,
        retry_after: bool = False,
        error_shape: Shape = Shape.LEGACY,
        token_limit: int | None = None,
        max_bytes: int = _MAX_BYTES,
        max_sound_s: float | None = None,
        forbidden_models: Sequence[str] = (),
        spoken: str = "en",
        delay_s: float = 0.0,
    ) -> None:
        """Prepare a server.

        Args:
            judge: writes down what is said in a sound; called in threads.
            key: the only key that is right, as ``Token`` or as ``Bearer``.
            concurrency_limit: requests at once; one more is answered 429.
            retry_after: whether a 429 says how long to wait.
            error_shape: what errors look like.
            token_limit: seconds of sound that are paid for; beyond, 402. None is unlimited.
            max_bytes: larger bodies are answered 413.
            max_sound_s: longer sound is answered 504, as where work on it takes too long; None is unlimited.
            forbidden_models: models that the key may not use (403).
            spoken: the language that is said to be detected, where one is to be.
            delay_s: how long an answer takes beside the judge's time.
        """
        super().__init__(retry_after=retry_after, delay_s=delay_s)
        self.judge = judge
        self.key = key
        self.concurrency_limit = concurrency_limit
        self.error_shape = error_shape
        self.token_limit = token_limit
        self.max_bytes = max_bytes
        self.max_sound_s = max_sound_s
        self.forbidden_models = tuple(forbidden_models)
        self.spoken = spoken
        self.urls: dict[str, bytes] = {}
        """What "public" URLs hold, for requests that name one."""
        self.in_flight = 0
        self.peak_in_flight = 0
        self._set_aside = 0
        """Seconds of what is being judged."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """See `VendorServer.secrets`."""
        return {"DEEPGRAM_API_KEY": self.key}

    @property
    def table(self) -> Mapping[str, Any]:
        """See `VendorServer.table`."""
        return {"base_url": self.url}

    def judges(self, method: str, path: str) -> bool:  # noqa: ARG002 - the path says it all
        """See `VendorServer.judges`."""
        return path == _PATH

    def refusal(self, status: int) -> Fault:
        """See `VendorServer.refusal`: in the shape that is set."""
        return said(self.error_shape, status, "the sandbox was told to say so").as_fault

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `VendorServer.app`; counts what is in flight until it is answered."""
        counts = scope["path"] == _PATH
        self.in_flight += counts
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            await super().app(scope, receive, send)
        finally:
            self.in_flight -= counts

    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        """See `VendorServer.answer`; an error in the shape that is set where the contract is broken."""
        try:
            answer = await self._answer(request, seen, body)
        except No as no:
            told = no.told(self.error_shape)
            wait = no.status == HTTPStatus.TOO_MANY_REQUESTS and self.retry_after
            return Told(told.body, told.status, {"retry-after": "1"} if wait else {}, told.content_type)
        return Told(answer, headers={"dg-request-id": answer["metadata"]["request_id"]})

    # ------------------------------------------------------------------------------------------------ the contract

    async def _answer(self, request: Request, seen: Seen, body: bytes) -> dict[str, Any]:
        demand(seen.path == _PATH, 404, "Not Found")
        demand(seen.method == "POST", 405, "Method Not Allowed")
        self._check_key(request)
        demand(self.in_flight <= self.concurrency_limit, 429, "Too many requests. Please try again later.")
        options, seen.fields = parse_options(request.query_params.multi_items())
        demand(options.model not in self.forbidden_models, 403, "the project may not use this model")
        demand(len(body) <= self.max_bytes, 413, "the body is too large")
        sound = self._sound(request, seen, body)
        seen.operation, seen.digest, seen.size_bytes = "listen", hashlib.sha256(sound).hexdigest(), len(sound)
        length_s = await self._length_s(sound)
        too_long = self.max_sound_s is not None and length_s > self.max_sound_s
        demand(not too_long, 504, "The request took too long to process")
        seconds = math.ceil(length_s)
        heard = await self._heard(sound, seconds)
        seen.tokens = seconds
        return transcript_of(
            heard, options, sha256=seen.digest, duration_s=length_s, number=seen.number, spoken=self.spoken
        )

    def _check_key(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        right = scheme in {"Token", "token", "Bearer", "bearer"} and token == self.key
        demand(right, 401, "Invalid credentials.")

    def _sound(self, request: Request, seen: Seen, body: bytes) -> bytes:
        seen.mime = request.headers.get("content-type", "").partition(";")[0].strip()
        if seen.mime != "application/json":
            return body
        try:
            told = json.loads(body)
        except ValueError:
            raise No(400, "Bad Request: the body is not JSON") from None
        url = told.get("url") if isinstance(told, dict) else None
        demand(isinstance(url, str) and len(told) == 1, 400, "Bad Request: the body is an object with a url")
        demand(url in self.urls, 400, "Bad Request: the URL cannot be fetched")
        return self.urls[str(url)]

    async def _length_s(self, sound: bytes) -> float:
        try:
            return await asyncio.to_thread(duration_s, sound)
        except ValueError:
            raise No(400, UNSUPPORTED) from None

    async def _heard(self, sound: bytes, seconds: int) -> Sequence[Heard]:
        """Have it judged, what it costs set aside so that requests at once cannot overdraw the credit."""
        spent = self.tokens_used + self._set_aside + seconds
        demand(self.token_limit is None or spent <= self.token_limit, 402, "the project has no credit left")
        self._set_aside += seconds
        try:
            return await asyncio.to_thread(self.judge.speech, sound)
        except ValueError:
            raise No(400, UNSUPPORTED) from None
        finally:
            self._set_aside -= seconds
