"""Stream's contract as the vendor's pages, specification and library state it: fields, types, actions, errors.

Written apart from the product's own tables, so that the two check each other. Error codes are those that the vendor's
services are known for; the pages on moderation name none.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.exchange import Refusal, Told

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

TEXT_ACTIONS = ("keep", "flag", "mask", "mask_flag", "shadow", "bounce", "bounce_flag", "bounce_remove", "remove")
"""From the mildest to the gravest: of several the gravest is recommended."""
IMAGE_ACTIONS = ("flag", "shadow", "remove", "bounce", "bounce_flag", "bounce_remove")
SEVERITIES = ("low", "medium", "high", "critical")
IMAGE_LABELS = (
    "Explicit",
    "Non-Explicit Nudity",
    "Swimwear/Underwear",
    "Violence",
    "Visually Disturbing",
    "Drugs & Tobacco",
    "Alcohol",
    "Rude Gestures",
    "Gambling",
    "Hate Symbols",
)
SUBMIT_ACTIONS = frozenset(
    {
        "flag",
        "mark_reviewed",
        "delete_message",
        "delete_activity",
        "delete_comment",
        "delete_reaction",
        "delete_user",
        "delete_user_messages",
        "ban",
        "unban",
        "block",
        "unblock",
        "shadow_block",
        "unmask",
        "restore",
        "custom",
        "kick_user",
        "end_call",
        "escalate",
        "de_escalate",
        "reject_appeal",
        "bypass",
    }
)

_CODES = {400: 4, 401: 5, 403: 17, 404: 16, 413: 22, 415: 4, 429: 9}
_CHECK = {
    "entity_type": str,
    "entity_id": str,
    "entity_creator_id": str,
    "config_key": str,
    "config_team": str,
    "moderation_payload": dict,
    "content_published_at": str,
    "test_mode": bool,
    "options": dict,
    "user_id": str,
    "user": dict,
}
_CHECK_REQUIRED = ("entity_type", "entity_id", "entity_creator_id", "config_key", "moderation_payload")
_MOST = {"texts": None, "images": 30, "videos": 30, "audios": 10, "other_media": 30}
_POLICY = {
    "key": str,
    "async": bool,
    "team": str,
    "user_id": str,
    "ai_text_config": dict,
    "ai_image_config": dict,
    "ai_video_config": dict,
    "ai_audio_config": dict,
    "block_list_config": dict,
}
_QUEUE = {
    "filter": dict,
    "sort": list,
    "limit": int,
    "next": str,
    "prev": str,
    "lock_items": bool,
    "lock_count": int,
    "lock_duration": int,
    "stats_only": bool,
}
MOST_ITEMS = 100


def error(status: int, message: str, *, unrecoverable: bool = False, code: int | None = None) -> dict[str, Any]:
    """Return an error's body."""
    told: dict[str, Any] = {
        "code": _CODES.get(status, -1) if code is None else code,
        "message": message,
        "StatusCode": status,
        "duration": "0.00ms",
        "more_info": "",
        "details": [],
    }
    return {**told, "unrecoverable": True} if unrecoverable else told


def refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Refusal:
    """Return what a request that breaks the contract is answered."""
    return Refusal(Told(error(status, message), status, headers or {}))


def demand(holds: object, status: int, message: str) -> None:
    """Refuse unless `holds`."""
    if not holds:
        raise refuse(status, message)


def check_fields(body: Mapping[str, Any]) -> None:
    """Refuse a check without what it must have, with what nobody knows, or with more than it may have."""
    _typed("Check", body, _CHECK)
    for name in _CHECK_REQUIRED:
        demand(body.get(name), 400, f'Check failed with error: "{name} is a required field"')
    own = not body["entity_type"].startswith("stream:")
    demand(own, 400, "Check failed with error: this entity_type belongs to another product")
    options = body.get("options", {})
    known = set(options) <= {"force_sync"} and all(isinstance(value, bool) for value in options.values())
    demand(known, 400, "Check failed with error: options are not known")
    if "content_published_at" in body:
        _instant(body["content_published_at"])
    _payload(body["moderation_payload"])


def check_policy(body: Mapping[str, Any]) -> None:
    """Refuse a policy whose key, labels, names, actions or confidences are missing or wrong."""
    _typed("UpsertConfig", body, _POLICY)
    demand(body.get("key"), 400, 'UpsertConfig failed with error: "key is a required field"')
    for rule in _rules(body, "ai_text_config"):
        _text_rule(rule)
    for rule in _rules(body, "block_list_config"):
        _known(rule, {"name", "action", "team"})
        demand(isinstance(rule.get("name"), str) and rule["name"], 400, "a block list rule needs a name")
        demand(rule.get("action") in TEXT_ACTIONS, 400, "action is not one of the allowed")
    for rule in _rules(body, "ai_image_config"):
        _image_rule(rule)


def check_queue(body: Mapping[str, Any]) -> None:
    """Refuse a question about the review queue that is not one."""
    _typed("QueryReviewQueue", body, _QUEUE)
    limit = body.get("limit", 25)
    demand(0 <= limit <= MOST_ITEMS, 400, 'QueryReviewQueue failed with error: "limit must be 100 or less"')


def check_action(body: Mapping[str, Any]) -> None:
    """Refuse an action that is not known, or has options of another."""
    action = body.get("action_type")
    demand(action in SUBMIT_ACTIONS, 400, 'SubmitAction failed with error: "action_type is not one of the allowed"')
    demand(isinstance(body.get("item_id"), str), 400, 'SubmitAction failed with error: "item_id is a required field"')
    others = set(body) - {"action_type", "item_id", "user_id", "user", action}
    demand(not others, 400, "SubmitAction failed with error: options of another action")
    demand(isinstance(body.get(str(action), {}), dict), 400, "SubmitAction failed with error: options are an object")


def _typed(operation: str, body: Mapping[str, Any], fields: Mapping[str, type]) -> None:
    for name, value in body.items():
        demand(name in fields, 400, f'{operation} failed with error: "{name} is not known"')
        right = isinstance(value, fields[name]) and (fields[name] is bool or not isinstance(value, bool))
        demand(right, 400, f'{operation} failed with error: "{name} has the wrong type"')


def _payload(payload: Mapping[str, Any]) -> None:
    demand(any(payload.get(kind) for kind in _MOST), 400, "Check failed with error: moderation_payload is empty")
    for kind, values in payload.items():
        if kind == "custom":
            demand(isinstance(values, dict), 400, "Check failed with error: custom is an object")
            continue
        demand(kind in _MOST, 400, f'Check failed with error: "{kind} is not known"')
        right = isinstance(values, list) and all(isinstance(value, str) for value in values)
        demand(right, 400, f'Check failed with error: "{kind} is a list of strings"')
        most = _MOST[kind]
        demand(most is None or len(values) <= most, 400, f'Check failed with error: "{kind} has more than {most}"')


def _rules(body: Mapping[str, Any], section: str) -> list[dict[str, Any]]:
    config = body.get(section, {})
    _known(config, {"enabled", "async", "profile", "rules", "severity_rules", "match_substring", "ocr_rules"})
    rules = config.get("rules", [])
    right = isinstance(rules, list) and all(isinstance(rule, dict) for rule in rules)
    demand(right, 400, f"{section}.rules is a list of objects")
    return list(rules)


def _text_rule(rule: Mapping[str, Any]) -> None:
    _known(rule, {"label", "action", "severity_rules"})
    demand(isinstance(rule.get("label"), str) and rule["label"], 400, "a rule needs a label")
    severities = rule.get("severity_rules", [])
    demand(rule.get("action") in TEXT_ACTIONS or (severities and "action" not in rule), 400, "action is not allowed")
    for one in severities:
        right = isinstance(one, dict) and one.get("severity") in SEVERITIES and one.get("action") in TEXT_ACTIONS
        demand(right, 400, "a severity rule needs a severity and an action")


def _image_rule(rule: Mapping[str, Any]) -> None:
    _known(rule, {"label", "action", "min_confidence", "subclassifications"})
    demand(isinstance(rule.get("label"), str) and rule["label"], 400, "a rule needs a label")
    demand(rule.get("action") in IMAGE_ACTIONS, 400, "action is not one of the allowed")
    least = rule.get("min_confidence", 0)
    right = isinstance(least, int | float) and not isinstance(least, bool) and 0 <= least <= 100  # noqa: PLR2004
    demand(right, 400, "min_confidence is between 0 and 100")


def _known(table: Mapping[str, Any], names: Collection[str]) -> None:
    demand(set(table) <= set(names), 400, f"not known: {', '.join(sorted(set(table) - set(names)))}")


def _instant(text: str) -> None:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    demand(zone is not None, 400, 'Check failed with error: "content_published_at is no time"')
