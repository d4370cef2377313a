"""A server on loopback that answers every request with the same words after 50 ms, and notes when each arrived.

    python -m benchmarks.loopback [DELAY_S]

prints its port. `GET /arrivals` tells the arrivals since it was last asked, in seconds of the monotonic clock. As small
as can be, so that what is measured is the client.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

from batch_scan.sandbox.safecomms.words import clean

_DELAY_S = 0.05


class Server(asyncio.Protocol):
    """One connection."""

    arrivals: list[float] = []  # noqa: RUF012 - of all connections
    delay_s = _DELAY_S
    body = json.dumps(clean()).encode()

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole, by its Content-Length."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            length = _length(head)
            if len(self._buffer) < end + 4 + length:
                return
            del self._buffer[: end + 4 + length]
            self._take(head)

    def _take(self, head: bytes) -> None:
        if head.startswith(b"POST "):
            self.arrivals.append(time.monotonic())
            asyncio.get_running_loop().call_later(self.delay_s, self._answer, self.body)
        elif head.startswith(b"GET /arrivals "):
            told = json.dumps(self.arrivals).encode()
            self.arrivals.clear()
            self._answer(told)
        else:
            self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def main() -> None:
    """Serve until standard input ends."""
    if len(sys.argv) > 1:
        Server.delay_s = float(sys.argv[1])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the one that started it
    asyncio.run(main())
