"""One GET to one address that was checked before, its body into a file."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from batch_scan.errors import FetchError
from batch_scan.source.hosts import as_address, names_host
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from batch_scan.source.scratch_room import ScratchFile

_OPERATION_TIMEOUT_S = 30.0
"""Longest wait for a connection or for the next bytes; the whole fetch has its own limit."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
# Media is compressed already, and a packed body would be a way round the size limit.
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "batch-scan"}


class TransientError(FetchError):
    """Asking again may help."""


class UnreachableError(TransientError):
    """No connection to this address; another one of the same host may do."""


class NoRoomError(Exception):
    """The scratch directory has no room for the file now; ask again once there is."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Version:
    """What a host says of a file by which one content can be told from another."""

    length: str = ""
    tag: str = ""
    modified: str = ""

    @property
    def modified_ns(self) -> int:
        """When it was modified, nanoseconds since the epoch; 0 where the host does not say, or not in a form known."""
        try:
            modified = parsedate_to_datetime(self.modified)
            return int(modified.replace(tzinfo=modified.tzinfo or UTC).timestamp() * 1e9)
        except (ValueError, OverflowError):
            return 0

    @property
    def tells(self) -> bool:
        """Whether another content would have another one: a length alone does not say so."""
        return bool(self.tag or self.modified)


async def download(
    url: httpx.URL, address: str, scratch: ScratchFile | None, accept: Callable[[Version], None] = lambda _: None
) -> httpx.URL | Version:
    """Ask `address` for `url` and write the body to the scratch file; without one, only look at the answer's head.

    That is a GET as well, given up early: a URL may be signed for this method alone.

    The host of the URL is not looked up; it is sent as Host and, over TLS, is the name the certificate must be for.
    Every call has a connection of its own, so that none is shared between hosts. It goes to httpx's transport rather
    than to its client, which writes URLs with their secrets to the log.

    Returns:
        Which version it is, where the whole body was written or was not wanted, else where a redirect leads.

    Raises:
        FetchError: `TransientError` where asking again may help; also what `accept` raises before any of a body that
            is wanted is read.
        NoRoomError: there is no room for the body.
    """
    try:
        async with (
            httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False) as transport,
            aclosing(await transport.handle_async_request(_request(url, address))) as response,
        ):
            if response.status_code in _REDIRECTS:
                return _redirect(url, response)
            _check_head(response)
            version = Version(*(response.headers.get(name, "") for name in ("content-length", "etag", "last-modified")))
            if scratch is not None:
                accept(version)
                _take_room(response, scratch)
                await _copy(response, scratch)
            return version
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise UnreachableError(Reason.FETCH_FAILED, f"cannot connect: {_said(error)}") from None
    except httpx.TransportError as error:
        raise TransientError(Reason.FETCH_FAILED, f"the transfer broke off: {_said(error)}") from None


def _request(url: httpx.URL, address: str) -> httpx.Request:
    extensions: dict[str, Any] = {"timeout": httpx.Timeout(_OPERATION_TIMEOUT_S).as_dict()}
    if as_address(url.host) is None:
        extensions["sni_hostname"] = url.raw_host.decode("ascii")
    headers = {**_HEADERS, "Host": url.netloc.decode("ascii")}
    request = httpx.Request("GET", url.copy_with(host=address), headers=headers, extensions=extensions)
    if not url.userinfo:
        return request
    return next(httpx.BasicAuth(url.username, url.password).auth_flow(request))


@cache
def _tls() -> ssl.SSLContext:
    """The context costs some 10 ms to make and holds no state of a connection."""
    return httpx.create_ssl_context()


def _redirect(url: httpx.URL, response: httpx.Response) -> httpx.URL:
    location = response.headers.get("location", "")
    try:
        target = url.join(location).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):
        target = httpx.URL("")
    if not location or target.scheme not in {"http", "https"} or not names_host(target):
        raise FetchError(Reason.FETCH_FAILED, "the host sent a redirect that leads nowhere")
    return target


def _check_head(response: httpx.Response) -> None:
    status = response.status_code
    if status in _GONE:
        raise FetchError(Reason.MISSING, f"the host says there is no such file (HTTP {status})")
    if status in _TRANSIENT:
        raise TransientError(Reason.FETCH_FAILED, f"the host failed (HTTP {status})")
    if status != HTTPStatus.OK:
        raise FetchError(Reason.FETCH_FAILED, f"the host did not give the file (HTTP {status})")
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise FetchError(Reason.FETCH_FAILED, "the host packed the file although it was asked not to")


def _take_room(response: httpx.Response, scratch: ScratchFile) -> None:
    """Take as much room as the body is long; where that is not said, as much as the largest file may have."""
    length = response.headers.get("content-length")
    # The protocol library has seen to it that the length is a number.
    size_bytes = int(length) if length is not None else scratch.room.largest_bytes
    if not scratch.try_make_room(size_bytes):
        raise NoRoomError(size_bytes)


async def _copy(response: httpx.Response, scratch: ScratchFile) -> None:
    """A body shorter than its Content-Length is a broken transfer to the protocol library."""
    received_bytes = 0
    async for block in response.aiter_raw():
        scratch.room.check(received_bytes + len(block), at_least=True)
        scratch.write_at(received_bytes, block)
        received_bytes += len(block)
    if received_bytes == 0:
        raise FetchError(Reason.EMPTY, "the host sent no content")


def _said(error: httpx.TransportError) -> str:
    return clean_text(str(error)) or type(error).__name__
