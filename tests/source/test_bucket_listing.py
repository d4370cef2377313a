from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.model import Refused
from batch_scan.source.bucket_listing import _behind_bad_key
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.store import StoreOptions
from batch_scan.vocabulary import Reason, Status
from tests.source.many import many_objects
from tests.source.wire import Fault, wire_to

if TYPE_CHECKING:
    from tests.source.stores import StoreServer

_MOTO = pytest.mark.parametrize("store_server", ["moto"], indirect=True)


def _rows(server: StoreServer, url: str, port: int = 0) -> list[tuple[str, str]]:
    """Return every entry's key below the bucket, and why it is refused."""
    source = open_source(url, SourceOptions(store=server.through(port or server.port)))
    rows = []
    for entry in source.entries():
        item, why = (entry.item, entry.shortfall.reason) if isinstance(entry, Refused) else (entry, "")
        rows.append((item.uri.partition("//")[2].partition("/")[2], str(why)))
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


@_MOTO
@pytest.mark.parametrize("bad", ["c//x", "c/../x", "./x", "c/..", "c\x01x"])
def test_a_key_that_cannot_be_named_hides_nothing_behind_it(store_server: StoreServer, bad: str) -> None:
    bucket = store_server.make_bucket()
    bucket.put_exactly(bad, b"x")
    for key in ("c0", "c/0", "c/..0", "d/e", "z"):
        bucket.put(key, b"x")
    rows = _rows(store_server, bucket.url)
    assert rows[0] == ("", "unreadable")
    behind = sorted(key for key in ("c0", "c/0", "c/..0", "d/e", "z") if key > bad)
    assert [key for key, _ in rows[1:]] == behind
    assert not any(why for _, why in rows[1:])


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
        source = open_source(bucket.url, SourceOptions(store=store_server.through(wire.port)))
        (entry,) = source.entries()
    assert isinstance(entry, Refused)
    assert entry.status is Status.FAILED
    assert entry.shortfall.reason is Reason.FETCH_FAILED
    assert "run the scan again" in entry.shortfall.detail
    assert entry.item.uri == source.uri


def test_the_first_entries_come_before_the_rest_is_listed() -> None:
    with many_objects(10_000) as endpoint, wire_to(int(endpoint.rpartition(":")[2])) as wire:
        store = StoreOptions(endpoint=f"http://127.0.0.1:{wire.port}", anonymous=True)
        entries = open_source("s3://archive/media", SourceOptions(store=store)).entries()
        assert len([next(entries) for _ in range(500)]) == 500
        assert len(wire.requests) == 2  # the first page, to see whether there is anything, and to go through it
        assert len(list(entries)) == 9_500
        assert len(wire.requests) == 11


_LISTER = """
import json, resource, sys
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.store import StoreOptions

source = open_source("s3://archive/media", SourceOptions(
    store=StoreOptions(endpoint=sys.argv[1], anonymous=True), exclude=("*.txt",)))
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
