from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from batch_scan.callbacks.listener import Listener, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Door:
    """An application that answers once it is let go."""

    def __init__(self, *, open_at_once: bool = True) -> None:
        self.arrived = asyncio.Event()
        self.let_go = asyncio.Event()
        if open_at_once:
            self.let_go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.arrived.set()
        await self.let_go.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@contextlib.asynccontextmanager
async def serving(
    door: Door, *, max_connections: int = 100, connection_life_s: float = 60.0, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[Listener, Streams]]:
    """Serve, and have one connection."""
    listening = listen(host, 0)
    listener = Listener(door, listening, max_connections=max_connections, connection_life_s=connection_life_s)
    streams = await asyncio.open_connection(*listening.getsockname()[:2])
    try:
        async with asyncio.timeout(20):
            yield listener, streams
    finally:
        streams[1].close()
        await listener.close()


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving(Door()) as (_, (reader, writer)):
        for _ in range(2):
            writer.write(GET)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("said", [b"", GET[:20], b"\x16\x03\x01\x00", GET])
async def test_nobody_holds_a_connection_for_ever(said: bytes) -> None:
    async with serving(Door(), connection_life_s=0.05) as (_, (reader, writer)):
        writer.write(said)
        await reader.read()  # ends: they have hung up


async def test_a_request_under_way_outlives_its_connections_time() -> None:
    door = Door(open_at_once=False)
    async with serving(door) as (listener, (reader, writer)):
        writer.write(GET)
        await door.arrived.wait()
        for connection in listener._state.connections:
            connection.shutdown()  # as its time does
        door.let_go.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 204")  # and then they have hung up


async def test_more_connections_than_are_allowed_are_refused() -> None:
    async with serving(Door(), max_connections=1) as (_, (reader, writer)):
        writer.write(GET)
        assert (await reader.readline()).split()[1] == b"503"


async def test_a_request_that_does_not_end_is_ended_on_closing() -> None:
    door = Door(open_at_once=False)
    async with serving(door) as (listener, (reader, writer)):
        writer.write(GET)
        await door.arrived.wait()
        await listener.close(grace_s=0.01)
        assert b" 204 " not in await reader.read()


async def test_a_request_that_ends_in_time_is_answered_on_closing() -> None:
    door = Door(open_at_once=False)
    async with serving(door) as (listener, (reader, writer)):
        writer.write(GET)
        await door.arrived.wait()
        closing = asyncio.create_task(listener.close(grace_s=20.0))
        door.let_go.set()
        await closing
        assert (await reader.read()).startswith(b"HTTP/1.1 204")


async def test_closing_before_it_has_begun_leaves_nothing_open() -> None:
    listening = listen("127.0.0.1", 0)
    await Listener(Door(), listening).close()
    assert listening.fileno() == -1


async def test_the_other_kind_of_address_is_served_too() -> None:
    try:
        listen("::1", 0).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with serving(Door(), host="::1") as (_, (reader, writer)):
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 204")
