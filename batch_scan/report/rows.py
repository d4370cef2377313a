"""Results as rows: what one `FileResult` or `RunRow` puts into each table. Pure.

A row is a dictionary with exactly the columns of its table in `schema`. Text that says nothing (``""`` in the model) is
null in a table, so that a query need not know two ways of saying "none".
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from batch_scan.model import RunId, RunRow, RunTotals
from batch_scan.report.schema import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.model import FileResult, FileRow, Finding, RequestRecord, Score, Utterance

Row = dict[str, Any]

_TOTALS = tuple(field.name for field in fields(RunTotals))


def rows_of(run_id: RunId, result: FileResult) -> dict[Table, list[Row]]:
    """Return the rows of one item, for each table that its results go to."""
    uri = result.row.item.uri
    return {
        Table.FILES: [file_row(run_id, result.row)],
        Table.FINDINGS: [_finding_row(run_id, result.row, finding) for finding in result.findings],
        Table.SCORES: [_score_row(run_id, uri, score) for score in result.scores],
        Table.REQUESTS: [_request_row(run_id, uri, request) for request in result.requests],
        Table.TRANSCRIPTS: [_transcript_row(run_id, uri, utterance) for utterance in result.transcripts],
    }


def run_row(run: RunRow) -> Row:
    """Return the row of a run in `runs`."""
    return {
        "run_id": run.run_id,
        "job": run.job,
        "job_fingerprint": run.job_fingerprint,
        "source": run.source,
        "source_sha256": run.source_sha256 or None,
        "tool_version": run.tool_version,
        "ffmpeg_version": run.ffmpeg_version,
        "engine": run.engine,
        "endpoints": list(run.endpoints),
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "exit_code": run.exit_code,
        **asdict(run.totals),
        "cost": run.cost,
    }


def run_from_row(row: Mapping[str, Any]) -> RunRow:
    """Return the run that a row of `runs` stands for: the inverse of `run_row`. Numbers that are null count as 0."""
    return RunRow(
        run_id=RunId(row["run_id"]),
        job=row["job"] or "",
        job_fingerprint=row["job_fingerprint"] or "",
        source=row["source"] or "",
        source_sha256=row["source_sha256"] or "",
        tool_version=row["tool_version"] or "",
        ffmpeg_version=row["ffmpeg_version"] or "",
        engine=row["engine"] or "",
        endpoints=tuple(row["endpoints"] or ()),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        exit_code=row["exit_code"],
        totals=RunTotals(**{name: row[name] or 0 for name in _TOTALS}),
        cost=row["cost"],
    )


def file_row(run_id: RunId, row: FileRow) -> Row:
    """Return the row of an item in `files`."""
    return {
        "run_id": run_id,
        "item": row.item.index,
        "uri": row.item.uri,
        "manifest": list(row.item.manifest.items()),
        "content_sha256": row.content_sha256 or None,
        "size_bytes": row.size_bytes,
        "modified_at": row.modified_at,
        **_media_columns(row),
        "verdict": row.verdict.value,
        "status": row.status.value,
        "reason": row.reason.value if row.reason else None,
        "error_type": row.error_type or None,
        "error": row.error or None,
        "top_category": row.top_category.value if row.top_category else None,
        "top_score": row.top_score,
        "findings": row.findings,
        "audio_s_planned": row.coverage.audio_s_planned,
        "audio_s_answered": row.coverage.audio_s_answered,
        "audio_s_copied": row.coverage.audio_s_copied,
        "frames_planned": row.coverage.frames_planned,
        "frames_extracted": row.coverage.frames_extracted,
        "frames_deduplicated": row.coverage.frames_deduplicated,
        "frames_answered": row.coverage.frames_answered,
        "duplicate_of": row.duplicate_of or None,
        "endpoints": list(row.endpoints),
        "requests": row.requests,
        "cached_requests": row.cached_requests,
        "tokens_estimated": row.tokens_estimated,
        "tokens_charged": row.tokens_charged,
        "cost": row.cost,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def _media_columns(row: FileRow) -> Row:
    media = row.media
    audio = media.audio[0] if media and media.audio else None
    video = media.main_video if media else None
    return {
        "container": media.container or None if media else None,
        "duration_s": media.duration_s if media else None,
        "audio_codec": audio.codec or None if audio else None,
        "video_codec": video.codec or None if video else None,
        "width": video.width if video else None,
        "height": video.height if video else None,
    }


def _score_row(run_id: RunId, uri: str, score: Score) -> Row:
    return {
        "run_id": run_id,
        "uri": uri,
        "endpoint": score.endpoint,
        "medium": score.medium.value,
        "start_s": score.start_s,
        "end_s": score.end_s,
        "category": score.category.value,
        "vendor_label": score.vendor_label,
        "score": score.score,
        "severity": score.severity or None,
        "request_id": score.request_id or None,
    }


def _finding_row(run_id: RunId, file: FileRow, finding: Finding) -> Row:
    score = finding.score
    box = score.box
    return {
        **_score_row(run_id, file.item.uri, score),
        "content_sha256": file.content_sha256 or None,
        "action": finding.action.value,
        "text": score.text or None,
        "context": score.context or None,
        "box": {"x": box.x, "y": box.y, "w": box.w, "h": box.h} if box else None,
        "evidence": finding.evidence or None,
    }


def _request_row(run_id: RunId, uri: str, request: RequestRecord) -> Row:
    return {
        "run_id": run_id,
        "request_id": request.request_id,
        "uri": uri,
        "endpoint": request.endpoint,
        "operation": request.operation,
        "medium": request.medium.value,
        "start_s": request.start_s,
        "end_s": request.end_s,
        "samples": request.samples,
        "bytes_sent": request.bytes_sent,
        "attempts": request.attempts,
        "http_status": request.http_status,
        "vendor_code": request.vendor_code or None,
        "vendor_request_id": request.vendor_request_id or None,
        "outcome": request.outcome.value,
        "error": request.error or None,
        "cached": request.cached,
        "tokens_estimated": request.tokens_estimated,
        "tokens_charged": request.tokens_charged,
        "cost": request.cost,
        "latency_ms": request.latency_ms,
        "sent_at": request.sent_at,
        "answered_at": request.answered_at,
        "answer": request.answer,
    }


def _transcript_row(run_id: RunId, uri: str, utterance: Utterance) -> Row:
    return {
        "run_id": run_id,
        "uri": uri,
        "start_s": utterance.start_s,
        "end_s": utterance.end_s,
        "text": utterance.text,
        "speaker": utterance.speaker or None,
        "confidence": utterance.confidence,
        "language": utterance.language or None,
        "engine": utterance.engine or None,
        "request_id": utterance.request_id or None,
    }
