from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import batch_scan
from batch_scan.errors import BatchScanError, UsageError
from batch_scan.report.layout import part_path, partition
from batch_scan.report.reader import Report, open_report
from batch_scan.report.schema import TABLES, Table
from batch_scan.report.writer import ReportWriter
from tests.report import made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A report of two runs, the newer of which still goes on and is just writing a part."""
    root = tmp_path / "reports"
    older = ReportWriter(root, made.run())
    older.add(made.plain(0))
    older.finish(made.run(ended=True))
    newer = ReportWriter(root, made.run(made.LATER_RUN_ID))
    newer.add(made.full(0))
    newer.add(made.plain(1))
    newer.flush()
    for table in Table:
        half = partition(root, table, made.LATER_RUN_ID) / ".part-00002.parquet.0123abcd.partial"
        half.write_bytes(b"PAR1 half a part")
    return root


@pytest.mark.parametrize("table", Table)
def test_pandas_reads_a_table_of_all_runs_from_its_directory(root: Path, table: Table) -> None:
    frame = pd.read_parquet(root / table.value)
    assert tuple(frame.columns) == TABLES[table].names
    assert set(frame.run_id) <= {made.RUN_ID, made.LATER_RUN_ID}
    one_run = pd.read_parquet(root / table.value, filters=[("run_id", "==", made.LATER_RUN_ID)])
    assert set(one_run.run_id) == {made.LATER_RUN_ID}


def test_pandas_reads_the_types_that_the_schema_names(root: Path) -> None:
    frame = pd.read_parquet(root / "files")
    assert len(frame) == 3
    assert str(frame.started_at.dtype) == "datetime64[us, UTC]"
    assert frame.duration_s.dtype == "float64"
    assert frame["item"].dtype == "int64"


def test_pyarrow_reads_a_table_from_its_directory(root: Path) -> None:
    assert ds.dataset(root / "files").to_table().num_rows == 3
    assert pq.read_table(root / "files").num_rows == 3


@pytest.mark.parametrize("options", ["", ", hive_partitioning = true", ", hive_partitioning = false"])
def test_duckdb_reads_a_table_and_its_runs_as_text(root: Path, options: str) -> None:
    query = f"SELECT run_id, typeof(run_id), count(*) FROM read_parquet('{root}/files/**/*.parquet'{options})"  # noqa: S608
    rows = duckdb.execute(query + " GROUP BY ALL ORDER BY ALL").fetchall()
    assert rows == [(made.RUN_ID, "VARCHAR", 1), (made.LATER_RUN_ID, "VARCHAR", 2)]


def test_duckdb_reads_maps_structs_and_lists(root: Path) -> None:
    files = f"read_parquet('{root}/files/**/*.parquet', hive_partitioning = true)"
    assert duckdb.execute(f"SELECT manifest['show'], endpoints[2] FROM {files} WHERE findings > 0").fetchall() == [  # noqa: S608
        ("show 0", "safecomms")
    ]
    findings = f"read_parquet('{root}/findings/**/*.parquet', hive_partitioning = true)"
    assert duckdb.execute(f"SELECT box.w FROM {findings} WHERE box IS NOT NULL").fetchall() == [(0.3,)]  # noqa: S608


def test_a_report_opens_for_its_newest_run(root: Path) -> None:
    report = batch_scan.open_report(str(root))
    assert report.run_ids() == [made.RUN_ID, made.LATER_RUN_ID]
    assert report.run().run_id == made.LATER_RUN_ID
    assert report.run().isna().finished_at
    assert report.run(made.RUN_ID).exit_code == 1
    assert report.runs().run_id.tolist() == [made.RUN_ID, made.LATER_RUN_ID]
    assert report.files()["item"].tolist() == [0, 1]
    assert repr(report) == f"Report({str(root)!r}, run_id='{made.LATER_RUN_ID}')"


def test_a_report_opens_for_a_run_by_its_path(root: Path) -> None:
    for path in (root / made.RUN_ID, root / "runs" / f"run_id={made.RUN_ID}", root / "files" / f"run_id={made.RUN_ID}"):
        report = open_report(path)
        assert (report.root, report.run_id) == (root, made.RUN_ID)
        assert report.files()["item"].tolist() == [0]


def test_files_read_back_as_they_were_written(root: Path) -> None:
    frame = open_report(root).files()
    assert {name: str(kind) for name, kind in frame.dtypes.items() if name in {"width", "cost", "finished_at"}} == {
        "width": "Int64",
        "cost": "float64",
        "finished_at": "datetime64[us, UTC]",
    }
    full = frame.iloc[0].to_dict()
    assert full == {
        "run_id": made.LATER_RUN_ID,
        "item": 0,
        "uri": "/archive/0.mp4",
        "manifest": {"show": "show 0", "empty": ""},
        "content_sha256": "0" * 64,
        "size_bytes": 123_456,
        "modified_at": made.BEGAN - timedelta(days=400),
        "container": "mov,mp4",
        "duration_s": 30.0,
        "audio_codec": "aac",
        "video_codec": "h264",
        "width": 1920,
        "height": 1080,
        "verdict": "remove",
        "status": "partial",
        "reason": "damaged",
        "error_type": "MediaError",
        "error": "20.0 s of 30.0 s were decoded",
        "top_category": "weapon",
        "top_score": 0.91,
        "findings": 2,
        "audio_s_planned": 60.0,
        "audio_s_answered": 40.0,
        "audio_s_copied": 0.0,
        "frames_planned": 7,
        "frames_extracted": 6,
        "frames_deduplicated": 2,
        "frames_answered": 5,
        "duplicate_of": full["duplicate_of"],
        "endpoints": ["local", "safecomms"],
        "requests": 1,
        "cached_requests": 1,
        "tokens_estimated": 9,
        "tokens_charged": 7,
        "cost": 0.07,
        "started_at": made.BEGAN,
        "finished_at": made.BEGAN + timedelta(seconds=20),
    }
    assert [name for name in frame if frame.isna()[name][0]] == ["duplicate_of"]
    assert frame.isna().width[1]


def test_details_read_back_as_they_were_written(root: Path) -> None:
    report = open_report(root)
    finding = report.findings().iloc[0]
    assert finding.box == {"x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4}
    assert (finding.action, finding.evidence, finding.severity) == ("remove", "evidence/ab/ab.jpg", "High")
    assert report.findings().text.isna().tolist() == [True, False]
    assert report.scores().score.tolist() == [0.91, 0.55, 0.1]
    requests = report.requests()
    assert requests.cached.tolist() == [False, True, False]
    assert requests.http_status.isna().tolist() == [False, True, False]
    assert requests.answer[0] == '{"isClean": false}'
    assert requests.sent_at[0] == made.BEGAN + timedelta(seconds=2)
    assert report.transcripts().text.tolist() == ["with a word in it", "and no more"]


def test_a_table_without_rows_has_its_columns_and_their_types(root: Path) -> None:
    report = open_report(root)
    for table in (report.findings, report.scores, report.requests, report.transcripts):
        empty, filled = table(made.RUN_ID), table()
        assert len(empty) == 0
        assert empty.dtypes.to_dict() == filled.dtypes.to_dict()


def test_a_table_of_which_no_part_was_published_yet_is_empty(root: Path) -> None:
    for path in partition(root, Table.SCORES, made.LATER_RUN_ID).iterdir():
        path.unlink()
    scores = open_report(root).scores()
    assert len(scores) == 0
    assert tuple(scores.columns) == TABLES[Table.SCORES].names


def test_only_the_columns_asked_for_are_read(root: Path) -> None:
    assert open_report(root).requests(columns=["endpoint", "answer"]).columns.tolist() == ["endpoint", "answer"]
    with pytest.raises(UsageError, match="table `requests` has no column 'reply'; it has run_id, request_id"):
        open_report(root).requests(columns=["reply"])


def test_columns_that_an_older_version_did_not_write_are_null(root: Path) -> None:
    path = part_path(root, Table.FILES, made.RUN_ID, 1)
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["cost", "reason"]), path)
    frame = open_report(root / made.RUN_ID).files()
    assert frame["item"].tolist() == [0]
    assert frame[["cost", "reason"]].isna().all(axis=None)


def test_what_is_no_report_is_said_with_the_mend(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a report: it has no table `runs`"):
        open_report(tmp_path)
    with pytest.raises(UsageError, match="is not a report"):
        open_report(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"cannot be read|is not a report"):
        open_report(tmp_path / ("x" * 300))
    with pytest.raises(UsageError, match=f"has no run 20200101T000000Z-000000; its newest is {made.LATER_RUN_ID}"):
        open_report(root / "20200101T000000Z-000000")
    with pytest.raises(UsageError, match="has no run 20200101T000000Z-000000"):
        open_report(root).files("20200101T000000Z-000000")


def test_a_part_that_cannot_be_read_is_named(root: Path) -> None:
    part_path(root, Table.FILES, made.LATER_RUN_ID, 1).write_bytes(b"not parquet")
    with pytest.raises(BatchScanError, match=r"table `files` of .* cannot be read: .*part-00001\.parquet"):
        open_report(root).files()


def test_ten_thousand_rows_of_arrow_are_the_same_by_every_way(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, made.run(), rows_per_part=3000)
    for index in range(10_000):
        writer.add(made.plain(index))
    writer.flush()
    ours = Report(tmp_path, made.RUN_ID).arrow(Table.FILES)
    theirs = pq.read_table(tmp_path / "files").sort_by("item")
    assert ours.column("uri").to_pylist() == theirs.column("uri").to_pylist()
    assert pa.compute.sum(ours["size_bytes"]).as_py() == sum(range(1000, 11_000))


def test_importing_the_package_loads_neither_pandas_nor_pyarrow() -> None:
    program = "import batch_scan, sys; print([name for name in ('pandas', 'pyarrow', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"
    assert batch_scan.open_report is open_report
    with pytest.raises(AttributeError, match="has no attribute 'close_report'"):
        batch_scan.close_report  # noqa: B018
