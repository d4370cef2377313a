"""What a source says of items that services pull themselves: under which URL, and whether they are still the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.errors import FetchError
from batch_scan.source.options import SourceOptions
from batch_scan.vocabulary import Reason
from tests.source import stores
from tests.source.contract import only_item
from tests.source.loopback import in_turn, respond, serving
from tests.source.opening import opened
from tests.source.wire import DENIED, Fault, wire_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_scan.model import Item
    from batch_scan.source.interface import Source
    from tests.source.loopback import Handler
    from tests.source.stores import StoreServer

PATH = "/a.mp3?token=hunter2"


# --------------------------------------------------------------------------------------------------------------- http


def _row(directory: Path, netloc: str, **options: Any) -> tuple[Source, Item]:
    (directory / "m.csv").write_text(f"uri\nhttp://{netloc}{PATH}\n")
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    source = opened(str(directory / "m.csv"), SourceOptions(allow_hosts=(netloc,), scratch=scratch, **options))
    return source, only_item(source)


@pytest.mark.parametrize(
    ("headers", "is_told"),
    [
        ({"etag": '"one"'}, True),
        ({"last_modified": "Sun, 22 Nov 2026 05:00:00 GMT"}, True),
        ({}, False),
    ],
)
async def test_the_url_of_an_http_row_is_its_own_where_its_host_tells_one_content_from_another(
    tmp_path: Path, headers: dict[str, str], *, is_told: bool
) -> None:
    async with serving({PATH: respond(200, b"content", **headers)}) as server:
        source, item = _row(tmp_path, server.netloc)
        assert source.url(item) == ""
        async with source.fetch(item):
            assert source.url(item) == (item.locator if is_told else "")
            await source.check_same(item)
        assert source.url(item) == ""


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (respond(200, b"content", etag='"two"'), Reason.CHANGED),
        (respond(200, b"longer content", etag='"one"'), Reason.CHANGED),
        (respond(200, b"content"), Reason.CHANGED),
        (respond(404), Reason.MISSING),
        (respond(403), Reason.FETCH_FAILED),
        (respond(200, b"content", etag='"one"', last_modified="Sun, 22 Nov 2026 05:00:00 GMT"), Reason.CHANGED),
    ],
    ids=["another tag", "another length", "no tag any more", "gone", "refused", "a time that was not told before"],
)
async def test_a_file_that_is_not_surely_the_same_is_told(tmp_path: Path, after: Handler, reason: Reason) -> None:
    async with serving({PATH: in_turn(respond(200, b"content", etag='"one"'), after)}) as server:
        source, item = _row(tmp_path, server.netloc)
        async with source.fetch(item):
            with pytest.raises(FetchError) as caught:
                await source.check_same(item)
    assert caught.value.reason is reason
    assert "hunter2" not in caught.value.detail


async def test_looking_again_follows_redirects_and_takes_no_scratch(tmp_path: Path) -> None:
    there = respond(200, b"x" * 100, etag='"one"')
    async with serving({PATH: respond(302, location="/b.mp3"), "/b.mp3": there}) as server:
        source, item = _row(tmp_path, server.netloc, scratch_bytes=100)
        async with source.fetch(item):
            await source.check_same(item)
            assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert server.paths == [PATH, "/b.mp3"] * 2


async def test_a_host_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    good = respond(200, b"content", etag='"one"')
    async with serving({PATH: in_turn(good, respond(503), good)}) as server:
        source, item = _row(tmp_path, server.netloc)
        async with source.fetch(item):
            await source.check_same(item)


# ------------------------------------------------------------------------------------------------------------- buckets


@pytest.fixture(scope="module", params=["moto", "nanio", "fake_gcs", "azurite"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    start = getattr(stores, request.param)
    arguments = (tmp_path_factory.mktemp("store"),) if request.param in {"nanio", "azurite"} else ()
    with start(*arguments) as server:
        yield server


def _object(server: StoreServer, directory: Path, monkeypatch: pytest.MonkeyPatch, port: int = 0) -> Any:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    bucket = server.make_bucket()
    bucket.put("a.mp3", b"content")
    source = opened(bucket.url, SourceOptions(scratch=directory, store=server.through(port or server.port)))
    return bucket, source, only_item(source)


async def test_an_object_is_the_same_until_it_is_replaced_or_deleted(
    server: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, source, item = _object(server, tmp_path, monkeypatch)
    async with source.fetch(item):
        await source.check_same(item)
        bucket.put("a.mp3", b"kontent")
        with pytest.raises(FetchError) as caught:
            await source.check_same(item)
        assert caught.value.reason is Reason.CHANGED
        bucket.delete("a.mp3")
        with pytest.raises(FetchError) as caught:
            await source.check_same(item)
        assert caught.value.reason is Reason.MISSING


async def test_where_the_store_does_not_say_nobody_knows(
    server: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(_head: str) -> Fault | None:
        return Fault(answer=DENIED) if denied else None

    denied = False
    with wire_to(server.port, fault) as wire:
        _, source, item = _object(server, tmp_path, monkeypatch, wire.port)
        async with source.fetch(item):
            denied = True
            with pytest.raises(FetchError) as caught:
                await source.check_same(item)
    assert caught.value.reason is Reason.UNREADABLE
