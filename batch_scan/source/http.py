"""Files that a manifest names by http(s) URL: fetched to a private scratch file, from hosts the user allowed.

A name is looked up once per request, every address it has is checked, and the connection goes to an address that was
checked, so that a second lookup cannot lead elsewhere. Redirects are followed here, each checked like the first URL.
Proxies and .netrc of the environment are not used; SSL_CERT_FILE and SSL_CERT_DIR are, for an authority of one's own.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from batch_scan.errors import FetchError
from batch_scan.source.download import NoRoomError, TransientError, UnreachableError, Version, download
from batch_scan.source.globs import Selection
from batch_scan.source.hosts import AllowedHosts, as_address, is_public, names_host, port_of
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from batch_scan.model import Item
    from batch_scan.source.options import SourceOptions
    from batch_scan.source.scratch_room import ScratchFile

    Resolve = Callable[[str, int], Awaitable[list[str]]]

_MAX_REDIRECTS = 3
_MAX_RETRIES = 2


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name as the system gives them. Raises OSError, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def parse_url(text: str) -> httpx.URL:
    """Parse an http(s) URL. Raises ValueError, which does not repeat the URL: it may hold a password."""
    try:
        url = httpx.URL(text).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("its URL is malformed") from None
    if not names_host(url):
        raise ValueError("its URL names no host, or a port that cannot be")
    return url


def show_url(url: httpx.URL) -> str:
    """Return a URL without what may be secret: user, password and the query's content."""
    path, query_mark, _ = url.raw_path.decode("ascii").partition("?")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}" + ("?…" if query_mark else "")


class HttpFiles:
    """Fetches items over http(s).

    Args:
        options: allowed hosts and limits.
        retry_wait_s: pause before the first retry; twice as long before the second.
        resolve: how names become addresses.
        room: where fetched files go; one of its own where none is shared.
    """

    def __init__(
        self,
        options: SourceOptions,
        *,
        retry_wait_s: float = 1.0,
        resolve: Resolve = look_up,
        room: ScratchRoom | None = None,
    ) -> None:
        self._allowed = AllowedHosts(options.allow_hosts)
        self._selection = Selection((), (), options.modified_after)
        self._timeout_s = options.fetch_timeout_s
        self._room = room or ScratchRoom(options)
        self._retry_wait_s = retry_wait_s
        self._resolve = resolve
        self._fetched: dict[str, Version] = {}
        """What the hosts said of the items that are fetched now, by identity."""

    @staticmethod
    def holds(locator: str) -> bool:
        """Whether a locator is one of ours."""
        return locator[:8].lower().startswith(("http://", "https://"))

    def check_host(self, url: httpx.URL) -> None:
        """Raises FetchError unless the user allowed the URL's host."""
        if not self._allowed.allow(url):
            raise FetchError(
                Reason.HOST_REFUSED,
                f"{_host(url)} is not in source.allow_hosts; add it there, with its port, to have it asked",
            )

    @asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        """See `Source.fetch`."""
        url = parse_url(item.locator)
        async with self._room.file() as scratch:
            self._fetched[item.identity] = await self._with_room(url, scratch)
            scratch.file.close()
            try:
                yield scratch.path
            finally:
                self._fetched.pop(item.identity, None)

    def url(self, item: Item) -> str:
        """See `Source.url`: none where the host says nothing by which another content could be told."""
        fetched = self._fetched.get(item.identity)
        return item.locator if fetched is not None and fetched.tells else ""

    async def check_same(self, item: Item) -> None:
        """See `Source.check_same`."""
        if await self._within_time(parse_url(item.locator), None) != self._fetched.get(item.identity):
            raise FetchError(
                Reason.CHANGED, "the host says that the file was replaced while a service pulled it; run the scan again"
            )

    async def _with_room(self, url: httpx.URL, scratch: ScratchFile) -> Version:
        """Fetch; where the scratch directory is full, ask again once there is room, and hold no connection until."""
        while True:
            try:
                return await self._within_time(url, scratch)
            except NoRoomError as full:
                await scratch.make_room(full.size_bytes)

    async def _within_time(self, url: httpx.URL, scratch: ScratchFile | None) -> Version:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._with_retries(url, scratch)
        except TimeoutError:
            raise FetchError(Reason.FETCH_FAILED, f"the file did not arrive within {self._timeout_s:g} s") from None

    async def _with_retries(self, url: httpx.URL, scratch: ScratchFile | None) -> Version:
        for retry in range(_MAX_RETRIES):
            try:
                return await self._follow(url, scratch)
            except TransientError:
                await asyncio.sleep(self._retry_wait_s * 2**retry)
                if scratch is not None:
                    scratch.clear()
        return await self._follow(url, scratch)

    async def _follow(self, url: httpx.URL, scratch: ScratchFile | None) -> Version:
        for _ in range(_MAX_REDIRECTS + 1):
            self.check_host(url)
            target = await self._ask(url, await self._addresses(url), scratch)
            if isinstance(target, Version):
                return target
            if url.scheme == "https" and target.scheme == "http":
                raise FetchError(Reason.HOST_REFUSED, f"{_host(url)} redirects from https to http")
            url = target
        raise FetchError(Reason.FETCH_FAILED, f"{_host(url)} redirects more than {_MAX_REDIRECTS} times")

    async def _ask(self, url: httpx.URL, addresses: list[str], scratch: ScratchFile | None) -> httpx.URL | Version:
        for address in addresses[:-1]:
            with suppress(UnreachableError):
                return await download(url, address, scratch, self._check_age)
        return await download(url, addresses[-1], scratch, self._check_age)

    def _check_age(self, version: Version) -> None:
        """Raises FetchError for a file that the user leaves out; one of unknown age is wanted."""
        too_old = self._selection.refuse_age(version.modified_ns)
        if too_old is not None:
            raise FetchError(too_old.reason, too_old.detail)

    async def _addresses(self, url: httpx.URL) -> list[str]:
        """Return the addresses of the URL's host. Raises FetchError where there are none, or one that is not public."""
        host = url.raw_host.decode("ascii")
        if self._allowed.name_address(url):
            return [host]
        try:
            found = await self._resolve(host, port_of(url))
        except socket.gaierror as error:
            kind = TransientError if error.errno == socket.EAI_AGAIN else FetchError
            raise kind(Reason.FETCH_FAILED, f"{_host(url)} cannot be looked up: {error.strerror}") from None
        except (OSError, UnicodeError) as error:
            raise FetchError(
                Reason.FETCH_FAILED, f"{_host(url)} cannot be looked up: {clean_text(str(error))}"
            ) from None
        for one in found:
            address = as_address(one)
            if address is None or not is_public(address):
                raise FetchError(
                    Reason.HOST_REFUSED,
                    f"{_host(url)} leads to {clean_text(one)}, which is not a public address; to have it asked all the "
                    "same, name address and port in source.allow_hosts and in the manifest",
                )
        if not found:
            raise FetchError(Reason.FETCH_FAILED, f"{_host(url)} has no address")
        return found


def _host(url: httpx.URL) -> str:
    return clean_text(url.netloc.decode("ascii"))
