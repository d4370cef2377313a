"""Stream's review queue: one item for each content that something is held against, filtered and paged as asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.stream.contract import demand, refuse
from batch_scan.sandbox.stream.judging import Flagged, gravest, gravest_severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SEVERITY_NUMBERS = {"": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}
_DEFAULT_LIMIT = 25


def now_ns() -> int:
    """Return the present as the vendor writes it: nanoseconds since the epoch."""
    return time.time_ns()


class ReviewQueue:
    """See the module."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        """By entity type and id, in the order in which they came."""

    def put(self, check: Mapping[str, Any], flagged: Sequence[Flagged], status: str) -> dict[str, Any]:
        """Add what is held against a check's content; an item that is there already is brought up to date."""
        name = (check["entity_type"], check["entity_id"])
        before = self.items.get(name)
        created = before["created_at"] if before is not None else now_ns()
        number = before["id"] if before is not None else f"item-{len(self.items) + 1}"
        item = _item(check, flagged, status, number, created)
        self.items[name] = item
        return item

    def page(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of the items that a filter lets through."""
        found = [item for item in self.items.values() if _passes(item, body.get("filter", {}))]
        for sort in reversed(body.get("sort", [])):
            demand(sort.get("field") in {"created_at", "updated_at"}, 400, "this field cannot be sorted by")
            found.sort(key=lambda item, field=sort["field"]: item[field], reverse=sort.get("direction") == -1)  # type: ignore[misc]
        start = _place(body.get("next", ""))
        limit = body.get("limit", _DEFAULT_LIMIT)
        page = found[start : start + limit]
        told = {"items": page, "action_config": {}, "stats": {}, "filter_config": {}, "duration": "0.00ms"}
        more = start + limit < len(found) and limit > 0
        return {**told, "next": f"at-{start + limit}"} if more else told

    def by_id(self, item_id: str) -> dict[str, Any]:
        """Return an item. Raises Refusal (404)."""
        for item in self.items.values():
            if item["id"] == item_id:
                return item
        raise refuse(404, "SubmitAction failed with error: review queue item does not exist")


def _item(
    check: Mapping[str, Any], flagged: Sequence[Flagged], status: str, item_id: str, created_ns: int
) -> dict[str, Any]:
    severity = gravest_severity(flagged)
    confidences = [one.confidence for one in flagged if one.confidence is not None]
    now = now_ns()
    item: dict[str, Any] = {
        "id": item_id,
        "entity_type": check["entity_type"],
        "entity_id": check["entity_id"],
        "entity_creator_id": check["entity_creator_id"],
        "config_key": check["config_key"],
        "status": status,
        "recommended_action": gravest(flagged),
        "severity": _SEVERITY_NUMBERS[severity],
        "ai_text_severity": severity,
        "languages": ["en"],
        "flags": [_flag(check, one, now) for one in flagged],
        "flags_count": len(flagged),
        "actions": [],
        "bans": [],
        "moderation_payload": dict(check["moderation_payload"]),
        "created_at": created_ns,
        "updated_at": now,
        "escalated": False,
        "latest_moderator_action": "",
        "reviewed_by": "",
    }
    return {**item, "confidence_score": max(confidences)} if confidences else item


def _flag(check: Mapping[str, Any], one: Flagged, now: int) -> dict[str, Any]:
    return {
        "type": one.engine,
        "labels": [one.label],
        "result": [{"label": one.label, "action": one.action}],
        "reason": "",
        "user_id": check["entity_creator_id"],
        "entity_type": check["entity_type"],
        "entity_id": check["entity_id"],
        "entity_creator_id": check["entity_creator_id"],
        "created_at": now,
        "updated_at": now,
    }


def _passes(item: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_fits(_value(item, key), value) for key, value in wanted.items())


def _value(item: Mapping[str, Any], key: str) -> Any:
    if key == "reviewed":
        return bool(item["reviewed_by"])
    return item[key] if key in item else item["moderation_payload"].get("custom", {}).get(key)


def _fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    demand(set(wanted) <= {"$eq", "$in"}, 400, "QueryReviewQueue failed with error: this operator is not known")
    return wanted.get("$eq", value) == value and value in wanted.get("$in", [value])


def _place(token: str) -> int:
    if not token:
        return 0
    demand(token.startswith("at-") and token[3:].isdigit(), 400, "QueryReviewQueue failed with error: next is not ours")
    return int(token[3:])
