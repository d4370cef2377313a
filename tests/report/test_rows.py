from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.model import (
    AudioTrack,
    Box,
    Coverage,
    FileResult,
    FileRow,
    Finding,
    Item,
    MediaInfo,
    RequestId,
    RequestRecord,
    RunRow,
    RunTotals,
    Score,
    Utterance,
    VideoTrack,
)
from batch_scan.report.arrow import arrow_table
from batch_scan.report.rows import rows_of, run_from_row, run_row
from batch_scan.report.schema import SCHEMAS, TABLES, Table
from batch_scan.vocabulary import Action, Category, Medium, Outcome, Reason, Status, Verdict
from tests.report import made

# Surrogates, NULs and control characters included: names and vendors' words come as they like.
texts = st.text(st.characters() | st.sampled_from("\ud800\udcff\x00\x1b"), max_size=12)
counts = st.integers(0, 2**70)
numbers = st.floats()
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - see timezones
scores = st.builds(
    Score,
    endpoint=texts,
    medium=st.sampled_from(Medium),
    start_s=numbers,
    end_s=numbers,
    category=st.sampled_from(Category),
    vendor_label=texts,
    score=numbers,
    severity=texts,
    text=texts,
    context=texts,
    box=st.none() | st.builds(Box, *[st.floats(0, 1)] * 4),
    request_id=texts.map(RequestId),
)
media = st.builds(
    MediaInfo,
    container=texts,
    duration_s=st.none() | numbers,
    audio=st.lists(st.builds(AudioTrack, counts, texts, counts, counts, numbers), max_size=2).map(tuple),
    video=st.lists(st.builds(VideoTrack, counts, texts, counts, counts, numbers), max_size=2).map(tuple),
)
requests = st.builds(
    RequestRecord,
    request_id=texts.map(RequestId),
    endpoint=texts,
    operation=texts,
    medium=st.sampled_from(Medium),
    start_s=numbers,
    end_s=numbers,
    samples=counts,
    outcome=st.sampled_from(Outcome),
    cached=st.booleans(),
    http_status=st.none() | counts,
    error=texts,
    tokens_charged=counts,
    cost=st.none() | numbers,
    latency_ms=st.none() | numbers,
    sent_at=st.none() | moments,
    answer=st.none() | texts,
)
file_rows = st.builds(
    FileRow,
    item=st.builds(Item, st.integers(0, 2**40), texts, texts, texts, st.dictionaries(texts, texts, max_size=3)),
    verdict=st.sampled_from(Verdict),
    status=st.sampled_from(Status),
    reason=st.none() | st.sampled_from(Reason),
    error=texts,
    size_bytes=st.none() | counts,
    modified_at=st.none() | moments,
    media=st.none() | media,
    top_score=st.none() | numbers,
    coverage=st.builds(Coverage, numbers, numbers, counts, counts, counts, counts),
    endpoints=st.lists(texts, max_size=3).map(tuple),
    tokens_charged=counts,
    cost=st.none() | numbers,
)
results = st.builds(
    FileResult,
    row=file_rows,
    findings=st.lists(st.builds(Finding, scores, st.sampled_from(Action), texts), max_size=2).map(tuple),
    scores=st.lists(scores, max_size=2).map(tuple),
    requests=st.lists(requests, max_size=2).map(tuple),
    transcripts=st.lists(st.builds(Utterance, numbers, numbers, texts, texts, st.none() | numbers), max_size=2).map(
        tuple
    ),
)


def stored(value: Any) -> Any:
    """Say what a table holds of a value, by the rules that the docstrings of `rows` and `arrow` give."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return min(value, 2**63 - 1)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return type(value)(map(stored, value)) if isinstance(value, list | tuple) else value


def through_parquet(table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    arrow = arrow_table(table, [tuple(row[name] for name in TABLES[table].names) for row in rows])
    sink = pa.BufferOutputStream()
    pq.write_table(arrow, sink, compression="zstd")
    read = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert read.schema.equals(SCHEMAS[table])
    listed: list[dict[str, Any]] = read.to_pylist()
    return listed


@settings(deadline=None)
@given(st.lists(results, max_size=3))
def test_whatever_stands_in_results_comes_back_from_parquet(found: list[FileResult]) -> None:
    tables = [rows_of(made.RUN_ID, result) for result in found]
    for table in (Table.FILES, Table.FINDINGS, Table.SCORES, Table.REQUESTS, Table.TRANSCRIPTS):
        rows = [row for result in tables for row in result[table]]
        assert through_parquet(table, rows) == [{name: stored(value) for name, value in row.items()} for row in rows]


run_rows = st.builds(
    RunRow,
    run_id=st.just(made.RUN_ID),
    job=st.text(st.characters(codec="utf-8")),
    job_fingerprint=st.just("f"),
    source=st.just("s"),
    source_sha256=st.sampled_from(["", "a"]),
    tool_version=st.just("1"),
    ffmpeg_version=st.just("7"),
    engine=st.just("local"),
    endpoints=st.lists(st.sampled_from(["a", "b"])).map(tuple),
    started_at=moments,
    finished_at=st.none() | moments,
    exit_code=st.none() | st.integers(0, 255),
    totals=st.builds(RunTotals, *[st.integers(0, 2**40)] * len(RunTotals.__dataclass_fields__)),
    cost=st.none() | st.floats(0, 1e9),
)


@settings(deadline=None)
@given(run_rows)
def test_a_run_comes_back_from_its_row_as_it_was(run: RunRow) -> None:
    assert run_from_row(through_parquet(Table.RUNS, [run_row(run)])[0]) == run


def test_text_that_says_nothing_is_null() -> None:
    (row,) = rows_of(made.RUN_ID, made.plain(3))[Table.FILES]
    nulls = {name for name, value in row.items() if value is None}
    assert nulls == {
        "video_codec", "width", "height", "reason", "error_type", "error", "top_category", "top_score", "duplicate_of",
        "cost",
    }  # fmt: skip


def test_cover_art_is_not_the_picture_track_of_a_file() -> None:
    cover = VideoTrack(1, "mjpeg", 300, 200, None, is_cover=True)
    row = FileRow(made.item(0), Verdict.KEEP, Status.COMPLETE, media=MediaInfo("mp3", 1.0, video=(cover,)))
    (stored_row,) = rows_of(made.RUN_ID, FileResult(row))[Table.FILES]
    assert (stored_row["video_codec"], stored_row["width"]) == (None, None)


def test_times_in_other_zones_are_stored_as_the_same_moment_in_utc() -> None:
    local = made.BEGAN.astimezone(timezone(timedelta(hours=9)))
    row = FileRow(made.item(0), Verdict.KEEP, Status.COMPLETE, started_at=local)
    (read,) = through_parquet(Table.FILES, rows_of(made.RUN_ID, FileResult(row))[Table.FILES])
    assert read["started_at"] == made.BEGAN
    assert read["started_at"].utcoffset() == timedelta(0)
