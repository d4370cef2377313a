"""SafeComms' contract as the vendor's pages state it: fields, types, tiers, prices, problems.

Written apart from the product's own tables, so that the two check each other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SEVERITIES = ("None", "Low", "Medium", "High")
CATEGORIES = ("HateSpeech", "Harassment", "SelfHarm", "Sexual", "Violence")
TIERS = ("Free", "Basic", "Starter", "Pro", "Business", "Enterprise")

# option: (type, tokens, lowest tier); written out apart from the adapter's own table, so that the two check each other.
_AUDIO: Mapping[str, tuple[type, int, str]] = {
    "extractMetadata": (bool, 1, "Starter"),
    "transcribe": (bool, 10, "Starter"),
    "transcriptionMode": (str, 0, "Starter"),
    "analyzeSentiment": (bool, 1, "Starter"),
    "detectTopics": (bool, 1, "Starter"),
    "detectPii": (bool, 2, "Pro"),
    "includeTimestamps": (bool, 1, "Pro"),
    "customKeywords": (list, 2, "Business"),
    "detectDistress": (bool, 2, "Business"),
    "analyzeQuality": (bool, 2, "Business"),
}
_IMAGE: Mapping[str, tuple[type, int, str]] = {
    "extractMetadata": (bool, 1, "Starter"),
    "enableOcr": (bool, 3, "Pro"),
    "enhancedOcr": (bool, 5, "Pro"),  # 8 together with the 3 of enableOcr, without which it is refused
}
_COMMON: Mapping[str, tuple[type, int, str]] = {"language": (str, 0, "Free"), "moderationProfileId": (str, 0, "Free")}
_OPTIONS = {"audio": {**_COMMON, **_AUDIO}, "image": {**_COMMON, **_IMAGE}}
BASE_TOKENS = {"audio": 50, "image": 20}
PULL_S = {"audio": 30.0, "image": 5.0}
"""How long what is named by its URL may take to arrive."""
MAGIC = {
    "audio": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"RIFF", b"fLaC", b"OggS"),
    "image": (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8"),
}


class Problem(Exception):  # noqa: N818 - it is an answer
    """An RFC 7807 problem, which the server answers with."""

    def __init__(self, status: int, title: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def demand(holds: object, status: int, title: str, detail: str) -> None:
    """Raise the problem unless `holds`."""
    if not holds:
        raise Problem(status, title, detail)


def operation_of(path: str) -> tuple[str, bool]:
    """Return the operation that a path names, and whether it is its upload form."""
    parts = path.strip("/").split("/")
    match parts:
        case ["moderation", kind] if kind in BASE_TOKENS:
            return kind, False
        case ["moderation", kind, "upload"] if kind in BASE_TOKENS:
            return kind, True
        case _:
            raise Problem(404, "Not Found", "there is nothing here")


def from_text(operation: str, name: str, value: str) -> Any:
    """Return the value of a form's field."""
    kind = _OPTIONS[operation].get(name, (str, 0, ""))[0]
    if kind is bool:
        demand(value in {"true", "false"}, 400, "Bad Request", f"{name} is true or false")
        return value == "true"
    if kind is list:
        try:
            return json.loads(value)
        except ValueError:
            raise Problem(400, "Bad Request", f"{name} is a JSON list") from None
    return value


def check_fields(operation: str, fields: Mapping[str, Any], tier: str) -> None:
    """Refuse unknown fields, wrong types, options without those they need, and what the tier does not have."""
    known = _OPTIONS[operation]
    for name, value in fields.items():
        demand(name in known, 400, "Bad Request", f"there is no field {name}")
        right = isinstance(value, known[name][0]) and (not isinstance(value, list) or all(map(_is_word, value)))
        demand(right, 400, "Bad Request", f"{name} has the wrong type")
        if value not in (False, []):
            _demand_tier(name, known[name][2], tier)
    mode = fields.get("transcriptionMode", "single")
    demand(mode in {"single", "multiple"}, 400, "Bad Request", "transcriptionMode is single or multiple")
    if mode == "multiple":
        _demand_tier("transcriptionMode multiple", "Pro", tier)
    timed = not fields.get("includeTimestamps") or fields.get("transcribe") is True
    demand(timed, 400, "Bad Request", "includeTimestamps requires transcribe")
    read = not fields.get("enhancedOcr") or fields.get("enableOcr") is True
    demand(read, 400, "Bad Request", "enhancedOcr requires enableOcr")
    if fields.get("language", "English") != "English":
        _demand_tier("another language", "Pro", tier)


def price(operation: str, fields: Mapping[str, Any], tier: str) -> int:
    """Return what a request with these fields costs."""
    _demand_tier(operation, "Starter", tier)
    options = sum(_OPTIONS[operation][name][1] for name, value in fields.items() if value)
    return BASE_TOKENS[operation] + options + (1 if fields.get("language", "English") != "English" else 0)


def _demand_tier(what: str, needed: str, tier: str) -> None:
    demand(TIERS.index(tier) >= TIERS.index(needed), 403, "Forbidden", f"{what} requires the {needed} tier")


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value != ""


def time_span(seconds: float) -> str:
    """Return a length as the page shows it: ``00:00:15.5000000``."""
    minutes, rest_s = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02d}:{minutes:02d}:{rest_s:010.7f}"
