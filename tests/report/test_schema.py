from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_scan.report.rows import rows_of, run_row
from batch_scan.report.schema import DETAIL_TABLES, SCHEMAS, TABLES, Table
from tests.report import made

# The columns of the design, `cost` put beside `tokens_charged`. Whoever changes these changes what analysts rely on.
COLUMNS = {
    "runs": (
        "run_id, job, job_fingerprint, source, source_sha256, tool_version, ffmpeg_version, engine, endpoints, "
        "started_at, finished_at, exit_code, items, keep, flag, remove, unknown, complete, partial, failed, skipped, "
        "requests, cached_requests, tokens_estimated, tokens_charged, cost"
    ),
    "files": (
        "run_id, item, uri, manifest, content_sha256, size_bytes, modified_at, container, duration_s, audio_codec, "
        "video_codec, width, height, verdict, status, reason, error_type, error, top_category, top_score, findings, "
        "audio_s_planned, audio_s_answered, audio_s_copied, "
        "frames_planned, frames_extracted, frames_deduplicated, frames_answered, "
        "duplicate_of, endpoints, requests, cached_requests, tokens_estimated, tokens_charged, cost, started_at, "
        "finished_at"
    ),
    "findings": (
        "run_id, uri, content_sha256, endpoint, medium, start_s, end_s, category, vendor_label, score, severity, "
        "action, text, context, box, evidence, request_id"
    ),
    "scores": "run_id, uri, endpoint, medium, start_s, end_s, category, vendor_label, score, severity, request_id",
    "requests": (
        "run_id, request_id, uri, endpoint, operation, medium, start_s, end_s, samples, bytes_sent, attempts, "
        "http_status, vendor_code, vendor_request_id, outcome, error, cached, tokens_estimated, tokens_charged, cost, "
        "latency_ms, sent_at, answered_at, answer"
    ),
    "transcripts": "run_id, uri, start_s, end_s, text, speaker, confidence, language, engine, request_id",
}


def test_tables_are_the_six_of_the_design_with_their_columns_in_its_order() -> None:
    assert {table.value: ", ".join(spec.names) for table, spec in TABLES.items()} == COLUMNS


@pytest.mark.parametrize("table", Table)
def test_every_table_and_every_column_is_described_in_a_sentence(table: Table) -> None:
    schema = SCHEMAS[table]
    assert schema.metadata[b"description"].endswith(b".")
    for field in schema:
        assert field.nullable, field.name
        assert field.metadata[b"description"].endswith(b"."), field.name


@pytest.mark.parametrize("table", Table)
def test_descriptions_survive_the_way_through_a_parquet_file(table: Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(SCHEMAS[table].empty_table(), sink)
    assert pq.read_schema(pa.BufferReader(sink.getvalue())).equals(SCHEMAS[table], check_metadata=False)
    read = pq.read_schema(pa.BufferReader(sink.getvalue()))
    assert read.metadata[b"description"] == SCHEMAS[table].metadata[b"description"]
    assert [field.metadata[b"description"] for field in read] == [
        field.metadata[b"description"] for field in SCHEMAS[table]
    ]


def test_rows_have_exactly_the_columns_of_their_table() -> None:
    tables = rows_of(made.RUN_ID, made.full(0))
    assert set(tables) == {Table.FILES, *DETAIL_TABLES}
    for table, rows in tables.items():
        assert rows, table
        assert all(set(row) == set(TABLES[table].names) for row in rows), table
    assert set(run_row(made.run())) == set(TABLES[Table.RUNS].names)
