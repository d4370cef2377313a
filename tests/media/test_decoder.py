"""The pool against a worker that misbehaves on demand: a real process that speaks the same messages."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.decoder import DecoderPool, wall_limit
from batch_scan.media.interface import Lane, MediaLimits
from batch_scan.vocabulary import Reason

ROGUE = """
import os, resource, signal, sys, time
from batch_scan.media import wire

def say(kind, body): os.write(1, wire.pack(kind, body))

say(wire.Kind.END, b"{}")
served = 0
while header := sys.stdin.buffer.read(wire.HEADER.size):
    request = wire.unpack_json(sys.stdin.buffer.read(wire.unpack_header(header)[1]))
    do = request["do"]
    if do == "crash" or (do == "crash_if_used" and served): os.kill(os.getpid(), signal.SIGSEGV)
    if do == "crash_late": say(wire.Kind.SHORTFALL, b"{}"); os.kill(os.getpid(), signal.SIGSEGV)
    if do == "hang": time.sleep(600)
    if do == "burn":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
        while True: pass
    if do == "bloat": bytearray(1 << 40)
    if do == "babble": os.write(1, b"GET / HTTP/1.1 and so on and so on")
    if do == "boast": os.write(1, wire.HEADER.pack(wire.Kind.PICTURE, 0xFFFFFFF0))
    if do == "quit": sys.exit(0)
    if do == "flood":
        for _ in range(100): say(wire.Kind.SHORTFALL, b" " * 100_000)
    served += 1
    kept = 1 << 40 if do == "keep_memory" else 1
    say(wire.Kind.END, b'{"pid": %d, "served": %d, "resident_bytes": %d}' % (os.getpid(), served, kept))
"""
ARGV = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{ROGUE}"]
LIMITS = MediaLimits()


def rogue_pool(workers: int = 1) -> DecoderPool:
    return DecoderPool(workers, LIMITS, ARGV)


async def told(
    pool: DecoderPool, do: str, wall_s: float = 30, lane: Lane = Lane.PICTURES, path: str = ""
) -> dict[str, Any]:
    """Have a worker do something and return its last message."""
    last = b""
    async with aclosing(pool.ask({"do": do, "path": path}, wall_s, lane)) as messages:
        async for _, body in messages:
            last = body
    return wire.unpack_json(last)


async def test_a_worker_serves_one_file_after_another() -> None:
    async with rogue_pool() as pool:
        first, second = await told(pool, "work"), await told(pool, "work")
    assert first["pid"] == second["pid"]
    assert second["served"] == 2


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("crash", Reason.DECODER_CRASHED),
        ("crash_late", Reason.DECODER_CRASHED),
        ("hang", Reason.DECODER_TIMEOUT),
        ("burn", Reason.DECODER_LIMIT),
        ("bloat", Reason.DECODER_LIMIT),
        ("babble", Reason.DECODER_CRASHED),
        ("boast", Reason.DECODER_CRASHED),
        ("quit", Reason.DECODER_CRASHED),
    ],
)
async def test_a_bad_file_costs_only_itself(do: str, reason: Reason) -> None:
    async with rogue_pool() as pool:
        with pytest.raises(MediaError) as failure:
            await told(pool, do, wall_s=1.0 if do == "hang" else 30)
        assert failure.value.reason is reason
        assert (await told(pool, "work"))["served"] == 1


async def test_a_worker_broken_by_an_earlier_file_is_given_up_and_the_file_tried_again() -> None:
    async with rogue_pool() as pool:
        first = await told(pool, "work")
        second = await told(pool, "crash_if_used")
    assert second["served"] == 1
    assert second["pid"] != first["pid"]


async def test_a_worker_that_keeps_much_memory_is_replaced() -> None:
    async with rogue_pool() as pool:
        first = await told(pool, "keep_memory")
        assert (await told(pool, "work"))["pid"] != first["pid"]


async def test_no_more_workers_run_than_are_allowed() -> None:
    async with rogue_pool(2) as pool:
        ends = await asyncio.gather(*(told(pool, "work") for _ in range(8)))
    assert len({end["pid"] for end in ends}) <= 2


@pytest.mark.parametrize("held", list(Lane))
async def test_a_taker_that_does_not_read_on_holds_up_its_own_kind_alone(held: Lane) -> None:
    (other,) = set(Lane) - {held}
    async with rogue_pool(1) as pool, aclosing(pool.ask({"do": "flood"}, 30, held)) as messages:
        await anext(messages)
        waiting = asyncio.create_task(told(pool, "work", lane=held))
        for _ in range(3):
            await told(pool, "work", lane=other)
        assert not waiting.done()
        await messages.aclose()
        assert (await waiting)["served"]


async def test_a_worker_serves_both_kinds_by_turns() -> None:
    async with rogue_pool(1) as pool:
        pids = {(await told(pool, "work", lane=lane))["pid"] for lane in (Lane.PICTURES, Lane.SOUND, Lane.PICTURES)}
    assert len(pids) == 1


async def test_a_file_goes_to_the_worker_that_has_looked_at_it() -> None:
    async with rogue_pool(2) as pool:
        first, second = await asyncio.gather(told(pool, "work", path="/a"), told(pool, "work", path="/b"))
        assert first["pid"] != second["pid"]
        for path, end in (("/b", second), ("/a", first), ("/b", second), ("/a", first)):
            assert (await told(pool, "work", path=path))["pid"] == end["pid"]


async def test_leaving_the_pool_ends_every_worker() -> None:
    async with rogue_pool(2) as pool:
        ends = await asyncio.gather(*(told(pool, "work") for _ in range(4)))
    for end in ends:
        with pytest.raises(ProcessLookupError):
            os.kill(end["pid"], 0)


async def test_a_file_that_is_not_read_to_its_end_ends_its_worker() -> None:
    async with rogue_pool() as pool:
        first = await told(pool, "work")
        async with aclosing(pool.ask({"do": "flood"}, 30)) as messages:
            await anext(messages)
        assert (await told(pool, "work"))["pid"] != first["pid"]


async def test_cancelling_a_reader_frees_its_place() -> None:
    async with rogue_pool() as pool:
        task = asyncio.create_task(told(pool, "hang"))
        other = asyncio.create_task(told(pool, "work"))
        await asyncio.sleep(0)
        task.cancel()
        assert (await other)["served"] == 1
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_worker_that_cannot_start_is_not_blamed_on_the_file() -> None:
    async with DecoderPool(1, LIMITS, [sys.executable, "-c", "raise SystemExit('no such library')"]) as pool:
        with pytest.raises(MediaError, match="does not start") as failure:
            await told(pool, "work")
    assert failure.value.reason is Reason.INTERNAL


def test_the_wall_limit_follows_the_length_of_the_file(tmp_path: Path) -> None:
    limits = MediaLimits(wall_base_s=60, wall_per_media_s=2, max_duration_s=1000)
    path = tmp_path / "a.mp3"
    path.write_bytes(bytes(100_000))
    assert wall_limit(path, 10.0, limits) == 80
    assert wall_limit(path, 1e9, limits) == 2060
    assert wall_limit(path, None, limits) == 260
    assert wall_limit(tmp_path / "gone", None, limits) == 60


HARNESS = """
import asyncio, os, signal, sys
from batch_scan.media.decoder import DecoderPool
from batch_scan.media.interface import MediaLimits

async def main():
    async with DecoderPool(1, MediaLimits()) as pool:
        async for _ in pool.ask({"do": "frames", "tracks": []}, 30):
            children = open(f"/proc/self/task/{os.getpid()}/children").read()
            print(children, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_workers_do_not_outlive_a_killed_scanner() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}\n{HARNESS}",
        stdout=asyncio.subprocess.PIPE,
    )
    told_pids, _ = await process.communicate()
    (worker_pid,) = map(int, told_pids.split())
    async with asyncio.timeout(10):
        while _is_alive(worker_pid):  # noqa: ASYNC110 - the end of a stranger's child raises no event here
            await asyncio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
