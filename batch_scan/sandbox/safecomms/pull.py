"""What the sandbox's SafeComms fetches itself: http and https, three redirects at most, 30 s in all, a bounded size."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import httpx

from batch_scan.sandbox.safecomms.contract import Problem

if TYPE_CHECKING:
    import ssl

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class PrivateAddress(Exception):  # noqa: N818 - it is skipped, says the page
    """A URL leads to an address that is not public, or to none."""


@dataclass(frozen=True, slots=True)
class PullRules:
    """How far the vendor goes for a URL: what its page says, and what it leaves open."""

    timeout_s: float
    """For all of it, redirects included."""
    max_redirects: int
    max_bytes: int
    loopback: bool
    """Whether addresses of this machine are asked, where everything that is pulled in a trial lies."""
    refusal_status: int
    """What is answered where a URL cannot be fetched."""


async def pull(url: str, rules: PullRules) -> bytes:
    """Return what lies under a URL. Raises PrivateAddress, and Problem, which repeats the URL as services do."""
    try:
        async with asyncio.timeout(rules.timeout_s), _client(rules.timeout_s) as client:
            return await _follow(client, url, rules)
    except TimeoutError:
        raise _cannot(url, rules, f"it did not arrive within {rules.timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise _cannot(url, rules, type(error).__name__) from None


async def _follow(client: httpx.AsyncClient, url: str, rules: PullRules) -> bytes:
    at = url
    for _ in range(rules.max_redirects + 1):
        if not _is_asked(at, rules):
            raise PrivateAddress
        async with client.stream("GET", at) as response:
            if response.status_code in _REDIRECTS:
                at = urljoin(at, response.headers.get("location", ""))
                continue
            if response.status_code != HTTPStatus.OK:
                raise _cannot(at, rules, f"HTTP {response.status_code}")
            return await _body(response, at, rules)
    raise _cannot(at, rules, f"more than {rules.max_redirects} redirects")


async def _body(response: httpx.Response, url: str, rules: PullRules) -> bytes:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > rules.max_bytes:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Payload Too Large", f"{url} is too large")
    return bytes(content)


def _is_asked(url: str, rules: PullRules) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    try:
        address = ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname)
    except ValueError:
        return True
    return rules.loopback if address.is_loopback else address.is_global


def _cannot(url: str, rules: PullRules, why: str) -> Problem:
    return Problem(rules.refusal_status, "Bad Request", f"the URL {url} cannot be downloaded: {why}")


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _client(timeout_s: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=_tls_context(), trust_env=False, follow_redirects=False, timeout=timeout_s)
