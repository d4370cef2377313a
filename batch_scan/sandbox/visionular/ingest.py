"""The RTMP ingest: takes any number of publishers on one port, each under the stream key it names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from batch_scan.sandbox.visionular import amf
from batch_scan.sandbox.visionular.rtmp import Connection, Kind, Message, RtmpError
from batch_scan.shielded import shielded

if TYPE_CHECKING:
    from collections.abc import Callable

APP: Final = "live"
"""The application that publishers connect to: the path of the ingest URL."""
_STREAM: Final = 1
_PATIENCE_S: Final = 30.0
"""Silence after which a publisher is taken for gone."""


class Publication(Protocol):
    """What becomes of one publisher's stream."""

    async def video(self, tag: bytes, timestamp_ms: int) -> None:
        """Take the body of one FLV video tag. Raises ValueError for a codec that is not taken."""
        ...

    async def end(self) -> None:
        """The publisher is gone, or was sent away."""
        ...


class Ingest:
    """Listens on loopback, in the running event loop. Use as an asynchronous context manager."""

    def __init__(self, begin: Callable[[str], Publication | None], port: int = 0) -> None:
        """Prepare an ingest.

        Args:
            begin: makes the publication for a stream key; None where nobody may publish under it.
            port: to listen on; 0 takes a free one.
        """
        self._begin = begin
        self._server: asyncio.Server | None = None
        self._publishing: dict[str, asyncio.StreamWriter] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self.port = port
        """Known once it listens."""

    async def __aenter__(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered before it is left
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def send_away(self, key: str) -> None:
        """Cut the connection of whoever publishes under this key."""
        writer = self._publishing.get(key)
        if writer is not None:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        self._serving.add(task)
        try:
            await self._talk(Connection(reader, writer), writer)
        except (RtmpError, amf.AmfError, ValueError, TimeoutError, OSError, asyncio.IncompleteReadError):
            return  # a publisher that is gone or garbled ends here, as at any ingest
        except asyncio.CancelledError:
            return
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _talk(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await connection.handshake()
            key = await self._stream_key(connection)
        publication = None if key in self._publishing else self._begin(key)
        if publication is None:
            await _say(connection, "NetStream.Publish.BadName", "there is no such stream", level="error")
            return
        self._publishing[key] = writer
        try:
            await _say(connection, "NetStream.Publish.Start", "publishing")
            await self._publish(connection, publication)
        finally:
            del self._publishing[key]
            await shielded(asyncio.ensure_future(publication.end()))

    async def _stream_key(self, connection: Connection) -> str:
        """Answer a client until it says under which key it publishes."""
        while True:
            message = await connection.receive()
            if message.kind != Kind.COMMAND:
                continue
            name, number, *rest = _command(message)
            if name == "connect":
                await self._connect(connection, number, rest)
            elif name == "createStream":
                await connection.send(Kind.COMMAND, amf.encode("_result", number, None, _STREAM))
            elif name == "publish":
                return str(rest[1]) if len(rest) > 1 else ""

    async def _connect(self, connection: Connection, number: Any, rest: list[Any]) -> None:
        wanted = rest[0].get("app") if rest and isinstance(rest[0], dict) else None
        if wanted != APP:
            raise RtmpError("there is no such application")
        await connection.open()
        told = {"level": "status", "code": "NetConnection.Connect.Success", "description": "connected"}
        await connection.send(Kind.COMMAND, amf.encode("_result", number, {"fmsVer": "FMS/3,0,1,123"}, told))

    async def _publish(self, connection: Connection, publication: Publication) -> None:
        while True:
            async with asyncio.timeout(_PATIENCE_S):
                message = await connection.receive()
            if message.kind == Kind.VIDEO:
                await publication.video(message.body, message.timestamp_ms)
            elif message.kind == Kind.COMMAND and _command(message)[0] in {"deleteStream", "closeStream"}:
                return


def _command(message: Message) -> list[Any]:
    values = amf.decode(message.body)
    return values if len(values) > 1 else [*values, None, None]


async def _say(connection: Connection, code: str, description: str, level: str = "status") -> None:
    told = {"level": level, "code": code, "description": description}
    await connection.send(Kind.COMMAND, amf.encode("onStatus", 0, None, told), _STREAM)
