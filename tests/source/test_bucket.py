from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest

from batch_scan.errors import UsageError
from batch_scan.model import Item, Refused
from batch_scan.source.bucket_fetch import BucketFiles
from batch_scan.source.options import SourceOptions
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.store import StoreOptions
from batch_scan.vocabulary import Reason, Status
from tests.source.contract import Case, SourceContract, only_item, only_refused
from tests.source.opening import opened
from tests.source.wire import SLOW_DOWN, Fault, wire_to

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.source.interface import Source
    from tests.source.stores import Bucket, StoreServer

_EVERY = pytest.mark.parametrize("store_server", ["moto", "nanio", "fake_gcs", "azurite"], indirect=True)
_MOTO = pytest.mark.parametrize("store_server", ["moto"], indirect=True)
_CONTENTS = {"a.mp4": b"first" * 100_000, "b c.mp4": b"second", "d/e-[f].mp4": b"third"}


def _options(server: StoreServer, scratch: Path, **more: Any) -> SourceOptions:
    return SourceOptions(store=server.options, scratch=scratch, **more)


def _filled(server: StoreServer) -> Bucket:
    bucket = server.make_bucket()
    for key, content in {**_CONTENTS, "empty.mp4": b"", "x.txt": b"words"}.items():
        bucket.put(f"2026/{key}", content)
    bucket.put("2026-old/z.mp4", b"elsewhere")
    return bucket


def _keys(source: Source) -> list[str]:
    return [entry.uri.partition("//")[2].partition("/")[2] for entry in source.entries() if isinstance(entry, Item)]


@_EVERY
class TestPrefix(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path, store_server: StoreServer) -> Case:
        bucket = _filled(store_server)
        source = opened(f"{bucket.url}/2026/", _options(store_server, tmp_path, exclude=("*.txt",)))
        return Case(source, list(_CONTENTS.values()), [Reason.EMPTY, Reason.EXCLUDED], tmp_path)


@_EVERY
class TestRows(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path, store_server: StoreServer) -> Case:
        bucket = _filled(store_server)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        keys = [*(f"2026/{key}" for key in _CONTENTS), "2026/empty.mp4", "2026/x.txt", "2026/none.mp4", "2026/", ""]
        rows = [json.dumps({"uri": f"{bucket.url}/{key}"}) for key in keys]
        (tmp_path / "m.jsonl").write_text("\n".join(rows))
        source = opened(str(tmp_path / "m.jsonl"), _options(store_server, scratch, exclude=("*.txt",)))
        refused = [Reason.EMPTY, Reason.EXCLUDED, Reason.MISSING, Reason.BAD_ROW, Reason.BAD_ROW]
        return Case(source, list(_CONTENTS.values()), refused, scratch)


@_EVERY
def test_what_the_listing_says_makes_asking_again_needless(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a.mp4", b"content")
    with wire_to(store_server.port) as wire:
        source = opened(bucket.url, SourceOptions(store=store_server.through(wire.port), scratch=tmp_path))
        item = only_item(source)
        listed = len(wire.requests)
        stat = source.stat(item)
        assert len(wire.requests) == listed
        assert stat is not None
        assert stat.version
        assert abs(stat.modified_ns / 1e9 - datetime.now(UTC).timestamp()) < 300
        assert item.uri == item.identity == f"{bucket.url}/a.mp4"
        bucket.put("a.mp4", b"CONTENT")
        assert source.stat(only_item(source)) != stat


@_EVERY
def test_a_row_and_a_listing_say_the_same_of_an_object(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a.mp4", b"content")
    (tmp_path / "m.csv").write_text(f"uri\n{bucket.url}/a.mp4\n")
    options = _options(store_server, tmp_path)
    row, listed = only_item(opened(str(tmp_path / "m.csv"), options)), only_item(opened(bucket.url, options))
    assert row.stat == listed.stat
    assert row.uri == listed.uri


@pytest.mark.parametrize("store_server", ["moto", "fake_gcs", "azurite"], indirect=True)
async def test_odd_keys_are_listed_and_fetched_as_they_are(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    keys = ["#1?.mp4", "+ &=.mp4", "100%.mp4", "a%20b.mp4", "\N{SNOWMAN}/\N{COMBINING ACUTE ACCENT}.mp4"]
    for key in keys:
        bucket.put(key, key.encode())
    source = opened(bucket.url, _options(store_server, tmp_path))
    assert _keys(source) == sorted(keys)
    for entry in source.entries():
        assert isinstance(entry, Item)
        async with source.fetch(entry) as path:
            assert path.read_bytes() == entry.uri.partition("//")[2].partition("/")[2].encode()


# ------------------------------------------------------------------------------------------------- what is not there


@pytest.mark.parametrize(
    ("store_server", "wrong"),
    [
        ("nanio", {"AWS_SECRET_ACCESS_KEY": "hunter3"}),
        ("nanio", {"AWS_ACCESS_KEY_ID": "hunter3"}),
        ("azurite", {"AZURE_STORAGE_ACCOUNT_KEY": "aHVudGVyMw=="}),
        ("azurite", {"AZURE_STORAGE_ACCOUNT_KEY": "hunter3"}),
    ],
    indirect=["store_server"],
)
@pytest.mark.parametrize("named_by", ["prefix", "row"])
def test_wrong_credentials_are_named_before_anything_starts(
    tmp_path: Path, store_server: StoreServer, wrong: dict[str, str], named_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _filled(store_server)
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "m.csv").write_text(f"uri\n{bucket.url}/2026/a.mp4\n")
    with pytest.raises(UsageError, match=r"credentials|variables") as caught:
        opened(str(tmp_path / "m.csv") if named_by == "row" else bucket.url, _options(store_server, tmp_path))
    assert bucket.url in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("store_server", ["moto", "azurite"], indirect=True)
def test_no_credentials_at_all_are_named_before_anything_starts(
    tmp_path: Path, store_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _filled(store_server)
    for name in store_server.env:
        if "KEY" in name:
            monkeypatch.delenv(name)
    with wire_to(
        store_server.port, lambda _head: Fault(answer=b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    ) as wire:
        # In place of the metadata service that a machine in the cloud would ask last.
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{wire.port}")
        monkeypatch.setenv("AZURE_MSI_ENDPOINT", f"http://127.0.0.1:{wire.port}/token")
        with pytest.raises(UsageError, match=r"no credentials were found.*; set A[A-Z_]+KEY") as caught:
            opened(bucket.url, _options(store_server, tmp_path))
    assert "anonymous = true" in str(caught.value)


# fake-gcs-server answers 500 to this.
@pytest.mark.parametrize("store_server", ["moto", "nanio", "azurite"], indirect=True)
def test_a_bucket_that_is_not_there_is_named_before_anything_starts(tmp_path: Path, store_server: StoreServer) -> None:
    url = f"{store_server.scheme}://no-such-bucket"
    with pytest.raises(UsageError, match=r"cannot be listed: there is no such bucket .*check the name"):
        opened(url, _options(store_server, tmp_path))


@_EVERY
def test_a_prefix_without_objects_is_an_error_and_not_a_clean_archive(
    tmp_path: Path, store_server: StoreServer
) -> None:
    bucket = _filled(store_server)
    with pytest.raises(UsageError, match=f"there is no object below {bucket.url}/20/"):
        opened(f"{bucket.url}/20", _options(store_server, tmp_path))


def test_a_server_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    options = SourceOptions(store=StoreOptions(endpoint="http://127.0.0.1:1", anonymous=True), scratch=tmp_path)
    with pytest.raises(UsageError, match="no connection to the store; check the endpoint"):
        opened("s3://archive", options)


@_MOTO
def test_a_public_bucket_is_read_without_credentials(
    tmp_path: Path, store_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _filled(store_server)
    for name in store_server.env:
        monkeypatch.delenv(name)
    with wire_to(store_server.port) as wire:
        store = StoreOptions(endpoint=f"http://127.0.0.1:{wire.port}", anonymous=True)
        assert _keys(opened(bucket.url, SourceOptions(store=store, scratch=tmp_path)))
    assert not any("authorization" in request.lower() for request in wire.requests)


@_MOTO
def test_a_profile_gives_the_credentials(
    tmp_path: Path, store_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _filled(store_server)
    for name in store_server.env:
        monkeypatch.delenv(name)
    profile = "[archive]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = hunter2\nregion = eu-north-1\n"
    (tmp_path / "credentials").write_text(profile)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "archive")
    with wire_to(store_server.port) as wire:
        store = StoreOptions(endpoint=f"http://127.0.0.1:{wire.port}")
        assert _keys(opened(bucket.url, SourceOptions(store=store, scratch=tmp_path)))
    asked = [unquote(request) for request in wire.requests]  # one of them is signed in its URL
    assert all("AKIDPROFILE/" in request and "/eu-north-1/" in request for request in asked)


@_MOTO
def test_a_profile_that_is_not_there_is_named_before_anything_starts(
    tmp_path: Path, store_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="the profile 'nobody' of AWS cannot be used"):
        opened("s3://archive", _options(store_server, tmp_path))


# ------------------------------------------------------------------------------------------------------ what is wanted


@_EVERY
def test_patterns_match_what_stands_behind_the_prefix(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _filled(store_server)
    options = _options(store_server, tmp_path, include=("/d/*", "b*"), exclude=("2026",))
    assert _keys(opened(f"{bucket.url}/2026", options)) == ["2026/b c.mp4", "2026/d/e-[f].mp4"]


@_EVERY
def test_what_was_not_modified_since_is_skipped(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a.mp4", b"content")
    for after, wanted in ((datetime.now(UTC) + timedelta(hours=1), False), (datetime.now(UTC) - timedelta(1), True)):
        source = opened(bucket.url, _options(store_server, tmp_path, modified_after=after))
        (entry,) = source.entries()
        assert isinstance(entry, Item) == wanted
        if isinstance(entry, Refused):
            assert entry.status is Status.SKIPPED
            assert "source.modified_after" in entry.shortfall.detail


@_MOTO
def test_rows_name_only_buckets_that_are_allowed(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _filled(store_server)
    (tmp_path / "m.csv").write_text(f"uri\n{bucket.url}/2026/a.mp4\n")
    allowed = opened(str(tmp_path / "m.csv"), _options(store_server, tmp_path, allow_buckets=("s3://bucket-*",)))
    assert only_item(allowed).stat is not None
    others = _options(store_server, tmp_path, allow_buckets=("s3://archive/", "gs://bucket-*"))
    refused = only_refused(opened(str(tmp_path / "m.csv"), others))
    assert refused.shortfall.reason is Reason.HOST_REFUSED
    with pytest.raises(UsageError, match=r"source\.allow_buckets: 'archive' is not a bucket"):
        opened(str(tmp_path / "m.csv"), _options(store_server, tmp_path, allow_buckets=("archive",)))


def test_a_row_may_not_name_a_stranger_s_account(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("uri\nabfss://media@stranger.dfs.core.windows.net/a.mp4\n")
    refused = only_refused(opened(str(tmp_path / "m.csv"), SourceOptions(scratch=tmp_path)))
    assert refused.shortfall.reason is Reason.HOST_REFUSED


@_MOTO
def test_a_row_with_a_signature_is_bad_and_does_not_show_it(tmp_path: Path, store_server: StoreServer) -> None:
    (tmp_path / "m.csv").write_text("uri\naz://media/a.mp4?sv=2023&sig=hunter2\ns3://key:hunter2@archive/a.mp4\n")
    for entry in opened(str(tmp_path / "m.csv"), _options(store_server, tmp_path)).entries():
        assert isinstance(entry, Refused)
        assert entry.shortfall.reason is Reason.BAD_ROW
        assert "hunter2" not in repr(entry)


# -------------------------------------------------------------------------------------------------------- signed URLs


@pytest.mark.parametrize("store_server", ["moto", "nanio", "azurite"], indirect=True)
def test_a_signed_url_gives_the_object_to_who_has_no_credentials(
    tmp_path: Path, store_server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = store_server.make_bucket()
    bucket.put("d/a.mp4", b"content")
    source = opened(bucket.url, _options(store_server, tmp_path, sign_urls_s=900.0))
    item = only_item(source)
    url = source.url(item)
    assert httpx.get(url).content == b"content"
    assert httpx.get(url.replace("d/a", "d/b")).status_code != 200
    assert source.url(item) == url
    assert "sig" in url.lower()
    assert "sig" not in repr(item).lower() + caplog.text.replace(url, "").lower()
    assert opened(bucket.url, _options(store_server, tmp_path)).url(item) == ""


@pytest.mark.parametrize(
    ("store_server", "is_signed"), [("moto", True), ("nanio", True), ("azurite", False)], indirect=["store_server"]
)
def test_a_signed_url_is_given_only_where_the_store_takes_it(
    tmp_path: Path, store_server: StoreServer, is_signed: object, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = store_server.make_bucket()
    bucket.put("a b.mp4", b"content")
    source = opened(bucket.url, _options(store_server, tmp_path, sign_urls_s=900.0))
    url = source.url(only_item(source))
    assert bool(url) is is_signed
    assert ("no signed URL can be made" in caplog.text) is not is_signed
    if url:
        assert httpx.get(url).content == b"content"


@pytest.mark.parametrize("store_server", ["azurite"], indirect=True)
def test_credentials_that_cannot_sign_are_named_once_and_all_is_uploaded(
    tmp_path: Path, store_server: StoreServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared access signature makes no other, and is never handed on itself."""
    bucket = store_server.make_bucket()
    for key in ("a.mp4", "b.mp4"):
        bucket.put(key, b"content")
    source = opened(bucket.url, _options(store_server, tmp_path, sign_urls_s=900.0))
    items = [entry for entry in source.entries() if isinstance(entry, Item)]
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2023-11-03&sig=hunter2")
    options = _options(store_server, tmp_path, sign_urls_s=900.0)
    signed = BucketFiles(options, ScratchRoom(options))
    assert [signed.url(item) for item in items] == ["", ""]
    assert len(items) == 2
    assert caplog.text.count("no signed URL can be made: these credentials cannot sign") == 1
    assert "hunter2" not in caplog.text


@_MOTO
def test_a_store_that_is_busy_at_first_is_asked_again(tmp_path: Path, store_server: StoreServer) -> None:
    bucket = _filled(store_server)
    busy = iter([Fault(answer=SLOW_DOWN)] * 2)
    with wire_to(store_server.port, lambda _head: next(busy, None)) as wire:
        source = opened(bucket.url, SourceOptions(store=store_server.through(wire.port), scratch=tmp_path))
        assert len(_keys(source)) == 5
