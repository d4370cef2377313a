"""Servers of buckets on loopback, each a process of its own, and a line to them that can be disturbed."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from batch_scan.report.bucket import RemoteStore
from batch_scan.store import StoreOptions, open_store, parse_bucket_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests-only", "AWS_REGION": "us-east-1"}
_STARTS_WITHIN_S = 60.0
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def process(command: list[str], port: int, environment: dict[str, str] | None = None) -> Iterator[str]:
    """Have a server's process while the context lasts; yields its URL."""
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        command, stdin=quiet, stdout=quiet, stderr=quiet, env={**os.environ, **(environment or {})}
    )
    try:
        give_up_at_s = time.monotonic() + _STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                break
            except OSError:
                assert server.poll() is None, f"{command[0]} ended at once"
                assert time.monotonic() < give_up_at_s, f"{command[0]} does not answer"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """S3 that heeds conditional writes, and checks no signatures."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with process(command, port) as url:
        yield url


@contextlib.contextmanager
def nanio(data: Path) -> Iterator[str]:
    """S3 that checks signatures, and does not heed conditional writes; its buckets are directories in `data`."""
    port = free_port()
    command = [sys.executable, "-m", "nanio", "serve", "--data-dir", str(data), "--host", "127.0.0.1"]
    keys = {"NANIO_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "NANIO_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    with process([*command, "--port", str(port)], port, keys) as url:
        yield url


def make_bucket(url: str, name: str) -> None:
    """Make a bucket at a server that checks no signatures."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("PUT", f"/{name}", headers={"Authorization": _CREDENTIAL})
    assert connection.getresponse().status == 200
    connection.close()


_CREDENTIAL = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of its own for one test."""

    url: str
    """Of the server."""
    name: str
    scheme: str = "s3"
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)
    names_endpoint: str = "AWS_ENDPOINT_URL"
    """Variable of the environment."""
    prefix: str = "archive/reports"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.name}/{self.prefix}"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to reach it."""
        return {**self.keys, self.names_endpoint: self.url}

    @property
    def options(self) -> StoreOptions:
        return StoreOptions(endpoint=self.url)

    def place(self, *, endpoint: str = "", patience_s: float = 60.0) -> RemoteStore:
        """Open the place of the report, through another endpoint where one is named."""
        store, _ = open_store(self.uri, StoreOptions(endpoint=endpoint or self.url))
        return RemoteStore(store, parse_bucket_url(self.uri), patience_s=patience_s)

    def uploads(self) -> list[str]:
        """Return the keys of uploads that were begun and neither finished nor aborted."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        connection.request("GET", f"/{self.name}?uploads", headers={"Authorization": _CREDENTIAL})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        return re.findall("<Key>(.*?)</Key>", text)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came over a line."""

    number: int
    """From 1 on, among those of its method."""
    method: str
    path: str


class Line:
    """Passes requests on to a server, except where it is told to disturb them."""

    def __init__(self, upstream: str) -> None:
        upstream, slash, path = upstream.removeprefix("http://").partition("/")
        self.asked: list[Asked] = []
        self.refuse: Callable[[Asked], bool] = lambda _: False
        """Requests that are answered with 503 SlowDown, and not passed on."""
        self.deny: Callable[[Asked], bool] = lambda _: False
        """Requests that are answered with 403 AccessDenied, and not passed on."""
        self.lose: Callable[[Asked], bool] = lambda _: False
        """Requests that are passed on and answered with 503 all the same."""
        self.hold: Callable[[Asked], bool] = lambda _: False
        """Requests that are passed on when `released` is set."""
        self.holding = threading.Event()
        self.released = threading.Event()
        self._guard = threading.Lock()
        self._server = Server(("127.0.0.1", 0), _handler(self, upstream))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{slash}{path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def note(self, method: str, path: str) -> Asked:
        with self._guard:
            asked = Asked(1 + sum(one.method == method for one in self.asked), method, path)
            self.asked.append(asked)
        return asked

    def count(self, method: str, part: str = "") -> int:
        return sum(one.method == method and part in one.path for one in self.asked)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


Answer = tuple[int, list[tuple[str, str]], bytes]


def _handler(line: Line, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(Passing):
        def answer_to(self, body: bytes) -> Answer:
            asked = line.note(self.command, self.path)
            if line.hold(asked):
                line.holding.set()
                line.released.wait()
            if line.deny(asked):
                return 403, [], _DENIED
            if line.refuse(asked):
                return 503, [], _SLOW_DOWN
            answer = _pass_on(upstream, self, body)
            return (503, [], _SLOW_DOWN) if line.lose(asked) else answer

    return Handler


def _pass_on(upstream: str, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
    with contextlib.closing(http.client.HTTPConnection(upstream, timeout=60)) as connection:
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
        pass

    @abstractmethod
    def answer_to(self, body: bytes) -> Answer: ...

    def _pass(self) -> None:
        status, headers, body = self.answer_to(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        own = {"content-length", "transfer-encoding", "connection"}
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in own:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):  # killed, or no longer interested
                self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815 - names of the base
