"""A web server on loopback that can misbehave: each path has a handler that writes what it likes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Loopback:
    """What the server was asked, and what it answers."""

    handlers: dict[str, Handler]
    port: int = 0
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def netloc(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection with one response."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            self.connections.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        self.paths.append(path)
        self.headers.append(dict(line.lower().split(": ", 1) for line in head[1:] if line))
        await self.handlers[path](writer)
        await writer.drain()


@asynccontextmanager
async def serving(handlers: dict[str, Handler], tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    """Serve while the context lasts."""
    loopback = Loopback(handlers)
    server = await asyncio.start_server(loopback.serve, "127.0.0.1", 0, ssl=tls)
    loopback.port = server.sockets[0].getsockname()[1]
    try:
        yield loopback
    finally:
        server.close()
        left = list(loopback.connections)
        for connection in left:
            connection.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def respond(status: int, body: bytes = b"", **headers: str) -> Handler:
    """Answer with a Content-Length that is right unless given."""
    lines = {"content_length": str(len(body)), "connection": "close", **headers}

    async def handler(writer: asyncio.StreamWriter) -> None:
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode("latin-1") + body)

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """Answer the first request with the first, and so on."""
    left = list(handlers)

    async def handler(writer: asyncio.StreamWriter) -> None:
        await left.pop(0)(writer)

    return handler


def endless(block: bytes, pause_s: float = 0.0, head: bytes = b"") -> Handler:
    """Send one block after the other, with no length, until the client leaves."""

    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        while True:
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return handler
