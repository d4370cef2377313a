"""Builds the one `FileResult` of an item from whatever happened to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from batch_scan.model import FileResult, FileRow, Item, Shortfall
from batch_scan.verdict import CHOSEN, conclude
from batch_scan.vocabulary import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.examine import Examined
    from batch_scan.model import Finding, Refused, RequestRecord, Score, Stat

_NANOSECONDS = 1_000_000_000
_ROW: TypeAdapter[FileRow] = TypeAdapter(FileRow)


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of an item before anything in it was examined."""

    item: Item
    started_at: datetime
    stat: Stat | None = None
    content_sha256: str = ""

    @property
    def size_bytes(self) -> int:
        """Its size; 0 where that is not known."""
        return self.stat.size_bytes if self.stat is not None else 0


def refused_result(refused: Refused, now: datetime) -> FileResult:
    """Return the row of an entry that the source itself refused or left out."""
    return _unexamined(Opened(refused.item, now), refused.status, refused.shortfall, now)


def unexamined_result(opened: Opened, shortfall: Shortfall, now: datetime) -> FileResult:
    """Return the row of an item of which nothing was examined."""
    if shortfall.reason in CHOSEN:
        return _unexamined(opened, Status.SKIPPED, replace(shortfall, error_type=""), now)  # nothing went wrong
    return _unexamined(opened, Status.FAILED, shortfall, now)


def duplicate_result(opened: Opened, twin: FileRow, now: datetime) -> FileResult:
    """Return the row of an item with the same content as one already scanned: its verdict, nothing asked, its name."""
    row = replace(
        twin,
        item=opened.item,
        size_bytes=opened.stat.size_bytes if opened.stat is not None else twin.size_bytes,
        modified_at=_modified_at(opened.stat),
        duplicate_of=twin.item.uri,
        requests=0,
        cached_requests=0,
        tokens_estimated=0,
        tokens_charged=0,
        cost=None if twin.cost is None else 0.0,
        started_at=opened.started_at,
        finished_at=now,
    )
    return FileResult(row)


def examined_result(
    opened: Opened, examined: Examined, findings: Sequence[Finding], endpoints: tuple[str, ...], now: datetime
) -> FileResult:
    """Return the row of an item that was opened, with everything that belongs to it."""
    conclusion = conclude(findings, examined.shortfalls, examined.answered, examined.planned)
    gap = conclusion.shortfall
    worst = max(examined.scores, key=_how_bad, default=None)
    row = replace(
        _base(opened, conclusion.verdict, conclusion.status, now),
        reason=gap.reason if gap is not None else None,
        error_type=gap.error_type if gap is not None else "",
        error=_told(examined.shortfalls, gap),
        media=examined.media,
        top_category=worst.category if worst is not None else None,
        top_score=worst.score if worst is not None else None,
        findings=len(findings),
        coverage=examined.coverage,
        endpoints=endpoints,
        requests=sum(1 for record in examined.records if record.attempts),
        cached_requests=sum(1 for record in examined.records if record.cached),
        tokens_estimated=sum(record.tokens_estimated for record in examined.records),
        tokens_charged=sum(record.tokens_charged for record in examined.records),
        cost=_cost(examined.records),
    )
    return FileResult(
        row,
        tuple(findings),
        tuple(sorted(examined.scores, key=lambda score: (score.start_s, score.endpoint, score.vendor_label))),
        tuple(sorted(examined.records, key=lambda record: (record.start_s, record.endpoint))),
        tuple(sorted(examined.utterances, key=lambda utterance: utterance.start_s)),
        examined.frame_works,
        examined.sound_works,
    )


def dump_row(row: FileRow) -> bytes:
    """Return a row as JSON, for its twins: without what only its own item has, and JSON cannot always hold."""
    return _ROW.dump_json(replace(row, item=replace(row.item, identity="", locator="", manifest={})))


def load_row(stored: bytes) -> FileRow:
    """Return what `dump_row` wrote."""
    return _ROW.validate_json(stored)


def _unexamined(opened: Opened, status: Status, shortfall: Shortfall, now: datetime) -> FileResult:
    row = replace(
        _base(opened, Verdict.UNKNOWN, status, now),
        reason=shortfall.reason,
        error_type=shortfall.error_type,
        error=shortfall.detail,
    )
    return FileResult(row)


def _base(opened: Opened, verdict: Verdict, status: Status, now: datetime) -> FileRow:
    return FileRow(
        item=opened.item,
        verdict=verdict,
        status=status,
        content_sha256=opened.content_sha256,
        size_bytes=opened.stat.size_bytes if opened.stat is not None else None,
        modified_at=_modified_at(opened.stat),
        started_at=opened.started_at,
        finished_at=now,
    )


def _modified_at(stat: Stat | None) -> datetime | None:
    if stat is None or not stat.modified_ns:
        return None
    try:
        return datetime.fromtimestamp(stat.modified_ns / _NANOSECONDS, UTC)
    except (OverflowError, ValueError, OSError):  # file systems hold times that no calendar does
        return None


def _told(shortfalls: Sequence[Shortfall], first: Shortfall | None) -> str:
    if first is None:
        return ""
    kinds = {gap.reason for gap in shortfalls} - {first.reason}
    also = f" (also: {', '.join(sorted(kinds))})" if kinds else ""
    times = sum(gap.reason is first.reason for gap in shortfalls)
    return f"{first.detail}{f' ({times} times)' if times > 1 else ''}{also}"


def _cost(records: Sequence[RequestRecord]) -> float | None:
    """Sum what was charged; None where a charge has no price."""
    charged = [record for record in records if record.tokens_charged]
    if any(record.cost is None for record in charged):
        return None
    known = [record.cost for record in records if record.cost is not None]
    return sum(known) if known else None


def _how_bad(score: Score) -> tuple[bool, float, str]:
    """Order scores; equal ones by name, so that a row does not depend on which answer came first."""
    return score.unclean, score.score, score.category
