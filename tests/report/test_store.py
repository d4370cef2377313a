"""What every place of a report does, whatever it is."""

from __future__ import annotations

import errno
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import pytest

from batch_scan.errors import UsageError
from batch_scan.report.directory import DirectoryStore
from batch_scan.report.open import open_place
from batch_scan.report.store import TOP, locate, publish_bytes, store_of

if TYPE_CHECKING:
    from batch_scan.report.store import ReportStore
    from tests.report.buckets import Bucket

KEY = PurePosixPath("files/run_id=x/part-00000.parquet")


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReportStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "reports")
    bucket: Bucket = request.getfixturevalue("bucket")
    return open_place(bucket.uri, bucket.options)


def read(store: ReportStore, key: PurePosixPath) -> bytes:
    with store.open(key) as file:
        data: bytes = file.read()
        return data


def test_a_place_that_is_not_there_yet_holds_nothing(store: ReportStore) -> None:
    store.reach()
    assert store.keys(TOP) == []
    assert store.names(TOP) == set()
    assert not store.exists(KEY)
    store.delete(KEY)
    store.sweep(KEY.parent)
    with pytest.raises(FileNotFoundError):
        store.open(KEY)


def test_what_is_published_is_found_by_its_key_and_below_others(store: ReportStore) -> None:
    publish_bytes(store, KEY, b"first")
    publish_bytes(store, PurePosixPath("filesystem/x"), b"")
    publish_bytes(store, PurePosixPath("top.txt"), b"second")
    assert read(store, KEY) == b"first"
    assert store.exists(KEY)
    assert not store.exists(KEY.parent)
    assert store.names(TOP) == {"files", "filesystem", "top.txt"}
    assert store.names(TOP / "files") == {"run_id=x"}
    assert store.keys(TOP / "files") == [KEY]
    assert [str(key) for key in store.keys(TOP)] == [str(KEY), "filesystem/x", "top.txt"]
    store.delete(KEY)
    assert store.keys(TOP / "files") == []


def test_nothing_shows_before_it_is_published_and_then_it_replaces_what_was_there(store: ReportStore) -> None:
    publish_bytes(store, KEY, b"old")
    staged = [store.stage(key, lambda file: file.write(b"new")) for key in (KEY, KEY.with_name("other"))]
    assert (read(store, KEY), store.exists(KEY.with_name("other"))) == (b"old", False)
    store.publish(staged)
    assert read(store, KEY) == read(store, KEY.with_name("other")) == b"new"
    for file in staged:
        file.discard()
    assert read(store, KEY) == b"new"


def test_what_is_given_up_never_shows(store: ReportStore) -> None:
    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.stage(KEY, fail)
    store.stage(KEY, lambda file: file.write(b"whole")).discard()
    assert store.keys(TOP) == []


def test_a_large_file_is_read_at_any_position(store: ReportStore) -> None:
    data = b"".join(number.to_bytes(4) for number in range(3_000_000))  # more than one chunk of an upload
    publish_bytes(store, KEY, data)
    with store.open(KEY) as file:
        assert file.size() == len(data)
        file.seek(-8, 2)
        assert file.read() == data[-8:]
        assert file.read() == b""
        file.seek(9_000_000)
        assert file.read(12) == data[9_000_000:9_000_012]
        assert file.tell() == 9_000_012
        file.seek(-12, 1)
        assert file.read(4) == data[9_000_000:9_000_004]


def test_a_path_is_the_place_of_its_directory(tmp_path: Path, store: ReportStore) -> None:
    assert store_of(tmp_path) == open_place(str(tmp_path)) == DirectoryStore(tmp_path)
    assert store_of(store) is store
    assert locate(store, KEY) == f"{store.uri}/{KEY}"


@pytest.mark.parametrize("uri", ["https://example.org/reports", "sftp://host/reports", "s3://", "s3://a bucket/x"])
def test_a_place_that_holds_no_reports_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=r"holds no report|names no bucket"):
        open_place(uri)
