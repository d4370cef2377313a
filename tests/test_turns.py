from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.turns import Order, Turns, next_file

FILES = st.lists(st.integers(0, 9), min_size=1, max_size=40)


@given(FILES, st.integers(-1, 9), st.sampled_from(Order), st.booleans())
def test_whose_turn_it_is_waits(waiting: list[int], served: int, order: Order, is_oldests: bool) -> None:  # noqa: FBT001
    assert next_file(set(waiting), served, order, is_oldests=is_oldests) in waiting


def test_the_oldest_goes_first_whoever_came_first() -> None:
    assert next_file({7, 3, 5}, 3, Order.OLDEST, is_oldests=False) == 3


def test_shared_turns_go_to_the_oldest_and_round_in_alternation() -> None:
    assert asyncio.run(_order_of({3: 6, 5: 2, 7: 2}, Order.SHARED)) == [3, 5, 3, 7, 3, 5, 3, 7, 3, 3]


def test_turns_for_the_oldest_finish_one_file_after_the_other() -> None:
    assert asyncio.run(_order_of({7: 2, 3: 2, 5: 1}, Order.OLDEST)) == [3, 3, 5, 7, 7]


async def _order_of(waiting: dict[int, int], order: Order) -> list[int]:
    """Return the files in the order in which they get a single turn, all of them waiting from the beginning."""
    turns, had = Turns(1, order), list[int]()

    async def one(file: int) -> None:
        async with turns.turn(file):
            had.append(file)
            await asyncio.sleep(0)

    await turns.acquire(0)
    async with asyncio.TaskGroup() as group:
        for file, count in waiting.items():
            for _ in range(count):
                group.create_task(one(file))
        await asyncio.sleep(0)
        assert turns.waiting == sum(waiting.values())
        turns.release()
    return had


@given(FILES, st.integers(1, 4), st.sampled_from(Order), st.sets(st.integers(0, 39)))
def test_everyone_gets_a_turn_unless_cancelled_and_never_too_many_at_a_time(
    files: list[int], count: int, order: Order, cancelled: set[int]
) -> None:
    async def all_of_them() -> None:
        turns, now, most, served = Turns(count, order), 0, 0, list[int]()

        async def one(number: int, file: int) -> None:
            nonlocal now, most
            async with turns.turn(file):
                now += 1
                most = max(most, now)
                try:
                    await asyncio.sleep(0)
                finally:
                    now -= 1
                served.append(number)

        tasks = [asyncio.create_task(one(number, file)) for number, file in enumerate(files)]
        await asyncio.sleep(0)
        for number in cancelled & set(range(len(files))):
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert set(served) >= set(range(len(files))) - cancelled
        assert most <= count
        assert turns.waiting == 0
        for _ in range(count):  # all of them are back
            assert turns.try_acquire()
        assert not turns.try_acquire()

    asyncio.run(all_of_them())


async def test_a_turn_that_is_granted_to_someone_just_cancelled_goes_on_to_the_next() -> None:
    turns = Turns(1)
    await turns.acquire(0)
    first, second = (asyncio.create_task(turns.acquire(file)) for file in (1, 2))
    await asyncio.sleep(0)
    turns.release()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert not turns.try_acquire()
