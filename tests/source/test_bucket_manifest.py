"""A manifest in a bucket is read as one on disk is, and its relative rows name what lies beside it there."""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_scan.errors import UsageError
from batch_scan.model import Item, Refused
from batch_scan.source.options import SourceOptions
from batch_scan.vocabulary import Reason
from tests.source.contract import Case, SourceContract, fetch_failure, only_item, only_refused, reasons
from tests.source.opening import opened
from tests.source.wire import Fault, wire_to

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.source.interface import Source
    from tests.source.stores import Bucket, StoreServer

_EVERY = pytest.mark.parametrize("store_server", ["moto", "nanio", "fake_gcs", "azurite"], indirect=True)
_MOTO = pytest.mark.parametrize("store_server", ["moto"], indirect=True)
_CONTENTS = {"a.mp4": b"first", "d/b c.mp4": b"second", "e.mp4": b"third"}


def _opened(bucket: Bucket, key: str, scratch: Path, **more: Any) -> Source:
    scratch.mkdir(exist_ok=True)
    options = {"store": bucket.server.options, "scratch": scratch, **more}
    return opened(f"{bucket.url}/{key}", SourceOptions(**options))


def _put(bucket: Bucket, key: str, *rows: str) -> None:
    bucket.put(key, "\n".join(["uri", *rows]).encode())


@_EVERY
class TestManifest(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path, store_server: StoreServer) -> Case:
        bucket = store_server.make_bucket()
        for key, content in {**_CONTENTS, "x.txt": b"words", "empty.mp4": b""}.items():
            bucket.put(f"2026/{key}", content)
        rows = ["./a.mp4", "d//../d/b c.mp4", f"{bucket.url}/2026/e.mp4", "empty.mp4", "x.txt", "none.mp4", "d/", ""]
        rows += ["../2025/a.mp4", "/etc/hostname", "file:///etc/hostname", "https://media.example.org/a.mp4"]
        bucket.put("2026/m.jsonl", "\n".join(json.dumps({"uri": row}) for row in rows).encode())
        refused = [Reason.EMPTY, Reason.EXCLUDED, Reason.MISSING, Reason.BAD_ROW, Reason.BAD_ROW]
        refused += [Reason.OUTSIDE_ROOT] * 3 + [Reason.HOST_REFUSED]
        source = _opened(bucket, "2026/m.jsonl", tmp_path / "scratch", exclude=("/x.txt",))
        return Case(source, list(_CONTENTS.values()), refused, tmp_path / "scratch")


def _table(kind: str) -> bytes:
    if kind.startswith("parquet"):
        buffer = io.BytesIO()
        pq.write_table(pa.table({"path": ["a.mp4"], "title": ["One"]}), buffer)
        return buffer.getvalue()
    text = b"title\tpath\nOne\ta.mp4\n" if "tsv" in kind else b"title,path\nOne,a.mp4\n"
    text = b'{"path": "a.mp4", "title": "One"}\n' if "json" in kind else text
    return gzip.compress(text, mtime=0) if kind.endswith(".gz") else text


@_MOTO
@pytest.mark.parametrize("kind", ["csv", "CSV", "csv.gz", "tsv", "jsonl", "ndjson.gz", "parquet"])
def test_every_format_is_read_there_too(tmp_path: Path, store_server: StoreServer, kind: str) -> None:
    bucket = store_server.make_bucket()
    bucket.put(f"m.{kind}", _table(kind.lower()))
    bucket.put("a.mp4", b"content")
    source = _opened(bucket, f"m.{kind}", tmp_path)
    item = only_item(source)
    assert (item.uri, item.manifest) == (f"{bucket.url}/a.mp4", {"title": "One"})
    assert (source.uri, source.total()) == (f"{bucket.url}/m.{kind}", 1)
    (tmp_path / f"m.{kind}").write_bytes(_table(kind.lower()))
    assert source.sha256 == opened(str(tmp_path / f"m.{kind}"), SourceOptions()).sha256


@_MOTO
def test_rows_elsewhere_need_to_be_permitted_and_those_beside_it_do_not(
    tmp_path: Path, store_server: StoreServer
) -> None:
    bucket, other = store_server.make_bucket(), store_server.make_bucket()
    for one in (bucket, other):
        one.put("2026/a.mp4", b"content")
    _put(bucket, "2026/m.csv", "a.mp4", f"{bucket.url}/2026/a.mp4", f"{bucket.url}/a.mp4", f"{other.url}/2026/a.mp4")
    only_another = _opened(bucket, "2026/m.csv", tmp_path, allow_buckets=(other.url,))
    assert reasons(only_another) == [None, None, Reason.HOST_REFUSED, None]
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "b.mp4").write_bytes(b"content")
    _put(bucket, "m.csv", str(tmp_path / "archive" / "b.mp4"), "/etc/hostname", "b.mp4")
    rooted = _opened(bucket, "m.csv", tmp_path, root=tmp_path / "archive")
    assert reasons(rooted) == [None, Reason.OUTSIDE_ROOT, Reason.MISSING]
    unrooted = next(iter(_opened(bucket, "m.csv", tmp_path).entries()))
    assert isinstance(unrooted, Refused)
    assert "source.root" in unrooted.shortfall.detail


@_MOTO
def test_patterns_match_what_lies_behind_the_manifest_s_prefix(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("2026/d/a.mp4", b"content")
    _put(bucket, "2026/m.csv", "d/a.mp4")
    assert reasons(_opened(bucket, "2026/m.csv", tmp_path, include=("/d/*",))) == [None]
    assert reasons(_opened(bucket, "2026/m.csv", tmp_path, exclude=("2026",))) == [None]


@_MOTO
async def test_it_takes_its_room_in_the_scratch_and_leaves_no_file(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a.mp4", bytes(60))
    _put(bucket, "m.csv", "a.mp4", *[""] * 40)
    source = _opened(bucket, "m.csv", tmp_path / "scratch", scratch_bytes=110)
    assert list((tmp_path / "scratch").iterdir()) == []
    (item,) = [entry for entry in source.entries() if isinstance(entry, Item)]
    async with source.fetch(item) as path:
        assert path.stat().st_size == 60
    failed = await fetch_failure(_opened(bucket, "m.csv", tmp_path / "scratch", scratch_bytes=90), item)
    assert failed.reason is Reason.TOO_LARGE
    with pytest.raises(UsageError, match=r"m\.csv cannot be read: the file has 49 bytes.*raise source\.scratch_bytes"):
        _opened(bucket, "m.csv", tmp_path / "scratch", scratch_bytes=10)


@_MOTO
def test_one_that_is_replaced_while_it_is_fetched_is_refused(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    _put(bucket, "m.csv", "a.mp4")

    def fault(head: str) -> Fault | None:
        if head.startswith("GET"):
            _put(bucket, "m.csv", "b.mp4")
        return None

    with (
        wire_to(store_server.port, fault) as wire,
        pytest.raises(UsageError, match=r"cannot be read: .*replaced"),
    ):
        _opened(bucket, "m.csv", tmp_path, store=store_server.through(wire.port))


@_MOTO
def test_a_prefix_may_be_named_like_a_manifest(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("of.csv/a.mp4", b"content")
    for key in ("of.csv", "of.csv/"):
        assert only_item(_opened(bucket, key, tmp_path)).uri == f"{bucket.url}/of.csv/a.mp4"


@_EVERY
def test_what_is_wrong_with_it_is_said_before_anything_starts(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("columns.csv", b"title\nOne\n")
    bucket.put("empty.csv", b"")
    bucket.put("bad.parquet", b"no such thing")
    bucket.put("bad.csv.gz", gzip.compress(b"uri\na.mp4\n")[:-4])
    for key, says in {
        "columns.csv": "has no column named",
        "empty.csv": "the object has no content",
        "bad.parquet": "is not a readable Parquet file",
        "bad.csv.gz": "cannot be read",
        "none.csv": "there is no object below",
    }.items():
        with pytest.raises(UsageError, match=says) as caught:
            _opened(bucket, key, tmp_path)
        assert f"{bucket.url}/{key}" in str(caught.value)
        assert "/proc/" not in str(caught.value)


@pytest.mark.parametrize("store_server", ["nanio", "azurite"], indirect=True)
def test_wrong_credentials_are_named(
    tmp_path: Path, store_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = store_server.make_bucket()
    _put(bucket, "m.csv", "a.mp4")
    for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.setenv(name, "aHVudGVyMw==")
    with pytest.raises(UsageError, match=r"cannot be read: the store refuses the credentials.*set A[A-Z_]+") as caught:
        _opened(bucket, "m.csv", tmp_path)
    assert bucket.url in str(caught.value)


def test_one_on_a_web_server_is_refused_and_its_secrets_not_shown() -> None:
    with pytest.raises(UsageError, match=r"download it") as caught:
        opened("https://me:hunter2@media.example.org/m.csv?token=hunter2", SourceOptions())
    assert "hunter2" not in str(caught.value)


@_MOTO
@pytest.mark.parametrize("row", ["a.mp4?sv=1&sig=hunter2", "../a.mp4?X-Amz-Signature=hunter2"])
def test_a_relative_row_that_holds_a_signature_is_refused_without_it(
    tmp_path: Path, store_server: StoreServer, row: str
) -> None:
    bucket = store_server.make_bucket()
    _put(bucket, "2026/m.csv", row)
    refused = only_refused(_opened(bucket, "2026/m.csv", tmp_path))
    assert refused.shortfall.reason is Reason.BAD_ROW
    assert "signature" in refused.shortfall.detail
    assert "hunter2" not in f"{refused.item}{refused.shortfall}"


@_MOTO
@pytest.mark.parametrize("url", ["a//m.csv", "a/./m.csv", "./a", "a//b"])
def test_a_key_that_cannot_be_asked_for_is_said_to_be_one(tmp_path: Path, store_server: StoreServer, url: str) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a/b.mp4", b"content")
    with pytest.raises(UsageError, match=r"slashes and nothing between them.*name another one, or rename"):
        _opened(bucket, url, tmp_path)


@_MOTO
def test_a_relative_row_that_leads_out_is_shown_where_it_leads(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    _put(bucket, "2026/m.csv", "../2025/a.mp4")
    refused = only_refused(_opened(bucket, "2026/m.csv", tmp_path))
    assert refused.item.uri == f"{bucket.url}/2026/../2025/a.mp4"
    assert "name it by its whole URL" in refused.shortfall.detail
