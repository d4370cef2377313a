from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.errors import FetchError
from batch_scan.model import Item
from batch_scan.source.http import HttpFiles
from batch_scan.source.options import SourceOptions
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.vocabulary import Reason
from tests.source.loopback import respond, serving
from tests.source.wire import Fault, wire_to

if TYPE_CHECKING:
    from pathlib import Path

    from tests.source.loopback import Handler
    from tests.source.stores import StoreServer


def _left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def _room(scratch: Path, **more: Any) -> ScratchRoom:
    return ScratchRoom(SourceOptions(scratch=scratch, **more))


async def test_a_file_waits_until_there_is_room_and_comes_in_its_turn(tmp_path: Path) -> None:
    room = _room(tmp_path, scratch_bytes=100)
    order: list[int] = []

    async def one(size: int) -> None:
        async with room.file(size):
            order.append(size)
            assert room.used_bytes <= 100

    async with room.file(60):
        tasks = [asyncio.create_task(one(size)) for size in (50, 20)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == []  # the small one does not overtake
    await asyncio.gather(*tasks)
    assert order == [50, 20]
    assert _left_in(tmp_path) == []
    assert room.used_bytes == 0


async def test_half_of_what_is_free_is_the_limit_where_none_is_given(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert _room(tmp_path).limit_bytes == pytest.approx(free / 2, rel=0.2)


async def test_http_files_take_their_room_from_the_same_limit(tmp_path: Path) -> None:
    body = b"x" * 60
    async with serving({"/x": respond(200, body)}) as server:
        options = SourceOptions(allow_hosts=(server.netloc,), scratch=tmp_path, scratch_bytes=100)
        room = ScratchRoom(options)
        files = HttpFiles(options, room=room)
        item = Item(0, "shown", "0:shown", f"http://{server.netloc}/x")
        most = 0

        async def one() -> None:
            nonlocal most
            async with files.fetch(item) as path:
                assert path.read_bytes() == body
                await asyncio.sleep(0.01)
                most = max(most, sum(file.stat().st_size for file in _left_in(tmp_path)))

        await asyncio.gather(*(one() for _ in range(8)))
    assert most == 60
    assert room.used_bytes == 0
    assert _left_in(tmp_path) == []


def _unsaid(body: bytes) -> Handler:
    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    return handler


async def test_a_body_of_unsaid_length_is_confined_to_the_limit(tmp_path: Path) -> None:
    async with serving({"/x": _unsaid(b"x" * 101), "/y": _unsaid(b"x" * 100)}) as server:
        options = SourceOptions(allow_hosts=(server.netloc,), scratch=tmp_path, scratch_bytes=100)
        files = HttpFiles(options)
        async with files.fetch(Item(0, "shown", "0:shown", f"http://{server.netloc}/y")) as path:
            assert path.stat().st_size == 100
        with pytest.raises(FetchError, match=r"source\.scratch_bytes") as caught:
            async with files.fetch(Item(0, "shown", "0:shown", f"http://{server.netloc}/x")):
                pytest.fail("was fetched")
    assert caught.value.reason is Reason.TOO_LARGE


_FETCHER = """
import asyncio, sys
from pathlib import Path
from batch_scan.scratch import scratch_of
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.store import StoreOptions

async def main():
    source = await open_source(sys.argv[1], SourceOptions(store=StoreOptions(endpoint=sys.argv[2])))
    async with source.fetch(next(source.entries())):
        print("fetched")

with scratch_of(Path(sys.argv[3])):
    asyncio.run(main())
"""


@pytest.mark.parametrize("store_server", ["moto"], indirect=True)
async def test_what_a_killed_fetch_leaves_is_gone_after_the_next_start(
    tmp_path: Path, store_server: StoreServer
) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a", b"x" * 1_000_000)
    state, scratch = tmp_path / "state", tmp_path / "scratch"
    state.mkdir()
    scratch.mkdir()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    slow = Fault(midway=lambda: loop.call_soon_threadsafe(begun.set), pause_s=0.1)
    with wire_to(store_server.port, lambda head: slow if "\r\nrange:" in head.lower() else None) as wire:
        command = [sys.executable, "-c", _FETCHER, bucket.url, f"http://127.0.0.1:{wire.port}", str(state)]
        env = {**os.environ, "TMPDIR": str(scratch)}
        child = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.PIPE)
        await begun.wait()
        child.kill()
        assert (await child.communicate())[0] == b""
    assert [file for directory in _left_in(scratch) for file in _left_in(directory)]
    command[-2] = f"http://127.0.0.1:{store_server.port}"
    done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, check=True)
    assert done.stdout == b"fetched\n"
    assert _left_in(scratch) == []
