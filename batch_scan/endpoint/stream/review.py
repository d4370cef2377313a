"""The review queue: what Stream put up for people to look at, as rows, as a table, as Parquet; and what they decide.

Nothing here happens by itself: an action is submitted because somebody named it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batch_scan.endpoint.stream import wire
from batch_scan.errors import EndpointError, Failure
from batch_scan.plaintext import cell, display_width, head
from batch_scan.untrusted import storable_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from batch_scan.endpoint.stream.client import StreamClient

PAGE_ITEMS = 100
"""Most items of one page; the vendor's own bound."""
_GROUP_ITEMS = 500
"""Items of a row group."""
ACTIONS = (
    "ban",
    "block",
    "bypass",
    "custom",
    "de_escalate",
    "delete_activity",
    "delete_comment",
    "delete_message",
    "delete_reaction",
    "delete_user",
    "delete_user_messages",
    "end_call",
    "escalate",
    "flag",
    "kick_user",
    "mark_reviewed",
    "reject_appeal",
    "restore",
    "shadow_block",
    "unban",
    "unblock",
    "unmask",
)
"""What can be done with an item, in the vendor's words."""
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), metadata={"description": "the item, for --item"}),
        pa.field("created_at", pa.timestamp("us", tz="UTC"), metadata={"description": "when it came into the queue"}),
        pa.field("updated_at", pa.timestamp("us", tz="UTC"), metadata={"description": "when it last changed"}),
        pa.field("status", pa.string(), metadata={"description": "of its check: partial, complete"}),
        pa.field("recommended_action", pa.string(), metadata={"description": "in the vendor's word"}),
        pa.field("entity_type", pa.string(), metadata={"description": "what kind of content it is"}),
        pa.field("entity_id", pa.string(), metadata={"description": "bs- and the digest of the content, for a scan's"}),
        pa.field("entity_creator_id", pa.string(), metadata={"description": "the user it was checked under"}),
        pa.field("config_key", pa.string(), metadata={"description": "the policy"}),
        pa.field("severity", pa.int64(), metadata={"description": "the vendor's number"}),
        pa.field("ai_text_severity", pa.string(), metadata={"description": "low, medium, high, critical"}),
        pa.field("confidence", pa.float64(), metadata={"description": "0 to 1, where an engine told one"}),
        pa.field("labels", pa.list_(pa.string()), metadata={"description": "of all its flags"}),
        pa.field("texts", pa.list_(pa.string()), metadata={"description": "what was checked"}),
        pa.field("reviewed_by", pa.string(), metadata={"description": "who looked at it; empty for nobody"}),
        pa.field("item", pa.string(), metadata={"description": "the whole item, as JSON"}),
    ]
)
_HEAD = ("item", "created", "action", "status", "reviewed", "labels", "text")
_WORD_WIDTH = 16
_LABELS_WIDTH = 32
_TEXT_WIDTH = 60
_NS = 1_000_000_000
_LAST_S = 253_402_300_799
"""The end of the year 9999, the last that a timestamp can show."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One item of the queue; text from outside, not cleaned."""

    item_id: str
    raw: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a field that is text, empty where it is not."""
        value = self.raw.get(key)
        return value if isinstance(value, str) else ""

    def instant(self, key: str) -> datetime | None:
        """Return a field that is a time: nanoseconds since the epoch."""
        value = self.raw.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value / _NS < _LAST_S:
            return None
        return datetime.fromtimestamp(value / _NS, UTC)

    def number(self, key: str) -> float | None:
        """Return a field that is a number."""
        value = self.raw.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def labels(self) -> list[str]:
        """What its flags call the harm, each once."""
        flags = self.raw.get("flags")
        told = [flag.get("labels") for flag in flags if isinstance(flag, dict)] if isinstance(flags, list) else []
        named = [label for labels in told if isinstance(labels, list) for label in labels if isinstance(label, str)]
        return list(dict.fromkeys(named))

    @property
    def texts(self) -> list[str]:
        """What was checked, where that was text."""
        payload = self.raw.get("moderation_payload")
        texts = payload.get("texts") if isinstance(payload, dict) else None
        return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


async def review_items(client: StreamClient, filters: Mapping[str, Any], most: int | None) -> AsyncIterator[ReviewItem]:
    """Yield the items of the queue that fit, page by page.

    Args:
        client: of the app.
        filters: fields of items and the values they must have.
        most: how many at most; None is all.

    Raises EndpointError.
    """
    after, seen, pages = "", 0, set[str]()
    while most is None or seen < most:
        limit = PAGE_ITEMS if most is None else min(PAGE_ITEMS, most - seen)
        await client.rest(wire.REVIEW_QUEUE)
        told = (await client.review_queue(wire.queue_body(filters, limit=limit, after=after))).json
        items = told.get("items") if isinstance(told, dict) else None
        if not isinstance(items, list):
            raise EndpointError(Failure.REFUSED, "the answer of stream holds no review queue")
        for item in items[:limit]:
            seen += 1  # whatever it is: pages of nothing must come to an end too
            if isinstance(item, dict):
                yield ReviewItem(str(item.get("id", "")), item)
        after = told.get("next") or ""
        if not isinstance(after, str) or not after or not items or after in pages:
            return
        pages.add(after)  # a token that comes again would lead round in a circle


async def act(client: StreamClient, action: str, item_id: str, options: Mapping[str, Any]) -> ReviewItem | None:
    """Do something with an item, and return what became of it where Stream says so. Raises EndpointError."""
    told = (await client.submit_action(wire.action_body(action, item_id, options))).json
    item = told.get("item") if isinstance(told, dict) else None
    return ReviewItem(str(item.get("id", "")), item) if isinstance(item, dict) else None


def table_text(items: Sequence[ReviewItem]) -> str:
    """Return items as a table for a terminal."""
    if not items:
        return "the review queue holds nothing that fits\n"
    rows = [_HEAD, *map(_row, items)]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(text + " " * (width - display_width(text)) for text, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


async def write_parquet(items: AsyncIterator[ReviewItem], path: Path, shown: int) -> tuple[list[ReviewItem], int]:
    """Write items as one Parquet file, complete or not at all, holding some hundred of them at a time.

    Returns the first `shown` items, and how many there were. Raises OSError, and what fetching the items raises.
    """
    partial = path.with_name(f".{path.name}.partial")
    first: list[ReviewItem] = []
    count = 0
    try:
        with pq.ParquetWriter(partial, _SCHEMA, compression="zstd") as writer:
            async for group in _groups(items):
                first += group[: shown - len(first)]
                count += len(group)
                writer.write_table(pa.Table.from_pylist([_record(item) for item in group], schema=_SCHEMA))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return first, count


async def _groups(items: AsyncIterator[ReviewItem]) -> AsyncIterator[list[ReviewItem]]:
    group: list[ReviewItem] = []
    async for item in items:
        group.append(item)
        if len(group) >= _GROUP_ITEMS:
            yield group
            group = []
    if group:
        yield group


def _row(item: ReviewItem) -> tuple[str, ...]:
    created = item.instant("created_at")
    return (
        cell(item.item_id),  # whole, for it is what --item takes
        created.strftime("%Y-%m-%d %H:%M") if created is not None else "",
        *(head(cell(item.text(key)), _WORD_WIDTH) for key in ("recommended_action", "status", "reviewed_by")),
        head(cell(", ".join(item.labels)), _LABELS_WIDTH),
        head(cell(" / ".join(item.texts)), _TEXT_WIDTH),
    )


def _record(item: ReviewItem) -> dict[str, Any]:
    severity = item.number("severity")
    texts = ("status", "recommended_action", "entity_type", "entity_id", "entity_creator_id", "config_key")
    return {
        "id": storable_text(item.item_id),
        "created_at": item.instant("created_at"),
        "updated_at": item.instant("updated_at"),
        **{name: storable_text(item.text(name)) for name in texts},
        "severity": None if severity is None or abs(severity) >= 2**63 else int(severity),
        "ai_text_severity": storable_text(item.text("ai_text_severity")),
        "confidence": item.number("confidence_score"),
        "labels": [storable_text(label) for label in item.labels],
        "texts": [storable_text(text) for text in item.texts],
        "reviewed_by": storable_text(item.text("reviewed_by")),
        "item": json.dumps(item.raw),
    }
