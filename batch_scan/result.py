"""Builds the one `FileResult` of an item from whatever happened to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from batch_scan.cost import cost_of
from batch_scan.model import FileResult, FileRow, Item, Shortfall
from batch_scan.verdict import CHOSEN, conclude
from batch_scan.vocabulary import Action, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from batch_scan.examine import Examined
    from batch_scan.model import Finding, Refused, Score, Stat
    from batch_scan.vocabulary import Reason

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
    worst = _worst(findings, examined.scores)
    further = {shortfall.reason for shortfall in examined.shortfalls} - {gap.reason if gap is not None else None}
    row = replace(
        _base(opened, conclusion.verdict, conclusion.status, now),
        reason=gap.reason if gap is not None else None,
        error_type=gap.error_type if gap is not None else "",
        error=_told(examined.shortfalls, gap, further),
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
        cost=cost_of(examined.records).total,
    )
    return FileResult(
        row,
        tuple(findings),
        tuple(sorted(examined.scores, key=lambda score: (score.start_s, score.endpoint, score.vendor_label))),
        tuple(sorted(examined.records, key=lambda record: (record.start_s, record.endpoint))),
        tuple(sorted(examined.utterances, key=lambda utterance: utterance.start_s)),
        examined.frame_works,
        examined.sound_works,
        frozenset(further),
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


def _told(shortfalls: Sequence[Shortfall], first: Shortfall | None, further: AbstractSet[Reason]) -> str:
    if first is None:
        return ""
    also = f" (also: {', '.join(sorted(further))})" if further else ""
    alike = [gap.detail for gap in shortfalls if gap.reason is first.reason]
    times = alike.count(first.detail)
    others = len(alike) - times
    repeated = f" ({times} times)" if times > 1 else ""
    more = f" (and {others} more of this kind)" if others else ""
    return f"{first.detail}{repeated}{more}{also}"


def _worst(findings: Sequence[Finding], scores: Sequence[Score]) -> Score | None:
    """Return what the verdict rests on: a score that is no finding, however high, only where there is no finding."""
    gravest = [one.score for one in findings if one.action is Action.REMOVE] or [one.score for one in findings]
    return max(gravest or scores, key=_how_bad, default=None)


def _how_bad(score: Score) -> tuple[float, str]:
    """Order scores; equal ones by name, so that a row does not depend on which answer came first."""
    return score.score, score.category
