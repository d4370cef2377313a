from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from batch_scan.errors import FetchError
from batch_scan.model import Item
from batch_scan.source import download as module
from batch_scan.source.download import UnreachableError, Version, download
from batch_scan.source.http import HttpFiles
from batch_scan.source.options import SourceOptions
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.vocabulary import Reason
from tests.source.loopback import respond, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.source.scratch_room import ScratchFile


def _scratch(directory: Path) -> AbstractAsyncContextManager[ScratchFile]:
    return ScratchRoom(SourceOptions(scratch=directory)).file()


@contextmanager
def _trusting(authority: trustme.CA, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    certificate = directory / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    module._tls.cache_clear()
    try:
        yield
    finally:
        module._tls.cache_clear()


def _tls_for(authority: trustme.CA, name: str, asked: list[str | None]) -> ssl.SSLContext:
    """Return a server's context that notes the name each client asks for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    return context


async def test_the_connection_goes_to_the_address_and_the_certificate_is_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    asked: list[str | None] = []
    tls = _tls_for(authority, "media.test", asked)
    async with serving({"/x": respond(200, b"content")}, tls) as server:
        with _trusting(authority, tmp_path, monkeypatch):
            # The name has no address anywhere: it is not looked up.
            url = httpx.URL(f"https://media.test:{server.port}/x")
            async with _scratch(tmp_path) as scratch:
                assert await download(url, "127.0.0.1", scratch) == Version("7")
                assert scratch.path.read_bytes() == b"content"
    assert asked == ["media.test"]
    assert server.headers[0]["host"] == f"media.test:{server.port}"


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    async with serving({"/x": respond(200, b"content")}, _tls_for(authority, "other.test", [])) as server:
        with _trusting(authority, tmp_path, monkeypatch), pytest.raises(UnreachableError, match="certificate"):
            async with _scratch(tmp_path) as scratch:
                await download(httpx.URL(f"https://media.test:{server.port}/x"), "127.0.0.1", scratch)
    assert server.paths == []


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"content")}, _tls_for(trustme.CA(), "media.test", [])) as server:
        with pytest.raises(UnreachableError, match="certificate"):
            async with _scratch(tmp_path) as scratch:
                await download(httpx.URL(f"https://media.test:{server.port}/x"), "127.0.0.1", scratch)


async def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    async with serving({"/x": respond(200, b"content")}) as plain:
        hop = respond(302, location=f"http://{plain.netloc}/x")
        async with serving({"/x": hop}, _tls_for(authority, "127.0.0.1", [])) as server:
            files = HttpFiles(SourceOptions(allow_hosts=(server.netloc, plain.netloc), scratch=tmp_path))
            item = Item(0, "shown", "0:shown", f"https://{server.netloc}/x")
            with (
                _trusting(authority, tmp_path, monkeypatch),
                pytest.raises(FetchError, match="https to http") as caught,
            ):
                async with files.fetch(item):
                    pytest.fail("was fetched")
    assert caught.value.reason is Reason.HOST_REFUSED
    assert plain.paths == []


async def test_the_next_address_of_a_host_is_tried_where_the_first_does_not_answer(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"content")}) as server:
        files = HttpFiles(SourceOptions())
        async with _scratch(tmp_path) as scratch:
            # The server listens on 127.0.0.1 alone.
            await files._ask(httpx.URL(f"http://media.test:{server.port}/x"), ["127.0.0.2", "127.0.0.1"], scratch)
            assert scratch.path.read_bytes() == b"content"
