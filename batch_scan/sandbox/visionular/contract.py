"""What the vendor's pages and its Go library say of a request: paths, fields, types, ranges. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.visionular.streams import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

_CREATE: Mapping[str, type] = {
    "user_metadata": str,
    "latency_mode": str,
    "audit_settings": dict,
    "type": str,
    "reconnect_window": int,
    "simulcast_targets": list,
    "policy": str,
    "record": bool,
    "watermark_settings": dict,
}
ALERT_TYPES = frozenset(MODELS)
DEFAULT_LIMIT = 25


class Problem(Exception):  # noqa: N818 - it is an answer, in the vendor's own words
    """A request that breaks the contract."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def demand(holds: object, message: str, status: int = 400) -> None:
    """Refuse a request where something does not hold."""
    if not holds:
        raise Problem(status, message)


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the object that a body holds."""
    demand(content_type.partition(";")[0] == "application/json", "the body is application/json")
    try:
        parsed = json.loads(body)
    except ValueError:
        raise Problem(400, "the body is not JSON") from None
    demand(isinstance(parsed, dict), "the body is not an object")
    return dict(parsed)


def check_create(fields: Mapping[str, Any]) -> None:
    """Check the fields of a new live stream."""
    for name, value in fields.items():
        demand(name in _CREATE, f"there is no field {name}")
        wrong_truth = isinstance(value, bool) and _CREATE[name] is not bool
        demand(isinstance(value, _CREATE[name]) and not wrong_truth, f"{name} has the wrong type")
    if "audit_settings" in fields:
        check_audit(fields["audit_settings"])


def check_audit(settings: Any) -> None:
    """Check audit settings."""
    demand(isinstance(settings, dict), "audit_settings is an object")
    demand(set(settings) == {"frame_interval", "models"}, "audit_settings holds frame_interval and models")
    interval = settings["frame_interval"]
    whole = isinstance(interval, int) and not isinstance(interval, bool)
    demand(whole and interval >= 1, "frame_interval is a whole number of seconds, at least 1")
    models = settings["models"]
    demand(isinstance(models, dict) and models, "models names at least one")
    for model, threshold in models.items():
        demand(model in MODELS, f"there is no model {model}")
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        demand(number and 0 <= threshold <= 1, f"the threshold of {model} lies between 0 and 1")


def paging(query: Mapping[str, str], known: frozenset[str], max_limit: int) -> tuple[int, int]:
    """Return page (from 1) and size that a query asks for; the size is cut to what the server gives at most."""
    for name in query:
        demand(name in known | {"page", "limit"}, f"there is no parameter {name}")
    page, limit = (query.get(name, str(default)) for name, default in (("page", 1), ("limit", DEFAULT_LIMIT)))
    demand(page.isdecimal() and int(page) >= 1, "page is a whole number from 1")
    demand(limit.isdecimal() and int(limit) >= 1, "limit is a whole number from 1")
    return int(page), min(int(limit), max_limit)
