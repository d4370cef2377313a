"""Stream's calls over the one HTTP client, each asked once: key in the query, token in the header, rate in mind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from batch_scan.endpoint.http import HttpClient
from batch_scan.endpoint.stream import wire
from batch_scan.endpoint.stream.errors import rate_told, stream_error
from batch_scan.errors import EndpointError, Failure
from batch_scan.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.http import HttpReply
    from batch_scan.endpoint.stream.config import StreamConfig
    from batch_scan.endpoint.stream.errors import RateTold

SHORT_TIMEOUT_S = 15.0
"""Longest wait for what judges nothing: policies, rates, clean-ups."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one call brought."""

    json: Any
    status: int
    bytes_sent: int
    request_id: str
    """The id that we gave the call."""
    rate: RateTold
    sent_at: datetime


class StreamClient:
    """The calls of one app. Use as an asynchronous context manager, or call `aclose()`."""

    def __init__(self, config: StreamConfig, name: str = "stream") -> None:
        """Read the secrets and prepare the connections. Raises SecretError, UsageError."""
        key, self._secret = config.api_key.resolve(), config.api_secret.resolve()
        token = wire.token_of(self._secret)
        self.config = config
        self._query = {"api_key": key.reveal()}
        self._rest_until: dict[str, float] = {}
        told = {key.reveal(), quote(key.reveal(), safe=""), self._secret.reveal(), token}
        self._http = HttpClient(
            name,
            config.base_url,
            config.limit,
            headers=wire.headers_of(token),
            secrets=[Secret(value) for value in sorted(told, key=len, reverse=True)],
            explain=stream_error,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def redact(self, text: str) -> str:
        """Return `text` without this app's secrets."""
        return self._http.redact(text)

    @property
    def secret(self) -> Secret:
        """What the vendor signs its callbacks with."""
        return self._secret

    async def rest(self, path: str) -> None:
        """Wait until the rate of this kind of call is there again, where an answer said that it is used up.

        Raises EndpointError (`RATE_LIMITED`) where that is longer than a request is retried.
        """
        rest_s = self._rest_until.get(path, 0.0) - asyncio.get_running_loop().time()
        if rest_s > self.config.limit.max_retry_s:
            raise EndpointError(Failure.RATE_LIMITED, "Stream's rate is used up for now", retry_after_s=rest_s)
        if rest_s > 0:
            await asyncio.sleep(rest_s)

    # ---------------------------------------------------------------------------------------------------- the calls

    async def check(self, entity_id: str, payload: Mapping[str, list[str]]) -> Reply:
        """Have content judged."""
        return await self._call("POST", wire.CHECK, json=wire.check_body(self.config, entity_id, payload))

    async def review_queue(self, body: Mapping[str, Any]) -> Reply:
        """Return a page of the review queue; see `wire.queue_body`."""
        return await self._call("POST", wire.REVIEW_QUEUE, json=body)

    async def submit_action(self, body: Mapping[str, Any]) -> Reply:
        """Do something with an item of the review queue; see `wire.action_body`."""
        return await self._call("POST", wire.SUBMIT_ACTION, json=body)

    async def get_config(self, key: str) -> Reply:
        """Return a policy."""
        return await self._call("GET", wire.config_path(key), timeout_s=SHORT_TIMEOUT_S)

    async def upsert_config(self, body: Mapping[str, Any]) -> Reply:
        """Write a policy; see `wire.policy_body`."""
        return await self._call("POST", wire.CONFIG, json=body)

    async def rate_limits(self) -> Reply:
        """Return the rates of all calls."""
        return await self._call("GET", wire.RATE_LIMITS, query={"server_side": "true"}, timeout_s=SHORT_TIMEOUT_S)

    async def upload_image(self, image: bytes, mime: str) -> Reply:
        """Store a picture."""
        form, files = wire.upload_form(self.config.creator_id, image, mime)
        return await self._call("POST", wire.UPLOADS, form=form, files=files)

    async def delete_image(self, url: str) -> None:
        """Delete a stored picture; one that is gone already is fine too. Raises EndpointError."""
        try:
            await self._call("DELETE", wire.UPLOADS, query={"url": url}, timeout_s=SHORT_TIMEOUT_S)
        except EndpointError as error:
            gone = error.http_status is not None and (200 <= error.http_status < 300 or error.http_status == 404)  # noqa: PLR2004 - whatever a 2xx says
            if not gone:
                raise

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        **body: Any,
    ) -> Reply:
        longest_s = self.config.limit.timeout_s
        request_id, sent_at = wire.request_id(), datetime.now(UTC)
        reply = await self._http.send(
            method,
            path,
            params={**self._query, **(query or {})},
            headers={wire.REQUEST_ID: request_id},
            timeout_s=longest_s if timeout_s is None else min(timeout_s, longest_s),
            **body,
        )
        return Reply(reply.json, reply.status, reply.bytes_sent, request_id, self._note_rate(path, reply), sent_at)

    def _note_rate(self, path: str, reply: HttpReply) -> RateTold:
        told = rate_told(reply.headers, datetime.now(UTC))
        if told.remaining == 0 and told.rest_s:
            self._rest_until[path] = asyncio.get_running_loop().time() + told.rest_s
        return told
