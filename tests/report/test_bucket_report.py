"""A report in a bucket is the report in a directory, for who writes it and for whoever reads it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from obstore.fsspec import FsspecStore

from batch_scan.errors import BatchScanError, UsageError
from batch_scan.report.evidence import EvidenceStore
from batch_scan.report.figures import summarise
from batch_scan.report.layout import part_path
from batch_scan.report.open import open_place
from batch_scan.report.reader import open_report
from batch_scan.report.runs import read_run
from batch_scan.report.schema import TABLES, Table
from batch_scan.report.store import TOP, publish_bytes
from batch_scan.report.summary import summary_text
from batch_scan.report.writer import ReportWriter
from tests.report import made
from tests.report.killing import assert_as_if_left_alone, start
from tests.report.meanwhile import assert_whole_while_written

if TYPE_CHECKING:
    from batch_scan.report.store import ReportStore
    from tests.report.buckets import Bucket, Line


def write(place: ReportStore) -> None:
    older = ReportWriter(place, made.run())
    older.add(made.plain(0))
    older.finish(made.run(ended=True))
    newer = ReportWriter(place, made.run(made.LATER_RUN_ID), rows_per_part=3)
    for index in range(8):
        newer.add(made.full(index) if index % 3 else made.plain(index))
    newer.flush()


@pytest.fixture
def written(bucket: Bucket) -> Bucket:
    write(bucket.place())
    return bucket


def arrow_fs(bucket: Bucket) -> pa.fs.S3FileSystem:
    """What comes with pyarrow."""
    return pa.fs.S3FileSystem(
        access_key="tests",
        secret_key="tests-only",
        region="us-east-1",
        scheme="http",
        endpoint_override=urlsplit(bucket.url).netloc,
    )


def path_of(bucket: Bucket, table: Table) -> str:
    return f"{bucket.uri.removeprefix('s3://')}/{table}"


# ------------------------------------------------------------------------------------------------------------- reading


def test_it_reads_back_as_one_in_a_directory(written: Bucket, tmp_path: Path) -> None:
    write(open_place(str(tmp_path)))
    here, there = open_report(tmp_path), open_report(written.uri, written.options)
    assert there.run_ids() == here.run_ids() == [made.RUN_ID, made.LATER_RUN_ID]
    for table in Table:
        for run_id in here.run_ids():
            assert there.arrow(table, run_id).equals(here.arrow(table, run_id))
    assert there.root == written.uri
    assert repr(there) == f"Report({written.uri!r}, run_id='{made.LATER_RUN_ID}')"
    local, remote = summary_text(summarise(here)), summary_text(summarise(there))
    assert remote.replace(written.uri, str(tmp_path)) == local


def test_the_environment_alone_may_say_where_it_is(written: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", written.url)
    assert len(open_report(written.uri + "/").files()) == 8


@pytest.mark.parametrize("path", ["{run}", "runs/run_id={run}", "files/run_id={run}/"])
def test_it_opens_for_a_run_by_its_url(written: Bucket, path: str) -> None:
    report = open_report(f"{written.uri}/{path.format(run=made.RUN_ID)}", written.options)
    assert (report.root, report.run_id) == (written.uri, made.RUN_ID)
    assert report.files()["item"].tolist() == [0]


def test_what_is_no_report_is_said_with_the_mend(written: Bucket) -> None:
    with pytest.raises(UsageError, match=rf"^s3://{written.name}/elsewhere is not a report: it has no table `runs`"):
        open_report(f"s3://{written.name}/elsewhere", written.options)
    with pytest.raises(UsageError, match=f"has no run 20200101T000000Z-000000; its newest is {made.LATER_RUN_ID}"):
        open_report(f"{written.uri}/20200101T000000Z-000000", written.options)
    with pytest.raises(UsageError, match="no such bucket"):
        open_report("s3://no-such-bucket/reports", written.options)
    with pytest.raises(UsageError, match="has no run 20200101T000000Z-000000"):
        read_run(written.place(), "20200101T000000Z-000000")


def test_a_part_that_cannot_be_read_is_named(written: Bucket) -> None:
    publish_bytes(written.place(), part_path(TOP, Table.FILES, made.LATER_RUN_ID, 1), b"not parquet")
    with pytest.raises(BatchScanError, match=r"table `files` of s3://.* cannot be read: .*part-00001\.parquet"):
        open_report(written.uri, written.options).files()
    with pytest.raises(BatchScanError, match=r"^s3://.*part-00001\.parquet cannot be read"):
        ReportWriter(written.place(), made.run(made.LATER_RUN_ID)).published()


@pytest.mark.parametrize("table", Table)
def test_pandas_reads_a_table_with_what_comes_with_pyarrow(written: Bucket, table: Table) -> None:
    frame = pd.read_parquet(path_of(written, table), filesystem=arrow_fs(written))
    assert tuple(frame.columns) == TABLES[table].names
    assert set(frame.run_id) <= {made.RUN_ID, made.LATER_RUN_ID}
    assert len(ds.dataset(path_of(written, table), filesystem=arrow_fs(written)).to_table()) == len(frame)


def test_pandas_and_duckdb_read_it_through_fsspec(written: Bucket) -> None:
    # The adapter that comes with obstore; its patterns do not match names with a scheme, so files are named singly.
    filesystem = FsspecStore("s3", endpoint=written.url, region="us-east-1", client_options={"allow_http": True})
    assert len(pd.read_parquet(path_of(written, Table.FILES), filesystem=filesystem)) == 9
    parts = [f"s3://{path}" for path in filesystem.find(path_of(written, Table.FILES))]
    with duckdb.connect() as connection:
        connection.register_filesystem(filesystem)
        query = "SELECT run_id, count(*) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL"
        rows = connection.execute(query, [parts]).fetchall()
    assert rows == [(made.RUN_ID, 1), (made.LATER_RUN_ID, 8)]


def test_duckdb_reads_it_as_a_dataset_of_arrow(written: Bucket) -> None:
    files = ds.dataset(path_of(written, Table.FILES), filesystem=arrow_fs(written))
    with duckdb.connect() as connection:
        connection.register("files", files)
        assert connection.execute("SELECT count(*) FROM files WHERE findings > 0").fetchall() == [(5,)]


# ------------------------------------------------------------------------------------------------------------- writing


def test_it_is_whole_at_every_moment_of_a_run(bucket: Bucket) -> None:
    def read() -> pd.DataFrame:
        files = pd.read_parquet(path_of(bucket, Table.FILES), filesystem=arrow_fs(bucket))
        report = open_report(bucket.uri, bucket.options)
        told = len(report.files(columns=["uri"]))
        assert len(report.findings(columns=["uri"])) >= 2 * told, "a row of files comes after its details"
        return files

    assert_whole_while_written(bucket.place(), 40, read)
    assert len(open_report(bucket.uri, bucket.options).files()) == 40


@pytest.mark.parametrize("puts", [2, 7, 12])
def test_a_run_killed_while_it_puts_ends_with_the_rows_of_one_left_alone(
    bucket: Bucket, line: Line, tmp_path: Path, puts: int
) -> None:
    line.hold = lambda asked: asked.method == "PUT" and asked.number == puts
    line.deny = line.hold  # what was under way when it was killed never arrives
    with start(bucket, line.url) as child:
        assert line.holding.wait(60)
        child.kill()
        said = [int(word) for word in child.communicate()[0].split()]
    assert child.returncode == -signal.SIGKILL
    line.released.set()
    if bucket.place().names(TOP / Table.FILES.value):
        assert len(open_report(bucket.uri, bucket.options).files()) == max(said, default=0)

    with start(bucket, bucket.url) as child:
        child.communicate()
    assert child.returncode == 0
    assert_as_if_left_alone(bucket, tmp_path)
    # Details without their row of `files` are gone, so readers that know nothing of it agree.
    findings = pd.read_parquet(path_of(bucket, Table.FINDINGS), filesystem=arrow_fs(bucket))
    assert len(findings) == len(open_report(bucket.uri, bucket.options).findings())


def test_a_flush_that_is_throttled_for_good_loses_nothing_and_may_be_tried_again(bucket: Bucket, line: Line) -> None:
    writer = ReportWriter(bucket.place(endpoint=line.url, patience_s=0.0), made.run())
    writer.add(made.full(0))
    line.refuse = lambda asked: asked.method == "PUT" and "/files/" in asked.path
    with pytest.raises(BatchScanError, match=r"the report in s3://.* cannot be written: the store is busy or broken"):
        writer.flush()
    assert len(open_report(bucket.uri, bucket.options).files()) == 0
    assert len(open_report(bucket.uri, bucket.options).findings()) == 0
    line.refuse = lambda _: False
    writer.add(made.full(1))
    writer.flush()
    report = open_report(bucket.uri, bucket.options)
    assert report.files()["item"].tolist() == [0, 1]
    assert len(report.scores()) == 6


def test_columns_that_an_older_version_did_not_write_are_null(written: Bucket, tmp_path: Path) -> None:
    key = part_path(TOP, Table.FILES, made.RUN_ID, 1)
    with written.place().open(key) as file:
        pq.write_table(pq.read_table(file).drop_columns(["cost", "reason"]), tmp_path / "part")
    publish_bytes(written.place(), key, (tmp_path / "part").read_bytes())
    frame = open_report(f"{written.uri}/{made.RUN_ID}", written.options).files()
    assert frame["item"].tolist() == [0]
    assert frame[["cost", "reason"]].isna().all(axis=None)


async def test_evidence_is_kept_in_the_bucket(bucket: Bucket) -> None:
    store, digest = EvidenceStore(bucket.place()), "ab" * 32
    assert await store.find([digest], ".jpg") == [""]
    path = await store.put(digest, b"picture", ".jpg")
    assert [path] == await store.find([digest], ".jpg") == [f"evidence/ab/{digest}.jpg"]
    with bucket.place().open(TOP / path) as file:
        assert file.read() == b"picture"
