"""The one way this product speaks HTTP to services.

`HttpClient` sends a request once and returns a parsed answer or raises `EndpointError`; it never retries or paces.

What it does not do, on purpose:
- no redirects: a key must not follow one;
- no proxies, `.netrc` or certificate variables from the environment (`trust_env` off): what a run does stands in its
  job file;
- no compressed answers: none are asked for, and one that comes all the same is refused, for it can unpack to anything;
- no plain http except to this machine.

A request is bounded in every phase: connecting, each stretch of upload, and `timeout_s` from the moment the request has
left to the last byte of the answer, so that neither a service that hangs nor one that dribbles can hold a slot.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import httpx

from batch_scan import __version__
from batch_scan.endpoint.answer_json import dump_json, map_strings, parse_json
from batch_scan.endpoint.base_url import BaseUrl, check_base_url
from batch_scan.endpoint.http_clients import HttpClients
from batch_scan.endpoint.http_errors import StatusError, broken_error, status_error
from batch_scan.endpoint.retry_after import MAX_RETRY_AFTER_S, parse_retry_after
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping, Sequence

    from batch_scan.endpoint.config import LimitTable
    from batch_scan.secret import Secret

__all__ = [
    "MAX_RETRY_AFTER_S",
    "BaseUrl",
    "FilePart",
    "HttpClient",
    "HttpReply",
    "check_base_url",
    "parse_retry_after",
]

CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 30.0
"""Longest wait for the network to take one stretch (64 KiB) of an upload."""
SLOWEST_UPLOAD_BYTES_PER_S = 32_768
"""An upload may take `timeout_s` and as long as this rate makes of its size; slower, it is given up as hanging."""
MAX_ANSWER_BYTES = 16_000_000
"""Largest answer taken. Known ones are some KB; a transcript with a time for every word of an hour has about 3 MB."""

_SPARE_CONNECTIONS = 2
_KEEPALIVE_S = 4.0
"""Below the shortest idle time after which common servers hang up (5 s), which would lose the next request."""
_STRETCH_BYTES = 65_536
_MAX_ERROR_BYTES = 65_536
_BEGUN = "http11.send_request_headers.started"
_BODY_SENT = "http11.send_request_body.complete"

FilePart = tuple[str, bytes, str]
"""A file in a form: file name, content, media type."""


@cache
def _tls_context() -> ssl.SSLContext:
    """Read the certificate authorities once: it takes longer than many a request."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer in the 2xx range."""

    status: int
    headers: httpx.Headers
    json: Any
    """The parsed body, secrets redacted; None where there was none (204)."""
    raw: str
    """`json` as compact text, fit to be kept as `Answer.raw`."""
    bytes_sent: int
    """Size of the request's body."""

    def header(self, name: str, limit: int = 100) -> str:
        """Return a header's value cleaned for showing, empty where it is missing."""
        return clean_text(self.headers.get(name, ""), limit)


@dataclass(slots=True)
class _Exchange:
    """How far one request has come."""

    begun: bool = False
    sent: bool = False
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)

    @property
    def is_refusal(self) -> bool:
        """True once a status outside 2xx is there: it counts, whatever becomes of its body."""
        return self.status is not None and not httpx.codes.is_success(self.status)


class HttpClient:
    """One service's connections: a pool with room for all the requests that may be in flight.

    Use as an asynchronous context manager, or call `aclose()`.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        limit: LimitTable,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[Secret] = (),
        table: str = "",
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        also_transient: frozenset[int] = frozenset(),
        explain: StatusError | None = None,
    ) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            service: name for messages.
            base_url: where paths are joined to.
            limit: concurrency sizes the pool, `timeout_s` bounds the answer.
            headers: sent with every request, such as the key's.
            secrets: taken out of everything that is kept or shown.
            table: the job file's table, for messages; default ``endpoints.SERVICE``.
            max_answer_bytes: answers above this are refused while they stream in.
            write_timeout_s: longest wait for the network to take one stretch of an upload.
            also_transient: statuses that this service says to ask again, beside those of `http_errors`.
            explain: makes the error of an answer outside 2xx, for a service that says more in it than others do.

        Raises:
            UsageError: the base URL or a header cannot be used; names the key in the job file.
        """
        self.service = service
        self._secrets = tuple(secrets)
        self._timeout_s = limit.timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._explain = explain or partial(status_error, also_transient=also_transient)
        own_headers = dict(headers or {})
        base_url = _checked(base_url, own_headers, table or f"endpoints.{service}")
        self._clients = HttpClients(
            limit.concurrency + _SPARE_CONNECTIONS, partial(_client, base_url, own_headers, limit, write_timeout_s)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._clients.aclose()

    def redact(self, text: str) -> str:
        """Return `text` without this service's secrets."""
        for secret in self._secrets:
            text = secret.redact(text)
        return text

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str | list[str]] | None = None,
        files: Mapping[str, FilePart] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> HttpReply:
        """Send one request, once.

        Args:
            method: such as ``POST``.
            path: below the base URL.
            json: body as JSON.
            form: fields of a form; a list repeats its field. Multipart where there are `files`.
            files: files of a multipart form.
            content: body as it is; give its type in `headers`.
            params: query string; a list repeats its key.
            headers: beside those of the client.
            timeout_s: longest wait for the answer, from the moment the request has left; default the limit's.

        Raises:
            EndpointError: anything but a whole JSON answer with a status in 2xx; see `http_errors` for which is what.
        """
        exchange = _Exchange()
        try:
            with self._clients.turn() as client:
                request = client.build_request(
                    method, path, json=json, data=form, files=files, content=content, params=params, headers=headers
                )
                body = request.read()
                request.stream = _Stretches(body)
                await self._exchange(client, request, exchange, len(body), timeout_s or self._timeout_s)
        except TimeoutError:
            if not exchange.is_refusal:
                raise self._late(exchange, timeout_s or self._timeout_s) from None
        except (httpx.HTTPError, OSError) as error:
            if not exchange.is_refusal:
                # The cause is dropped: httpx quotes a header it cannot send, and that may be the key.
                raise broken_error(
                    self.service,
                    error,
                    begun=exchange.begun,
                    sent=exchange.sent,
                    status=exchange.status,
                    redact=self.redact,
                ) from None
        return self._reply(exchange, len(body))

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request, exchange: _Exchange, size_bytes: int, timeout_s: float
    ) -> None:
        clock = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S + timeout_s + size_bytes / SLOWEST_UPLOAD_BYTES_PER_S) as deadline:

            async def trace(event: str, _info: Mapping[str, Any]) -> None:
                if event == _BEGUN:
                    exchange.begun = True
                elif event == _BODY_SENT:
                    exchange.sent = True
                    deadline.reschedule(clock.time() + timeout_s)

            request.extensions = {**request.extensions, "trace": trace}
            response = await client.send(request, stream=True)
            try:
                exchange.status, exchange.headers = response.status_code, response.headers
                most_bytes = _MAX_ERROR_BYTES if exchange.is_refusal else self._max_answer_bytes
                async for stretch in response.aiter_raw(_STRETCH_BYTES):
                    exchange.body += stretch
                    if len(exchange.body) > most_bytes:
                        break
            finally:
                await response.aclose()

    def _reply(self, exchange: _Exchange, bytes_sent: int) -> HttpReply:
        status = exchange.status or 0
        if exchange.is_refusal:
            body = bytes(exchange.body[:_MAX_ERROR_BYTES])
            now = datetime.now(UTC)
            raise self._explain(self.service, status, exchange.headers, body, now=now, redact=self.redact)
        if len(exchange.body) > self._max_answer_bytes:
            raise self._unreadable(status, f"is larger than {self._max_answer_bytes:,} bytes")
        if exchange.headers.get("content-encoding", "identity") != "identity":
            raise self._unreadable(status, "is compressed, which was not asked for")
        if status == HTTPStatus.NO_CONTENT:
            return HttpReply(status, exchange.headers, None, "null", bytes_sent)
        try:
            parsed = map_strings(parse_json(bytes(exchange.body)), self.redact)
        except ValueError as error:
            raise self._unreadable(status, f"is not JSON ({clean_text(self.redact(str(error)), 120)})") from None
        return HttpReply(status, exchange.headers, parsed, dump_json(parsed), bytes_sent)

    def _unreadable(self, status: int, why: str) -> EndpointError:
        """An answer came, so the work was done and is charged: asking again would be paid again."""
        return EndpointError(
            Failure.REFUSED,
            f"the answer of {self.service} {why}",
            http_status=status,
            maybe_charged=True,
        )

    def _late(self, exchange: _Exchange, timeout_s: float) -> EndpointError:
        return EndpointError(
            Failure.TRANSIENT,
            f"{self.service} gave no whole answer within {timeout_s:g} s",
            http_status=exchange.status,
            maybe_charged=exchange.sent,
            was_sent=exchange.begun,
        )


def _checked(base_url: str, headers: Mapping[str, str], table: str) -> str:
    """Return the base URL; raises UsageError as `HttpClient` does."""
    try:
        checked_url = check_base_url(base_url)
    except ValueError as error:
        raise UsageError(f"{table}.base_url {error}") from None
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise UsageError(f"a secret of {table} holds characters that cannot be sent in a header; is it the right one?")
    return checked_url


def _client(
    base_url: str, headers: Mapping[str, str], limit: LimitTable, write_timeout_s: float, connections: int
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"user-agent": f"batch-scan/{__version__}", "accept-encoding": "identity", **headers},
        timeout=httpx.Timeout(
            connect=CONNECT_TIMEOUT_S, read=limit.timeout_s, write=write_timeout_s, pool=limit.timeout_s
        ),
        limits=httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEEPALIVE_S
        ),
        verify=_tls_context(),
        follow_redirects=False,
        trust_env=False,
    )


class _Stretches(httpx.AsyncByteStream):
    """A body that is sent piece by piece, so that the write timeout bounds a stall and not the whole upload."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _STRETCH_BYTES):
            yield bytes(self._body[start : start + _STRETCH_BYTES])
