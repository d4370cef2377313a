from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.room import Room


async def test_who_does_not_fit_waits_until_someone_leaves() -> None:
    room = Room(10)
    await room.enter(6)
    second = asyncio.create_task(room.enter(5))
    await asyncio.sleep(0)
    assert not second.done()
    room.leave(6)
    await second
    assert room.used_bytes == 5


async def test_something_larger_than_the_room_comes_in_alone() -> None:
    room = Room(10)
    await room.enter(100)
    other = asyncio.create_task(room.enter(1))
    await asyncio.sleep(0)
    assert not other.done()
    room.leave(100)
    await other


async def test_a_large_one_is_not_overtaken_for_ever() -> None:
    room = Room(10)
    await room.enter(5)
    large = asyncio.create_task(room.enter(10))
    await asyncio.sleep(0)
    small = asyncio.create_task(room.enter(1))
    await asyncio.sleep(0)
    assert not small.done()
    room.leave(5)
    await large
    room.leave(10)
    await small


async def test_cancelling_gives_back_what_was_granted_meanwhile() -> None:
    room = Room(10)
    await room.enter(10)
    waiting = asyncio.create_task(room.enter(10))
    await asyncio.sleep(0)
    room.leave(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room.used_bytes == 0


async def test_cancelling_the_first_lets_the_next_in() -> None:
    room = Room(10)
    await room.enter(5)
    large, small = asyncio.create_task(room.enter(10)), asyncio.create_task(room.enter(5))
    await asyncio.sleep(0)
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    await small
    assert room.used_bytes == 10


@given(st.lists(st.integers(1, 15), min_size=1, max_size=20))
def test_everyone_gets_in_and_the_room_is_never_overfull(sizes: list[int]) -> None:
    async def all_of_them() -> None:
        room = Room(10)

        async def one(size_bytes: int) -> None:
            await room.enter(size_bytes)
            assert room.used_bytes <= max(10, size_bytes)
            await asyncio.sleep(0)
            room.leave(size_bytes)

        await asyncio.gather(*(one(size_bytes) for size_bytes in sizes))
        assert room.used_bytes == 0

    asyncio.run(all_of_them())


async def test_nothing_takes_no_room_and_waits_for_nobody() -> None:
    room = Room(10)
    await room.enter(10)
    large = asyncio.create_task(room.enter(5))
    await asyncio.sleep(0)
    await room.enter(0)
    room.leave(0)
    assert not large.done()
    room.leave(10)
    await large
