"""RTMP as a publisher speaks it: handshake, chunks, messages (Adobe, "Real Time Messaging Protocol 1.0").

Written out because no library that is kept up takes publishers: pyrtmp's dependencies do not install on every Python
that this package runs on, and ffmpeg's own listener takes one connection per port and any stream key. Only the parts
that a publisher uses are here; whatever else comes is a `RtmpError`, and the connection ends.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

VERSION: Final = 3
_HANDSHAKE_BYTES: Final = 1536
_TIME_BYTES: Final = 3
_FIRST_CHUNK_BYTES: Final = 128
_OUR_CHUNK_BYTES: Final = 65_536
_MAX_CHUNK_BYTES: Final = 1 << 24
_MAX_MESSAGE_BYTES: Final = 1 << 24
_EXTENDED: Final = 0xFFFFFF
_MAX_CHANNELS: Final = 64
_WINDOW_BYTES: Final = 2_500_000
_BY_PEER: Final = 2
"""Limit type "dynamic" of a peer's bandwidth."""


class RtmpError(Exception):
    """The other side does not speak RTMP as a publisher does."""


class Kind(IntEnum):
    """What a message is."""

    CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA = 18
    COMMAND = 20


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message."""

    kind: int
    timestamp_ms: int
    stream: int
    body: bytes


@dataclass(slots=True)
class _Channel:
    """What the chunks of one chunk stream say of themselves, each relative to the one before."""

    timestamp_ms: int = 0
    delta_ms: int = 0
    length: int = 0
    kind: int = 0
    stream: int = 0
    extended: bool = False
    body: bytearray = field(default_factory=bytearray)


class Writer(Protocol):
    """Where answers go: an `asyncio.StreamWriter`."""

    def write(self, data: bytes) -> None:
        """Take bytes to be sent."""
        ...

    async def drain(self) -> None:
        """Wait until there is room for more."""
        ...


class Connection:
    """One client's connection, from the first byte on."""

    def __init__(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._chunk_bytes = _FIRST_CHUNK_BYTES
        self._channels: dict[int, _Channel] = {}
        self._received = 0
        self._acknowledged = 0

    async def handshake(self) -> None:
        """Greet. Raises RtmpError, IncompleteReadError."""
        (version,) = await self._reader.readexactly(1)
        if version != VERSION:
            raise RtmpError(f"version {version} is not spoken here")
        greeting = await self._reader.readexactly(_HANDSHAKE_BYTES)
        ours = struct.pack(">II", 0, 0) + os.urandom(_HANDSHAKE_BYTES - 8)
        self._writer.write(bytes([VERSION]) + ours + greeting)
        await self._writer.drain()
        await self._reader.readexactly(_HANDSHAKE_BYTES)

    async def receive(self) -> Message:
        """Return the next message for the application. Raises RtmpError, IncompleteReadError at its end."""
        while True:
            message = await self._chunk()
            if message is None:
                continue
            if message.kind == Kind.CHUNK_SIZE:
                self._take_chunk_size(message.body)
            elif message.kind not in {Kind.ACKNOWLEDGEMENT, Kind.USER_CONTROL, Kind.WINDOW_SIZE, Kind.PEER_BANDWIDTH}:
                return message

    async def send(self, kind: Kind, body: bytes, stream: int = 0) -> None:
        """Send one message, which fits one chunk."""
        channel = 2 if kind < Kind.AUDIO else 3
        header = bytes([channel]) + b"\0\0\0" + len(body).to_bytes(3, "big") + bytes([kind]) + struct.pack("<I", stream)
        self._writer.write(header + body)
        await self._writer.drain()

    async def open(self) -> None:
        """Say how much may be under way, and how large chunks are: larger ones, so that commands need one each."""
        await self.send(Kind.WINDOW_SIZE, struct.pack(">I", _WINDOW_BYTES))
        await self.send(Kind.PEER_BANDWIDTH, struct.pack(">IB", _WINDOW_BYTES, _BY_PEER))
        await self.send(Kind.CHUNK_SIZE, struct.pack(">I", _OUR_CHUNK_BYTES))

    async def _chunk(self) -> Message | None:
        """Read one chunk; return the message that it completes, if it does."""
        form, number = await self._basic_header()
        if form != 0 and number not in self._channels:
            raise RtmpError("a chunk refers to one that never came")
        if len(self._channels) >= _MAX_CHANNELS and number not in self._channels:
            raise RtmpError("more chunk streams than a publisher uses")
        channel = self._channels.setdefault(number, _Channel())
        await self._message_header(form, channel)
        if channel.length > _MAX_MESSAGE_BYTES:
            raise RtmpError("a message is larger than any picture")
        channel.body += await self._read(min(self._chunk_bytes, channel.length - len(channel.body)))
        await self._acknowledge()
        if len(channel.body) < channel.length:
            return None
        body, channel.body = bytes(channel.body), bytearray()
        return Message(channel.kind, channel.timestamp_ms, channel.stream, body)

    async def _basic_header(self) -> tuple[int, int]:
        (first,) = await self._read(1)
        form, number = first >> 6, first & 0x3F
        if number == 0:
            return form, 64 + (await self._read(1))[0]
        if number == 1:
            low, high = await self._read(2)
            return form, 64 + low + 256 * high
        return form, number

    async def _message_header(self, form: int, channel: _Channel) -> None:
        header = await self._read((11, 7, 3, 0)[form])
        if header:
            if channel.body:
                raise RtmpError("a message begins before the one before it ends")
            told = int.from_bytes(header[:3], "big")
            channel.extended = told == _EXTENDED
            if len(header) > _TIME_BYTES:
                channel.length, channel.kind = int.from_bytes(header[3:6], "big"), header[6]
            if form == 0:
                (channel.stream,) = struct.unpack("<I", header[7:])
        else:
            told = channel.delta_ms
        if channel.extended:
            told = int.from_bytes(await self._read(4), "big")
        if channel.body:  # goes on with a message: its time stands
            return
        channel.delta_ms = 0 if form == 0 else told
        channel.timestamp_ms = told if form == 0 else channel.timestamp_ms + told

    async def _read(self, count: int) -> bytes:
        self._received += count
        return await self._reader.readexactly(count)

    async def _acknowledge(self) -> None:
        if self._received - self._acknowledged >= _WINDOW_BYTES // 2:
            self._acknowledged = self._received
            await self.send(Kind.ACKNOWLEDGEMENT, struct.pack(">I", self._received & 0xFFFFFFFF))

    def _take_chunk_size(self, body: bytes) -> None:
        size = int.from_bytes(body[:4], "big")
        if not 1 <= size <= _MAX_CHUNK_BYTES:
            raise RtmpError(f"chunks of {size} bytes are not possible")
        self._chunk_bytes = size
