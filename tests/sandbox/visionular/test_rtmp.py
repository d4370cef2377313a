from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.sandbox.visionular import amf
from batch_scan.sandbox.visionular.ingest import Ingest
from batch_scan.sandbox.visionular.rtmp import Connection, Kind, Message, RtmpError

_SCALARS = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20)
_VALUES = st.recursive(_SCALARS, lambda inner: st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3))


@given(st.lists(_VALUES, max_size=4))
def test_what_is_encoded_is_decoded_again(values: list[Any]) -> None:
    assert amf.decode(amf.encode(*values)) == values


@given(st.binary(max_size=60))
def test_any_bytes_are_values_or_an_error(data: bytes) -> None:
    try:
        amf.decode(data)
    except amf.AmfError:
        return


def test_a_map_with_a_count_is_a_map() -> None:
    told = amf.encode({"a": 1.0})
    assert amf.decode(b"\x08\x00\x00\x00\x01" + told[1:]) == [{"a": 1.0}]


class Nowhere:
    """Takes what is written and forgets it."""

    def write(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        pass


def connection(data: bytes) -> Connection:
    """Return a connection on which these bytes have come, after the handshake."""
    reader = asyncio.StreamReader(limit=1 << 26)
    reader.feed_data(data)
    reader.feed_eof()
    return Connection(reader, Nowhere())


async def read_all(data: bytes) -> None:
    talk = connection(data)
    while True:
        await talk.receive()


def begin(body_bytes: int, at_ms: int, kind: int = Kind.VIDEO, channel: int = 6) -> bytes:
    time_ms = min(at_ms, 0xFFFFFF)
    head = bytes([channel]) + time_ms.to_bytes(3, "big") + body_bytes.to_bytes(3, "big") + bytes([kind])
    return head + struct.pack("<I", 1) + (at_ms.to_bytes(4, "big") if at_ms >= 0xFFFFFF else b"")


async def test_a_message_in_several_chunks_between_those_of_another_is_whole() -> None:
    first, second = bytes(range(200)), b"y" * 10
    data = begin(200, 40) + first[:128] + begin(10, 41, Kind.AUDIO, channel=4) + second + b"\xc6" + first[128:]
    talk = connection(data)
    assert await talk.receive() == Message(Kind.AUDIO, 41, 1, second)
    assert await talk.receive() == Message(Kind.VIDEO, 40, 1, first)


async def test_every_form_of_header_adds_up_to_the_right_time() -> None:
    later = b"\x46" + (33).to_bytes(3, "big") + (2).to_bytes(3, "big") + bytes([Kind.VIDEO])
    data = begin(1, 1000) + b"a" + later + b"bb" + b"\x86" + (40).to_bytes(3, "big") + b"cc" + b"\xc6" + b"dd"
    talk = connection(data)
    got = [await talk.receive() for _ in range(4)]
    assert [(one.timestamp_ms, one.body) for one in got] == [(1000, b"a"), (1033, b"bb"), (1073, b"cc"), (1113, b"dd")]


async def test_times_beyond_24_bits_are_read_in_every_chunk() -> None:
    body = bytes(150)
    at = (20_000_000).to_bytes(4, "big")
    talk = connection(begin(150, 20_000_000) + body[:128] + b"\xc6" + at + body[128:])
    assert await talk.receive() == Message(Kind.VIDEO, 20_000_000, 1, body)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xc6abc", id="goes on with nothing"),
        pytest.param(begin(200, 0) + bytes(128) + begin(10, 0), id="begins before the end"),
        pytest.param(begin(4, 0, Kind.CHUNK_SIZE, channel=2) + bytes(4), id="chunks of nothing"),
        pytest.param(
            begin(4, 0, Kind.CHUNK_SIZE, channel=2) + b"\x00\xff\xff\xff" + begin((1 << 24) - 1, 0)[:12] + b"",
            id="cut short",
        ),
        pytest.param(
            b"".join(begin(1, 0, channel=number) + b"x" for number in range(2, 64)) + b"\x00\x00" * 9, id="many"
        ),
    ],
)
async def test_what_no_publisher_sends_ends_the_connection(data: bytes) -> None:
    with pytest.raises((RtmpError, asyncio.IncompleteReadError)):
        await read_all(data)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_handshake_end_in_an_error(data: bytes) -> None:
    with pytest.raises((RtmpError, asyncio.IncompleteReadError)):
        asyncio.run(read_all(data))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x03" + bytes(1536) + bytes(1536) + b"\xff" * 500, b""])
async def test_strangers_at_the_ingest_are_hung_up_on(data: bytes) -> None:
    ingest = Ingest(lambda _key: None)
    async with ingest:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
        writer.write(data)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 20)
        writer.close()
