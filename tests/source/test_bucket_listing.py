from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import GenericError
from obstore.store import AzureStore

from batch_scan.model import Refused
from batch_scan.report.published import identify_by_uri
from batch_scan.source.bucket_fetch import stat_of
from batch_scan.source.bucket_listing import Listing, _behind_bad_key
from batch_scan.source.bucket_pages import AzurePages, pages_of
from batch_scan.source.globs import Selection
from batch_scan.source.options import SourceOptions
from batch_scan.source.store_page import PageError
from batch_scan.store import StoreOptions, open_store, parse_bucket_url
from batch_scan.vocabulary import Reason, Status
from tests.source.many import many_objects
from tests.source.opening import opened
from tests.source.wire import DENIED, SLOW_DOWN, Fault, wire_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore import ObjectMeta

    from tests.source.stores import StoreServer

_MOTO = pytest.mark.parametrize("store_server", ["moto"], indirect=True)
_AZURITE = pytest.mark.parametrize("store_server", ["azurite"], indirect=True)
_SEVERAL = pytest.mark.parametrize("store_server", ["moto", "fake_gcs", "azurite"], indirect=True)
_NOT_TAKEN = {"moto": {"c\nx"}, "fake_gcs": {"c\x01x"}, "azurite": {"c\x01x"}}
"""moto has no such path, fake-gcs lists another character in its place, and Azurite breaks over it."""


def _rows(server: StoreServer, url: str, port: int = 0) -> list[tuple[str, str]]:
    """Return every entry's key below the bucket, and why it is refused; what is no key stands behind a `#`."""
    source = opened(url, SourceOptions(store=server.through(port or server.port)))
    rows = []
    for entry in source.entries():
        item, why = (entry.item, entry.shortfall.reason) if isinstance(entry, Refused) else (entry, "")
        assert item.identity == identify_by_uri(item.index, item.uri), "a run that goes on would write its row again"
        rows.append((re.split("[/#]", item.uri.partition("//")[2], maxsplit=1)[1], str(why)))
    assert len(set(rows)) == len(rows)
    return rows


@_MOTO
def test_what_stands_for_a_directory_is_no_entry(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    for key in ("d/", "d/e/", "d/e/a.mp4", "f/", "z/"):
        bucket.put_exactly(key, b"" if key.endswith("/") else b"x")
    bucket.put("g", b"")
    assert _rows(store_server, bucket.url) == [("d/e/a.mp4", ""), ("g", "empty")]
    assert _rows(store_server, f"{bucket.url}/d/e") == [("d/e/a.mp4", "")]


@_MOTO
def test_two_keys_that_differ_in_a_slash_are_two_entries(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    for key in ("a", "a-b", "a/", "a/c", "b/"):
        bucket.put_exactly(key, b"content of " + key.encode())
    rows = _rows(store_server, bucket.url)
    assert rows == [("a", ""), ("a-b", ""), ("a/", "bad_row"), ("a/c", ""), ("b", "")]
    assert _rows(store_server, f"{bucket.url}/a/") == [("a/", "bad_row"), ("a/c", "")]


@_SEVERAL
@pytest.mark.parametrize("bad", ["c//x", "c/../x", "./x", "c/..", "c\x01x", "c\nx", "/c", "/", "b//"])
def test_a_key_that_cannot_be_named_hides_nothing_but_itself(store_server: StoreServer, bad: str) -> None:
    if bad in _NOT_TAKEN[store_server.name]:
        pytest.skip("the server does not hold or list such a key")
    bucket = store_server.make_bucket()
    bucket.put_exactly(bad, b"x")
    good = ["b+%#.mp4", "b x", "c0", "c/0", "c/..0", "d/e", "z"]
    for key in good:
        bucket.put(key, b"x")
    rows = _rows(store_server, bucket.url)
    shown = {"c\x01x": r"key=c\x01x", "c\nx": r"key=c\x0ax"}
    true = sorted([*((key, "") for key in good), (bad, "bad_row")])
    assert rows == [(shown.get(key, key), why) for key, why in true]


@pytest.mark.parametrize("store_server", ["moto", "fake_gcs"], indirect=True)
def test_a_key_with_control_characters_is_not_shown_as_another_one(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    tab = "d/a\tx" if store_server.name == "moto" else "d/a\nx"
    literal = tab.replace("\t", r"\x09").replace("\n", r"\x0a")
    for key in (tab, literal, f"d/{literal}"):
        bucket.put_exactly(key, b"x")
    for url in (bucket.url, f"{bucket.url}/d"):
        told = dict(_rows(store_server, url))
        assert told == {literal: "", f"d/{literal}": "", _key(url, f"key={literal}"): "bad_row"}


def _key(url: str, rest: str) -> str:
    """Return what stands behind the bucket's name in the URI of what is no key."""
    below = url.partition("//")[2].partition("/")[2]
    return f"{below}#{rest}" if below else rest


def test_many_keys_that_cannot_be_named_hide_nothing() -> None:
    """Stretches of them longer than a page, and single ones at either end of a page."""

    def key_of(number: int) -> str:
        is_bad = 2500 <= number < 4800 or number in {0, 999, 1000, 1999, 5999, 6499}
        return f"media/{number:05}{'//x' if is_bad else '/!x'}"

    with many_objects(6500, odd=key_of) as endpoint:
        store = StoreOptions(endpoint=endpoint, anonymous=True)
        entries = list(opened("s3://archive/media", SourceOptions(store=store)).entries())
    assert [one.item.uri if isinstance(one, Refused) else one.uri for one in entries] == [
        f"s3://archive/{key_of(number)}" for number in range(6500)
    ]
    refused = {one.item.uri: one.shortfall.reason for one in entries if isinstance(one, Refused)}
    assert len(refused) == 2306
    assert set(refused.values()) == {Reason.BAD_ROW}
    assert all("//x" in uri for uri in refused)


@pytest.mark.parametrize("store_server", ["nanio"], indirect=True)
def test_pages_are_asked_for_with_a_signature(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    for key in ("p/b+%# c.mp4", "p/d", "q"):
        bucket.put(key, b"x")
    pages = pages_of(parse_bucket_url(f"{bucket.url}/p/"), store_server.options)
    page = pages.behind(None)
    assert [one["path"] for one in page.objects] == ["p/b+%# c.mp4", "p/d"]
    assert page.is_last
    store, _ = open_store(bucket.url, store_server.options)
    assert [stat_of(one) for one in page.objects] == [stat_of(store.head(one["path"])) for one in page.objects]
    assert [one["path"] for one in pages.behind("p/b+%# c.mp4").objects] == ["p/d"]


@_AZURITE
def test_pages_of_azure_go_on_behind_a_key_one_after_the_other(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    keys = [f"p/{name}" for name in ("a", "b//x", "b0", "c+%# d", "d/", "e")]
    for key in keys:
        bucket.put_exactly(key, b"" if key.endswith("/") else b"x")
    bucket.put("q", b"x")

    def walked(behind: str | None) -> list[str]:
        pages = AzurePages(parse_bucket_url(f"{bucket.url}/p/"), store_server.options, page_objects=2)
        found = []
        while True:
            page = pages.behind(behind)
            found += [one["path"] for one in page.objects]
            if page.is_last:
                return found

    assert walked(None) == keys
    assert walked("p/a") == keys[1:]
    assert walked("p/b0") == keys[3:]
    assert walked("p/e") == []
    with pytest.raises(PageError):
        walked("p/b")
    store, _ = open_store(bucket.url, store_server.options)
    first = AzurePages(parse_bucket_url(f"{bucket.url}/p/"), store_server.options).behind(None).objects[0]
    assert stat_of(first) == stat_of(store.head("p/a"))


@_AZURITE
def test_where_azure_s_pages_cannot_be_had_rows_say_what_is_lost(
    store_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = store_server.make_bucket()
    for key in ("a", "c//x", "d"):
        bucket.put_exactly(key, b"x")
    with wire_to(store_server.port, _always("maxresults=1000", DENIED)) as wire:
        rows = _rows(store_server, bucket.url, wire.port)
    assert rows == [("page", "unreadable"), ("rest", "fetch_failed")]


class Breaking(AzureStore):
    """A container whose first listing breaks off behind its first two objects, and is gone on with in another order."""

    walks = 0
    is_gone = False

    def list(self, *_: object, **__: object) -> Iterator[list[ObjectMeta]]:  # type: ignore[override]
        self.walks += 1
        yield [_object("a/c")] if self.is_gone else [_object("a/c"), _object("a-b")]
        if self.walks == 1:
            raise GenericError("kind: Connect")
        yield [_object("z")]


def _object(path: str) -> ObjectMeta:
    return {"path": path, "size": 1, "last_modified": datetime.now(UTC), "e_tag": path, "version": None}


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_listing_of_azure_goes_on_by_place_and_not_by_comparing_keys(*, is_gone: bool) -> None:
    store = Breaking("container", account_name="archive", skip_signature=True)
    place = parse_bucket_url("az://container/")
    pages = pages_of(place, StoreOptions(account="archive", endpoint="http://127.0.0.1:9", anonymous=True))
    entries = Listing(store, place, Selection((), ()), pages).entries()
    rows = [next(entries), next(entries)]
    store.is_gone = is_gone
    rows += entries
    uris = [row.item.uri if isinstance(row, Refused) else row.uri for row in rows]
    last = "#rest-behind=a-b" if is_gone else "/z"
    assert uris == ["az://container/a/c", "az://container/a-b", f"az://container{last}"]
    assert isinstance(rows[-1], Refused) is is_gone


@_MOTO
def test_a_page_that_cannot_be_had_is_said_in_a_row(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    for key in ("c//x", "d", "z"):
        bucket.put_exactly(key, b"x")
    denied = _always("encoding-type", DENIED)
    with wire_to(store_server.port, denied) as wire:
        rows = _rows(store_server, bucket.url, wire.port)
    assert rows == [("page", "unreadable"), ("d", ""), ("z", "")]


def _always(wanted: str, answer: bytes) -> Callable[[str], Fault | None]:
    return lambda head: Fault(answer=answer) if wanted in head.partition("\r\n")[0] else None


@_MOTO
def test_a_busy_store_is_asked_for_a_page_again(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    for key in ("c//x", "d"):
        bucket.put_exactly(key, b"x")
    busy = [Fault(answer=SLOW_DOWN)]
    with wire_to(store_server.port, lambda head: busy.pop() if busy and "encoding-type" in head else None) as wire:
        assert _rows(store_server, bucket.url, wire.port) == [("c//x", "bad_row"), ("d", "")]


@given(st.text(st.sampled_from("a0./- \x01~")))
def test_the_first_name_behind_a_bad_key_is_behind_all_with_its_bad_beginning(key: str) -> None:
    behind = _behind_bad_key(key)
    if behind:
        assert behind > key
        assert "//" not in behind
        assert behind.isprintable()


@_MOTO
def test_a_listing_that_breaks_off_says_so_in_a_row(store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a", b"x")
    gone = b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    faults = iter([None])
    with wire_to(store_server.port, lambda _head: next(faults, Fault(answer=gone))) as wire:
        source = opened(bucket.url, SourceOptions(store=store_server.through(wire.port)))
        (entry,) = source.entries()
    assert isinstance(entry, Refused)
    assert entry.status is Status.FAILED
    assert entry.shortfall.reason is Reason.FETCH_FAILED
    assert "run the scan again" in entry.shortfall.detail
    assert entry.item.uri == entry.item.identity == f"{bucket.url}#rest"


def test_the_first_entries_come_before_the_rest_is_listed() -> None:
    with many_objects(10_000) as endpoint, wire_to(int(endpoint.rpartition(":")[2])) as wire:
        store = StoreOptions(endpoint=f"http://127.0.0.1:{wire.port}", anonymous=True)
        entries = opened("s3://archive/media", SourceOptions(store=store)).entries()
        assert len([next(entries) for _ in range(500)]) == 500
        assert len(wire.requests) == 2  # the first page, to see whether there is anything, and to go through it
        assert len(list(entries)) == 9_500
        assert len(wire.requests) == 12  # the last one, to see that the store did not end early


def test_a_store_that_ends_early_is_said_in_a_row() -> None:
    with many_objects(1500, knows_v2=False) as endpoint:
        store = StoreOptions(endpoint=endpoint, anonymous=True)
        *objects, last = opened("s3://archive/media", SourceOptions(store=store)).entries()
    assert len(objects) == 1000
    assert isinstance(last, Refused)
    assert "ListObjectsV2" in last.shortfall.detail
    assert last.status is Status.FAILED


_LISTER = """
import asyncio, json, resource, sys
from batch_scan.source.globs import Selection
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.source.store_page import PageError
from batch_scan.store import StoreOptions, open_store, parse_bucket_url

source = asyncio.run(open_source("s3://archive/media", SourceOptions(
    store=StoreOptions(endpoint=sys.argv[1], anonymous=True), exclude=("*.txt",))))
entries = source.entries()
first = next(entries)
before = resource.getrusage(resource.RUSAGE_SELF)
count = 1 + sum(1 for _ in entries)
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "count": count, "first": first.uri,
    "grown_kib": after.ru_maxrss - before.ru_maxrss, "peak_kib": after.ru_maxrss,
    "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
}))
"""


def test_a_listing_of_a_hundred_thousand_objects_streams() -> None:
    with many_objects(100_000) as endpoint:
        done = subprocess.run([sys.executable, "-c", _LISTER, endpoint], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["count"] == 100_000
    assert said["first"] == "s3://archive/media/00000000.mp4"
    assert said["grown_kib"] < 30_000, said
    assert said["cpu_s"] < 30, said
