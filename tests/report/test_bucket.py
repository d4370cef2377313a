from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import UsageError
from batch_scan.report.bucket import RemoteStore
from batch_scan.report.place import check_report_place
from batch_scan.report.store import TOP, publish_bytes
from batch_scan.report.writer import ReportWriter
from batch_scan.store import StoreOptions, open_store, parse_bucket_url
from tests.report import made

if TYPE_CHECKING:
    from tests.report.buckets import Bucket, Line

KEY = PurePosixPath("files/part")


def test_a_store_that_throttles_is_asked_again(bucket: Bucket, line: Line) -> None:
    line.refuse = lambda asked: asked.method == "PUT" and asked.number <= 6  # more than obstore itself asks again
    publish_bytes(bucket.place(endpoint=line.url), KEY, b"whole")
    assert line.count("PUT") == 7
    assert bucket.place().keys(TOP) == [KEY]


def test_a_store_that_stays_busy_is_one_sentence(bucket: Bucket, line: Line) -> None:
    line.refuse = lambda asked: asked.method == "PUT"
    with pytest.raises(OSError, match="the store is busy or broken") as caught:
        publish_bytes(bucket.place(endpoint=line.url, patience_s=0.0), KEY, b"whole")
    assert caught.value.strerror == "the store is busy or broken (HTTP 503, SlowDown)"


def test_what_is_refused_is_not_asked_again(bucket: Bucket, line: Line) -> None:
    line.deny = lambda asked: asked.method == "PUT"
    with pytest.raises(OSError, match="they do not permit it"):
        publish_bytes(bucket.place(endpoint=line.url), KEY, b"whole")
    assert line.count("PUT") == 1


def test_an_upload_that_fails_is_aborted_and_shows_nothing(bucket: Bucket, line: Line) -> None:
    line.deny = lambda asked: "partNumber=2" in asked.path
    with pytest.raises(OSError, match="they do not permit it"):
        publish_bytes(bucket.place(endpoint=line.url), KEY, b"x" * (20 << 20))
    assert line.count("POST", "uploads") == 1
    assert bucket.place().keys(TOP) == []
    assert bucket.uploads() == []


def test_of_a_large_object_only_what_is_wanted_is_fetched(bucket: Bucket, line: Line) -> None:
    publish_bytes(bucket.place(), KEY, bytes(32 << 20))
    with bucket.place(endpoint=line.url).open(KEY) as file:
        file.seek(-100, 2)
        assert file.read() == bytes(100)
    assert (line.count("HEAD"), line.count("GET")) == (1, 1)


def test_a_bucket_with_other_things_or_none_is_refused(bucket: Bucket) -> None:
    place = bucket.place()
    check_report_place(place)
    publish_bytes(place, TOP / ".lease.json", b"{}")
    check_report_place(place)
    publish_bytes(place, TOP / "holiday.mp4", b"")
    with pytest.raises(UsageError, match=r"reports holds other things \('holiday\.mp4'\); choose an empty prefix"):
        check_report_place(place)
    ReportWriter(place, made.run())
    check_report_place(place)
    publish_bytes(place, TOP / "files" / "own.csv", b"")
    with pytest.raises(UsageError, match=r"reports/files holds other things \('own\.csv'\)"):
        check_report_place(place)


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket) -> None:
    uri = "s3://no-such-bucket/reports"
    store, _ = open_store(uri, StoreOptions(endpoint=bucket.url))
    with pytest.raises(UsageError, match=r"^s3://no-such-bucket cannot be listed: there is no such bucket"):
        check_report_place(RemoteStore(store, parse_bucket_url(uri)))
