from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batch_scan import __version__
from batch_scan.endpoint.base_url import is_on_this_machine
from batch_scan.endpoint.config import LimitTable
from batch_scan.endpoint.http import HttpClient, check_base_url
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.secret import Secret

Handler = Callable[["Peer"], Awaitable[None]]
KEY = Secret("top-secret-key")


@dataclass
class Peer:
    """The server's side of one connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[str] = field(default_factory=list)

    async def read_request(self) -> bytes:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        length = re.search(r"(?i)content-length: (\d+)", head)
        return await self.reader.readexactly(int(length.group(1))) if length else b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", status: str = "200 OK", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)


class RawServer:
    """Accepts connections and hands each to a handler; knows what was asked."""

    def __init__(self, handler: Handler) -> None:
        self.peers: list[Peer] = []
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._handler(peer)
        finally:
            writer.transport.abort()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, RawServer]]:
    raw = RawServer(handler)
    server = await asyncio.start_server(raw.connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", raw
    finally:
        server.close()
        await raw.end()
        await server.wait_closed()


def client(url: str, *, timeout_s: float = 20.0, concurrency: int = 8, **options: Any) -> HttpClient:
    limit = LimitTable(timeout_s=timeout_s, concurrency=concurrency)
    return HttpClient("acme", url, limit, headers={"x-api-key": KEY.reveal()}, secrets=(KEY,), **options)


async def failing(handler: Handler, *, content: bytes = b"body", **options: Any) -> EndpointError:
    async with serving(handler) as (url, _), client(url, **options) as http:
        with pytest.raises(EndpointError) as caught:
            await http.send("POST", "judge", content=content)
    return caught.value


def answering(body: bytes, status: str = "200 OK", *headers: str) -> Handler:
    async def handler(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.answer(body, status, *headers)

    return handler


async def test_an_answer_is_parsed_and_kept_as_compact_json() -> None:
    async with serving(answering(b'{ "a" : [1, 2.5, "\xc3\xa9"] }', "201 Created", "X-Request-Id: r\x1f7")) as (
        url,
        raw,
    ):
        async with client(url + "/v2/") as http:
            reply = await http.send("POST", "judge", json={"x": 1}, params={"k": ["1", "2"]})
        head = raw.peers[0].heads[0]
    assert (reply.status, reply.json, reply.raw) == (201, {"a": [1, 2.5, "é"]}, '{"a":[1,2.5,"é"]}')
    assert reply.bytes_sent == len(b'{"x":1}')
    assert head.startswith("POST /v2/judge?k=1&k=2 HTTP/1.1\r\n")
    assert f"user-agent: batch-scan/{__version__}\r\n" in head.lower()
    assert "x-api-key: top-secret-key\r\n" in head.lower()
    assert "accept-encoding: identity\r\n" in head.lower()


async def test_an_answer_without_content_is_none() -> None:
    async with serving(answering(b"", "204 No Content")) as (url, _), client(url) as http:
        assert (await http.send("DELETE", "it")).json is None


async def test_connections_are_kept_and_used_again() -> None:
    async with serving(answering(b"{}")) as (url, raw), client(url) as http:
        for _ in range(5):
            await http.send("POST", "judge", content=b"x")
        assert len(raw.peers) == 1


async def test_requests_up_to_the_concurrency_are_on_the_wire_at_once() -> None:
    together = asyncio.Barrier(16)

    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await together.wait()
        await peer.answer()

    async with serving(handler) as (url, raw), client(url, concurrency=16) as http:
        await asyncio.gather(*(http.send("POST", "judge", content=b"x") for _ in range(16)))
        assert len(raw.peers) == 16


async def test_a_redirect_is_not_followed() -> None:
    async with serving(answering(b"{}")) as (elsewhere, other):
        redirect = answering(b"", "308 Permanent Redirect", f"Location: {elsewhere}/judge")
        error = await failing(redirect)
        assert (error.failure, error.http_status, other.peers) == (Failure.FATAL, 308, [])


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(answering(b"{}")) as (url, _), client(url) as http:
        assert (await http.send("GET", "it")).status == 200


async def test_a_compressed_answer_is_refused_unread() -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    error = await failing(answering(bomb, "200 OK", "Content-Encoding: gzip"))
    assert (error.failure, error.maybe_charged) == (Failure.REFUSED, True)
    assert "compressed" in error.detail


async def test_an_endless_answer_is_cut_at_its_cap() -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    error = await failing(handler, max_answer_bytes=1_000_000)
    assert (error.failure, error.maybe_charged) == (Failure.REFUSED, True)
    assert "larger than 1,000,000 bytes" in error.detail


async def test_an_endless_refusal_is_cut_and_still_a_refusal() -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    error = await failing(handler)
    assert (error.failure, error.http_status) == (Failure.REFUSED, 400)


@pytest.mark.parametrize("ending", ["reset", "hang"])
async def test_a_refusal_counts_whatever_becomes_of_its_body(ending: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\n{"detail": ')
        if ending == "hang":
            await peer.reader.read()

    error = await failing(handler, timeout_s=0.3)
    assert (error.failure, error.http_status, error.maybe_charged) == (Failure.FATAL, 401, False)


async def test_a_service_that_dribbles_is_given_up_in_time() -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            await peer.send(b" ")
            await asyncio.sleep(0.02)  # the dribble itself: every wait for a byte is short, all together are not

    error = await failing(handler, timeout_s=0.4)
    assert (error.failure, error.http_status, error.maybe_charged) == (Failure.TRANSIENT, 200, True)
    assert "no whole answer within 0.4 s" in error.detail


async def test_a_connection_that_is_refused_was_not_charged() -> None:
    async with serving(answering(b"{}")) as (url, _):
        pass
    async with client(url) as http:
        with pytest.raises(EndpointError) as caught:
            await http.send("POST", "judge", content=b"x")
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, False)
    assert not caught.value.was_sent


async def test_a_reset_before_the_whole_request_has_left_was_not_charged() -> None:
    async def handler(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")

    error = await failing(handler, content=b"x" * 40_000_000)
    assert (error.failure, error.maybe_charged, error.was_sent) == (Failure.TRANSIENT, False, True)


async def test_an_upload_that_the_service_does_not_take_in_is_given_up() -> None:
    async def handler(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    error = await failing(handler, content=b"x" * 40_000_000, write_timeout_s=0.3)
    assert (error.failure, error.maybe_charged) == (Failure.TRANSIENT, False)
    assert "WriteTimeout" in error.detail


async def test_a_refusal_that_comes_before_the_upload_has_ended_is_read() -> None:
    async def handler(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.answer(b'{"detail":"too large"}', "413 Content Too Large", "Connection: close")
        peer.writer.write_eof()
        while await peer.reader.read(1 << 20):
            pass

    error = await failing(handler, content=b"x" * 8_000_000)
    assert (error.failure, error.http_status) == (Failure.REFUSED, 413)
    assert "too large" in error.detail


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000])
async def test_what_is_not_http_is_a_broken_connection(reply: bytes) -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    error = await failing(handler)
    assert (error.failure, error.maybe_charged) == (Failure.TRANSIENT, True)


async def test_an_answer_that_names_its_verdict_twice_is_not_read_and_not_paid_again() -> None:
    error = await failing(answering(b'{"isClean": false, "isClean": true}'))
    assert (error.failure, error.http_status, error.maybe_charged) == (Failure.REFUSED, 200, True)
    assert "names a key twice" in error.detail


async def test_secrets_are_taken_out_of_answers_however_they_are_escaped() -> None:
    escaped = "".join(f"\\u{ord(char):04x}" for char in KEY.reveal())
    async with serving(answering(f'{{"a":"{escaped}","{KEY.reveal()}":1}}'.encode())) as (url, _), client(url) as http:
        reply = await http.send("GET", "it")
    assert reply.json == {"a": "[redacted]", "[redacted]": 1}
    assert json.loads(reply.raw) == reply.json


async def test_the_key_is_in_no_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(answering(b"{}")) as (url, _), client(url) as http:
        await http.send("POST", "judge", json={"key": KEY.reveal()})
    assert caplog.records
    assert KEY.reveal() not in caplog.text


async def test_a_cancelled_request_gives_its_connection_back() -> None:
    arrived = asyncio.Event()

    async def handler(peer: Peer) -> None:
        body = await peer.read_request()
        if body == b"hang":
            arrived.set()
            await peer.reader.read()
        await peer.answer()

    async with serving(handler) as (url, _), client(url, concurrency=1) as http:
        for _ in range(6):  # more often than the pool has connections
            task = asyncio.create_task(http.send("POST", "judge", content=b"hang"))
            await arrived.wait()
            arrived.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await http.send("POST", "judge", content=b"x")).status == 200


@pytest.fixture
def untrusted_tls(tmp_path: Path) -> ssl.SSLContext:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    if shutil.which("openssl") is None and not os.environ.get("CI"):
        pytest.skip("openssl is not installed, which makes the certificate")
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    return tls


async def test_a_certificate_that_proves_nothing_stops_the_endpoint(untrusted_tls: ssl.SSLContext) -> None:
    async with serving(answering(b"{}"), untrusted_tls) as (url, raw), client(url) as http:
        with pytest.raises(EndpointError) as caught:
            await http.send("POST", "judge", content=b"x")
        assert not any(peer.heads for peer in raw.peers)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.FATAL, False)
    assert "cannot prove who it is" in caught.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "https://",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
        "http://localhost.example.com",
        "https://user:password@example.com",
        "https://example.com/?key=1",
        "https://example.com/#part",
        "https://example.com:port",
        "https://exa\x00mple.com",
        "file:///etc/passwd",
    ],
)
def test_a_base_url_that_could_leak_a_key_is_refused_and_names_its_place(url: str) -> None:
    with pytest.raises(UsageError, match=r"^transcribe\.acme\.base_url "):
        client(url, table="transcribe.acme")


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("https://localhost", True),
        ("http://[::1]:9", True),
        ("https://api.example.com", False),
        ("https://localhost.example.com", False),
    ],
)
def test_a_sandbox_on_this_machine_is_told_from_the_vendor(url: str, *, is_here: bool) -> None:
    assert is_on_this_machine(url) == is_here


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "https://example.com/v1", "http://127.0.0.2:80", "http://localhost", "http://[::1]:8"],
)
def test_https_anywhere_and_http_to_this_machine_are_taken(url: str) -> None:
    assert check_base_url(url + "/") == url
