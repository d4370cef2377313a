"""A report at Azure and Google keeps the promises of one at S3."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb
import pandas as pd
import pytest
from obstore.fsspec import FsspecStore

from batch_scan.errors import BatchScanError, LockedError
from batch_scan.report.lease import KEY, USUAL, Lease, Terms
from batch_scan.report.lease_holding import hold_lease
from batch_scan.report.reader import open_report
from batch_scan.report.schema import Table
from batch_scan.report.store import TOP, publish_bytes
from tests.report.buckets import Line
from tests.report.clouds import CLOUDS, bucket_of
from tests.report.killing import assert_as_if_left_alone, start
from tests.report.meanwhile import assert_whole_while_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.report.buckets import Bucket

OVER = Terms(holds_s=0.001, renews_s=60.0)


@pytest.fixture(scope="module", params=CLOUDS)
def at_cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket_of(request.param, tmp_path_factory.mktemp("data")) as bucket:
        yield bucket


@pytest.fixture
def bucket(at_cloud: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A prefix of its own for one test, and the keys to it in the environment."""
    for name, value in at_cloud.keys.items():
        monkeypatch.setenv(name, value)
    return replace(at_cloud, prefix=f"{uuid4().hex[:12]}/reports")


def taken(bucket: Bucket, owner: str, terms: Terms = USUAL) -> Lease:
    lease = Lease(bucket.place(), owner, f"run of {owner}", terms)
    lease.take()
    return lease


def test_a_second_run_is_refused_until_the_first_ends_or_its_lease_runs_out(bucket: Bucket) -> None:
    first = taken(bucket, "one")
    first.renew()
    with pytest.raises(LockedError, match="run of one"):
        taken(bucket, "two")
    first.release()
    second = taken(bucket, "two", OVER)
    third = taken(bucket, "three")
    with pytest.raises(BatchScanError, match="was lost to process"):
        second.renew()
    second.release()
    with pytest.raises(LockedError, match="run of three"):
        taken(bucket, "two")
    taken(bucket, "three").renew()
    third.release()


async def test_a_lease_that_somebody_overwrote_is_said_to_be_lost(bucket: Bucket) -> None:
    lost: asyncio.Queue[str] = asyncio.Queue()
    often = Terms(holds_s=300.0, renews_s=0.02)
    async with hold_lease(bucket.place(), "one", "run", lost.put_nowait, terms=often):
        publish_bytes(bucket.place(), KEY, b"{}")
        assert "was lost to another process" in await asyncio.wait_for(lost.get(), 30)


def test_an_object_above_the_size_of_a_chunk_appears_whole_and_is_read_in_ranges(bucket: Bucket) -> None:
    content = os.urandom(1 << 20) * 20
    publish_bytes(bucket.place(), TOP / "large", content)
    with bucket.place().open(TOP / "large") as file:
        file.seek(-100, 2)
        assert file.read() == content[-100:]
        file.seek(0)
        assert file.read() == content
    bucket.place().delete(TOP / "large")
    assert bucket.place().keys(TOP) == []


def filesystem_of(bucket: Bucket) -> Any:
    """What comes with obstore; it takes the rest from the environment."""
    make: Any = FsspecStore
    where = {"az": {"endpoint": bucket.url}, "gs": {"base_url": bucket.url}}[bucket.scheme]
    return make(bucket.scheme, **where, client_options={"allow_http": True})


def test_readers_see_whole_parts_at_every_moment_of_a_run(bucket: Bucket) -> None:
    path, filesystem = f"{bucket.uri.partition('//')[2]}/files", filesystem_of(bucket)

    def read() -> pd.DataFrame:
        parts = sorted(filesystem.find(path))
        return pd.concat(pd.read_parquet(f"{bucket.scheme}://{part}", filesystem=filesystem) for part in parts)

    assert_whole_while_written(bucket.place(), 24, read)
    assert len(pd.read_parquet(path, filesystem=filesystem)) == 24
    parts = [f"{bucket.scheme}://{part}" for part in filesystem.find(path)]
    with duckdb.connect() as connection:
        connection.register_filesystem(filesystem)
        assert connection.execute("SELECT count(*) FROM read_parquet(?)", [parts]).fetchall() == [(24,)]


@pytest.mark.parametrize("puts", [2, 7, 12])
def test_a_run_killed_while_it_puts_ends_with_the_rows_of_one_left_alone(
    bucket: Bucket, tmp_path: Path, puts: int
) -> None:
    with Line(bucket.url) as line:
        line.hold = lambda asked: asked.method == "PUT" and asked.number == puts
        line.deny = line.hold  # what was under way when it was killed never arrives
        with start(bucket, line.url) as child:
            assert line.holding.wait(60)
            child.kill()
            said = [int(word) for word in child.communicate()[0].split()]
        assert child.returncode == -signal.SIGKILL
    if bucket.place().names(TOP / Table.FILES.value):
        assert len(open_report(bucket.uri, bucket.options).files()) == max(said, default=0)
    with start(bucket, bucket.url) as child:
        child.communicate()
    assert child.returncode == 0
    assert_as_if_left_alone(bucket, tmp_path)
