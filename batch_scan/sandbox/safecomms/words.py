"""What a judge may say of a sample, in the words of SafeComms' answers, and the simplest judges."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from batch_scan.sandbox.safecomms.contract import CATEGORIES, SEVERITIES

Judge = Callable[[bytes, str], Mapping[str, Any]]
"""Content and operation (``audio``, ``image``) to what the answer says of it, as `clean()` and `found(...)` make it."""


def clean(**fields: Any) -> dict[str, Any]:
    """Return what the answer says of a clean sample."""
    return {
        "isClean": True,
        "severity": "None",
        "categoryScores": dict.fromkeys(CATEGORIES, "None"),
        "issues": [],
    } | fields


def found(scores: Mapping[str, str], issues: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """Return what the answer says of a sample with these severities by category."""
    worst = max(scores.values(), key=SEVERITIES.index)
    every = dict.fromkeys(CATEGORIES, "None") | dict(scores)
    return {"isClean": False, "severity": worst, "categoryScores": every, "issues": issues or []} | fields


def all_clean(_content: bytes, _operation: str) -> Mapping[str, Any]:
    """Judge everything clean."""
    return clean()


def by_digest(truth: Mapping[str, Mapping[str, str]]) -> Judge:
    """Return a judge that finds, in content with one of these SHA-256, those severities by category."""

    def judge(content: bytes, _operation: str) -> Mapping[str, Any]:
        scores = truth.get(hashlib.sha256(content).hexdigest())
        return clean() if scores is None else found(scores)

    return judge
