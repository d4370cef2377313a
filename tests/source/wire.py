"""A line between a client and a server on loopback that can be cut, slowed down, or answer by itself."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _said(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>hunter2</Message></Error>".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


SLOW_DOWN = _said("503 Slow Down", "SlowDown")
DENIED = _said("403 Forbidden", "AccessDenied")
_HOST = re.compile(rb"(?i)\r\nhost:[^\r]*")
_CONNECTION = re.compile(rb"(?i)\r\nconnection:[^\r]*")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request."""

    answer: bytes = b""
    """Said instead of asking the server."""
    cut_after: int | None = None
    """The answer's head and so many bytes behind it go through, then the line is dead."""
    block_bytes: int = 1 << 16
    pause_s: float = 0.0
    """Between blocks of the answer."""
    midway: Callable[[], object] | None = None
    """Called when the head and the first block have gone through."""


@dataclass(slots=True)
class Wire:
    """What went over the line."""

    target: int
    fault: Callable[[str], Fault | None]
    """Told the first line and headers of each request."""
    port: int = 0
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ranges(self) -> list[tuple[int, int]]:
        """Return the ranges that were asked for, ends exclusive."""
        found = [re.search(r"(?i)\r\nrange: bytes=(\d+)-(\d+)", head) for head in self.requests]
        return [(int(one[1]), int(one[2]) + 1) for one in found if one]


@contextmanager
def wire_to(port: int, fault: Callable[[str], Fault | None] = lambda _head: None) -> Iterator[Wire]:
    """Have a line to a port of this machine while the context lasts."""
    wire = Wire(port, fault)

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                _relay(wire, self.request)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        wire.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join()


def _relay(wire: Wire, client: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        if not byte:
            return
        head += byte
    with wire.lock:
        wire.requests.append(head.decode("latin-1"))
        fault = wire.fault(wire.requests[-1]) or Fault()
    if fault.answer:
        client.sendall(fault.answer)
        return
    with socket.create_connection(("127.0.0.1", wire.target)) as server:
        if b"authorization:" not in head.lower():  # a signature is for the host that was asked
            head = _HOST.sub(b"\r\nHost: 127.0.0.1:%d" % wire.target, head)
        # One request per connection, so that the end of the answer is the end of the line.
        server.sendall(_CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n")
        _answer(fault, client, server)


def _answer(fault: Fault, client: socket.socket, server: socket.socket) -> None:
    got = b""
    while b"\r\n\r\n" not in got:
        block = server.recv(1 << 16)
        if not block:
            return
        got += block
    head, _, body = got.partition(b"\r\n\r\n")
    client.sendall(_CONNECTION.sub(b"", head) + b"\r\nConnection: close\r\n\r\n")
    passed, midway = 0, fault.midway
    while body or (body := server.recv(fault.block_bytes)):
        block, body = body[: fault.block_bytes], body[fault.block_bytes :]
        if fault.cut_after is not None and passed + len(block) >= fault.cut_after:
            client.sendall(block[: fault.cut_after - passed])
            return
        client.sendall(block)
        passed += len(block)
        if midway is not None:
            midway()
            midway = None
        if fault.pause_s:
            time.sleep(fault.pause_s)
