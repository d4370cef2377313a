from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.errors import FetchError
from batch_scan.model import Item
from batch_scan.source.bucket_fetch import BucketFiles
from batch_scan.source.options import SourceOptions
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.vocabulary import Reason
from tests.source.wire import DENIED, SLOW_DOWN, Fault, wire_to

if TYPE_CHECKING:
    from pathlib import Path

    from tests.source.stores import Bucket, StoreServer


_LARGE = random.Random(0).randbytes(40_000_000)  # three parts
_MOTO = pytest.mark.parametrize("store_server", ["moto"], indirect=True)
_EVERY = pytest.mark.parametrize("store_server", ["moto", "nanio", "fake_gcs", "azurite"], indirect=True)


def _files(server: StoreServer, port: int, scratch: Path, **more: Any) -> BucketFiles:
    options = SourceOptions(store=server.through(port), scratch=scratch, **more)
    return BucketFiles(options, ScratchRoom(options), retry_wait_s=0.01)


def _bucket(server: StoreServer, **contents: bytes) -> Bucket:
    bucket = server.make_bucket()
    for key, content in contents.items():
        bucket.put(key, content)
    return bucket


async def _listed(files: BucketFiles, bucket: Bucket, key: str = "a") -> Item:
    url = f"{bucket.url}/{key}"
    return Item(0, url, url, url, stat=await files.look_at(url))


def _left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def _get(files: BucketFiles, item: Item) -> bytes:
    async with files.fetch(item) as path:
        return path.read_bytes()


async def _failure(files: BucketFiles, item: Item, scratch: Path) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await _get(files, item)
    assert _left_in(scratch) == []
    assert caught.value.detail.isprintable()
    assert "hunter" not in caught.value.detail
    return caught.value


def _is_object(head: str) -> bool:
    return head.startswith("GET ") and "\r\nrange:" in head.lower()


@_EVERY
async def test_a_large_object_comes_in_parts_at_once(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=_LARGE)
    with wire_to(store_server.port) as wire:
        files = _files(store_server, wire.port, tmp_path)
        assert await _get(files, await _listed(files, bucket)) == _LARGE
    assert sorted(wire.ranges()) == [(0, 16777216), (16777216, 33554432), (33554432, 40000000)]


@_EVERY
async def test_a_transfer_that_is_cut_goes_on_where_it_was(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=_LARGE)
    cuts = iter([Fault(cut_after=3_000_000), Fault(cut_after=0), Fault(cut_after=1_000_000)])
    with wire_to(store_server.port, lambda head: next(cuts, None) if _is_object(head) else None) as wire:
        files = _files(store_server, wire.port, tmp_path)
        assert await _get(files, await _listed(files, bucket)) == _LARGE
    asked = sum(end - start for start, end in wire.ranges())
    # Three parts, less what had come before the first and third cut, of which the last incomplete block is lost.
    assert len(wire.ranges()) == 6
    assert asked <= len(_LARGE) + 3 * 16_777_216 - 3_000_000 - 1_000_000 + 2 * 300_000


@_MOTO
async def test_a_line_that_is_always_cut_is_given_up(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"content")
    with wire_to(store_server.port, lambda head: Fault(cut_after=0) if _is_object(head) else None) as wire:
        files = _files(store_server, wire.port, tmp_path)
        failure = await _failure(files, await _listed(files, bucket), tmp_path)
        assert len(wire.ranges()) == 7
    assert failure.reason is Reason.FETCH_FAILED
    assert "broke off" in failure.detail


@_MOTO
async def test_slow_down_is_obeyed_and_ends(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"content")
    for times, arrives in ((5, True), (1000, False)):
        busy = iter([Fault(answer=SLOW_DOWN)] * times)

        def fault(head: str, busy: Any = busy) -> Fault | None:
            return next(busy, None) if _is_object(head) else None

        with wire_to(store_server.port, fault) as wire:
            files = _files(store_server, wire.port, tmp_path)
            item = await _listed(files, bucket)
            if arrives:
                assert await _get(files, item) == b"content"
                continue
            failure = await _failure(files, item, tmp_path)
            assert len(wire.ranges()) == 7
        assert failure.reason is Reason.FETCH_FAILED
        assert "busy or broken (HTTP 503, SlowDown)" in failure.detail


@_MOTO
async def test_what_may_not_be_read_is_said_at_once(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"content")
    with wire_to(store_server.port, lambda head: Fault(answer=DENIED) if _is_object(head) else None) as wire:
        files = _files(store_server, wire.port, tmp_path)
        failure = await _failure(files, await _listed(files, bucket), tmp_path)
        assert len(wire.ranges()) == 1
    assert failure.reason is Reason.UNREADABLE
    assert "do not permit it (HTTP 403, AccessDenied)" in failure.detail


@_EVERY
async def test_an_object_replaced_since_it_was_listed_is_not_read(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"content")
    files = _files(store_server, store_server.port, tmp_path)
    item = await _listed(files, bucket)
    bucket.put("a", b"CONTENT")
    assert (await _failure(files, item, tmp_path)).reason is Reason.CHANGED


@_EVERY
async def test_an_object_deleted_since_it_was_listed_is_missing(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"content")
    files = _files(store_server, store_server.port, tmp_path)
    item = await _listed(files, bucket)
    bucket.delete("a")
    assert (await _failure(files, item, tmp_path)).reason is Reason.MISSING


# nanio and moto stop the answer of an object that is replaced meanwhile, which has to be noticed all the same.
@_EVERY
async def test_an_object_replaced_while_it_is_read_is_noticed(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=_LARGE)
    replaced = bytes(len(_LARGE))
    midway = iter([Fault(midway=lambda: bucket.put("a", replaced), cut_after=200_000)])
    with wire_to(store_server.port, lambda head: next(midway, None) if _is_object(head) else None) as wire:
        files = _files(store_server, wire.port, tmp_path)
        assert (await _failure(files, await _listed(files, bucket), tmp_path)).reason is Reason.CHANGED


@_MOTO
async def test_a_trickle_arrives_or_is_given_up_in_time(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"x" * 10_000)
    trickle = Fault(block_bytes=1000, pause_s=0.1)
    with wire_to(store_server.port, lambda head: trickle if _is_object(head) else None) as wire:
        files = _files(store_server, wire.port, tmp_path)
        assert await _get(files, await _listed(files, bucket)) == b"x" * 10_000
        hasty = _files(store_server, wire.port, tmp_path, fetch_timeout_s=0.3)
        failure = await _failure(hasty, await _listed(files, bucket), tmp_path)
    assert failure.reason is Reason.FETCH_FAILED
    assert "within 0.3 s" in failure.detail


@_MOTO
async def test_many_fetches_at_once_never_exceed_the_limit(tmp_path: Path, store_server: StoreServer) -> None:
    sizes = {f"k{number}": random.Random(number).randrange(1, 300_000) for number in range(40)}
    bucket = _bucket(store_server, **{key: bytes([len(key)]) * size for key, size in sizes.items()})
    options = SourceOptions(store=store_server.options, scratch=tmp_path, scratch_bytes=700_000)
    room = ScratchRoom(options)
    files = BucketFiles(options, room)
    most = 0

    async def one(key: str) -> None:
        nonlocal most
        async with files.fetch(await _listed(files, bucket, key)) as path:
            assert path.stat().st_size == sizes[key]
            await asyncio.sleep(0)
            there = sum(file.stat().st_size for file in _left_in(tmp_path))
            most = max(most, there, room.used_bytes)

    await asyncio.gather(*map(one, sizes))
    assert 300_000 < most <= 700_000
    assert room.used_bytes == 0
    assert _left_in(tmp_path) == []


@_MOTO
async def test_a_fetch_that_is_abandoned_gives_its_room_back(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=_LARGE)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    slow = Fault(midway=lambda: loop.call_soon_threadsafe(begun.set), pause_s=0.05)
    with wire_to(store_server.port, lambda head: slow if _is_object(head) else None) as wire:
        options = SourceOptions(store=store_server.through(wire.port), scratch=tmp_path)
        room = ScratchRoom(options)
        files = BucketFiles(options, room)
        fetch = asyncio.create_task(_get(files, await _listed(files, bucket)))
        await begun.wait()
        assert len(_left_in(tmp_path)) == 1
        fetch.cancel()
        await asyncio.gather(fetch, return_exceptions=True)
    assert _left_in(tmp_path) == []
    assert room.used_bytes == 0


@_MOTO
@pytest.mark.parametrize("key", ["scratch_bytes", "max_file_bytes"])
async def test_an_object_larger_than_a_limit_gets_a_row_that_names_the_key(
    tmp_path: Path, store_server: StoreServer, key: str
) -> None:
    bucket = _bucket(store_server, a=b"content")
    with wire_to(store_server.port) as wire:
        files = _files(store_server, wire.port, tmp_path, **{key: 6})
        failure = await _failure(files, await _listed(files, bucket), tmp_path)
        assert not wire.ranges()
        just = _files(store_server, wire.port, tmp_path, **{key: 7})
        assert await _get(just, await _listed(files, bucket)) == b"content"
    assert failure.reason is Reason.TOO_LARGE
    assert f"source.{key}" in failure.detail


@_MOTO
async def test_all_that_is_held_is_let_go_at_once(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _bucket(store_server, a=b"a" * 100)
    options = SourceOptions(store=store_server.options, scratch=tmp_path, scratch_bytes=250)
    files = BucketFiles(options, ScratchRoom(options))
    item = await _listed(files, bucket)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(files.fetch(item))
        waiting = asyncio.create_task(_get(files, item))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert await waiting == b"a" * 100
