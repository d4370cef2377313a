"""What a thread waits for ends when nobody waits for the thread any more."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from batch_scan.aside import GivenUpError, aside, pause, result_of

LONG_S = 600.0


class Blocked:
    """A call that blocks until it is given up."""

    def __init__(self, future: Future[int] | None = None) -> None:
        self.future = future
        self.began = threading.Event()
        self.gave_up = threading.Event()

    def __call__(self) -> None:
        self.began.set()
        try:
            pause(LONG_S) if self.future is None else result_of(self.future)
        except GivenUpError:
            self.gave_up.set()
            raise


async def interrupt(call: Blocked) -> None:
    waiting = asyncio.create_task(aside(call))
    await asyncio.to_thread(call.began.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(call.gave_up.wait, 10)


async def test_a_call_gives_its_result_or_its_error() -> None:
    assert await aside(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await aside(divmod, 7, 0)


async def test_a_pause_ends_when_nobody_waits_for_the_thread() -> None:
    await interrupt(Blocked())


async def test_an_answer_from_elsewhere_is_given_up_when_nobody_waits_for_the_thread() -> None:
    call = Blocked(Future())
    await interrupt(call)
    assert call.future is not None
    assert call.future.cancelled()


async def test_what_is_waited_for_after_everybody_left_is_given_up_at_once() -> None:
    began, left = threading.Event(), threading.Event()
    ended: list[BaseException] = []

    def late() -> None:
        began.set()
        left.wait()
        never: Future[int] = Future()
        for wait in (partial(pause, LONG_S), partial(result_of, never)):
            try:
                wait()
            except GivenUpError as error:
                ended.append(error)

    waiting = asyncio.create_task(aside(late))
    await asyncio.to_thread(began.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    left.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert len(ended) == 2


async def test_an_answer_cancelled_by_others_is_no_giving_up() -> None:
    future: Future[int] = Future()
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await aside(result_of, future)


def test_without_anyone_who_could_leave_they_are_plain_waits() -> None:
    future: Future[int] = Future()
    future.set_result(3)
    pause(0.0)
    assert result_of(future) == 3
