"""Results made up for the tests of the report: every field says something, and differs from its neighbours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from batch_scan.model import (
    AudioTrack,
    Box,
    Coverage,
    Digest,
    FileResult,
    FileRow,
    Finding,
    Item,
    MediaInfo,
    RequestId,
    RequestRecord,
    RunId,
    RunRow,
    RunTotals,
    Score,
    Utterance,
    VideoTrack,
)
from batch_scan.vocabulary import Action, Category, Medium, Outcome, Reason, Status, Verdict

BEGAN = datetime(2026, 11, 21, 23, 16, 48, 123456, tzinfo=UTC)
RUN_ID = RunId("20261121T231648Z-7f3a9c")
LATER_RUN_ID = RunId("20261122T231648Z-00000a")


def run(run_id: RunId = RUN_ID, *, ended: bool = False, totals: RunTotals | None = None) -> RunRow:
    return RunRow(
        run_id=run_id,
        job="nightly",
        job_fingerprint="f" * 64,
        source="/archive/manifest.csv",
        source_sha256="a" * 64,
        tool_version="0.1.0",
        ffmpeg_version="7.1",
        engine="local",
        endpoints=("local", "safecomms"),
        started_at=BEGAN,
        finished_at=BEGAN + timedelta(hours=1, minutes=5) if ended else None,
        exit_code=1 if ended else None,
        totals=totals or RunTotals(),
        cost=1.5 if ended else None,
    )


def item(index: int, uri: str | None = None) -> Item:
    uri = uri or f"/archive/{index}.mp4"
    return Item(index, uri, f"{index}:{uri}", uri, {"show": f"show {index % 3}", "empty": ""})


def plain(index: int) -> FileResult:
    """An item that is clean, and nothing more."""
    return FileResult(
        FileRow(
            item(index),
            Verdict.KEEP,
            Status.COMPLETE,
            content_sha256=f"{index:064x}",
            size_bytes=1000 + index,
            modified_at=BEGAN,
            media=MediaInfo("mp3", 12.5, (AudioTrack(0, "mp3", 1, 16_000, 12.5),)),
            coverage=Coverage(audio_s_planned=12.5, audio_s_answered=12.5),
            endpoints=("local",),
            requests=1,
            started_at=BEGAN,
            finished_at=BEGAN + timedelta(seconds=1),
        )
    )


def lost(index: int, reason: Reason, status: Status = Status.FAILED) -> FileResult:
    """An item of which nothing was examined."""
    row = FileRow(item(index), Verdict.UNKNOWN, status, reason=reason, error_type="MediaError", error="it is broken")
    return FileResult(row)


def full(index: int, score: float = 0.91) -> FileResult:
    """An item with something in every column and every table."""
    name = f"r{index}"
    seen = _score(name, score)
    heard = Score(
        endpoint="local",
        medium=Medium.UTTERANCE,
        start_s=3.25,
        end_s=4.5,
        category=Category.PROFANITY,
        vendor_label="rude",
        score=0.55,
        unclean=True,
        text="a word",
        context="with a word in it",
        request_id=RequestId(f"{name}-b"),
        sample_digest=Digest("e" * 64),
    )
    return FileResult(
        row=_full_row(index, score),
        findings=(Finding(seen, Action.REMOVE, "evidence/ab/ab.jpg"), Finding(heard, Action.FLAG)),
        scores=(seen, heard, _score(name, 0.1)),
        requests=_requests(name),
        transcripts=(
            Utterance(3.25, 4.5, "with a word in it", "A", 0.75, "en", "local", RequestId(f"{name}-b")),
            Utterance(5.0, 6.0, "and no more"),
        ),
    )


def _score(name: str, score: float) -> Score:
    return Score(
        endpoint="safecomms",
        medium=Medium.FRAME,
        start_s=10.0,
        end_s=15.0,
        category=Category.WEAPON,
        vendor_label="Violence",
        score=score,
        severity="High",
        box=Box(0.1, 0.2, 0.3, 0.4),
        request_id=RequestId(f"{name}-a"),
        sample_digest=Digest("d" * 64),
    )


def _full_row(index: int, score: float) -> FileRow:
    return FileRow(
        item=item(index),
        verdict=Verdict.REMOVE,
        status=Status.PARTIAL,
        reason=Reason.DAMAGED,
        error_type="MediaError",
        error="20.0 s of 30.0 s were decoded",
        content_sha256=f"{index:064x}",
        size_bytes=123_456,
        modified_at=BEGAN - timedelta(days=400),
        media=MediaInfo(
            "mov,mp4",
            30.0,
            (AudioTrack(1, "aac", 2, 48_000, 30.0), AudioTrack(2, "ac3", 6, 48_000, 30.0)),
            (VideoTrack(3, "mjpeg", 300, 300, None, is_cover=True), VideoTrack(0, "h264", 1920, 1080, 30.0)),
        ),
        top_category=Category.WEAPON,
        top_score=score,
        findings=2,
        coverage=Coverage(60.0, 40.0, 7, 6, 2, 5),
        duplicate_of="",
        endpoints=("local", "safecomms"),
        requests=1,
        cached_requests=1,
        tokens_estimated=9,
        tokens_charged=7,
        cost=0.07,
        started_at=BEGAN,
        finished_at=BEGAN + timedelta(seconds=20),
    )


def _requests(name: str) -> tuple[RequestRecord, ...]:
    return (
        RequestRecord(
            request_id=RequestId(f"{name}-a"),
            endpoint="safecomms",
            operation="image",
            medium=Medium.FRAME,
            start_s=10.0,
            end_s=15.0,
            samples=1,
            outcome=Outcome.ANSWERED,
            attempts=2,
            bytes_sent=4321,
            http_status=200,
            vendor_code="ok",
            vendor_request_id="v-1",
            tokens_estimated=8,
            tokens_charged=7,
            cost=0.07,
            latency_ms=123.5,
            sent_at=BEGAN + timedelta(seconds=2),
            answered_at=BEGAN + timedelta(seconds=3),
            answer='{"isClean": false}',
        ),
        RequestRecord(
            request_id=RequestId(f"{name}-b"),
            endpoint="local",
            operation="text",
            medium=Medium.UTTERANCE,
            start_s=3.25,
            end_s=4.5,
            samples=1,
            outcome=Outcome.ANSWERED,
            cached=True,
            tokens_estimated=1,
            answered_at=BEGAN,
            answer="[]",
        ),
        RequestRecord(
            request_id=RequestId(f"{name}-c"),
            endpoint="safecomms",
            operation="image",
            medium=Medium.FRAME,
            start_s=20.0,
            end_s=20.0,
            samples=1,
            outcome=Outcome.FAILED,
            attempts=6,
            http_status=500,
            error="the service failed",
        ),
    )
