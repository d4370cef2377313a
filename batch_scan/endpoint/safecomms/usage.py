"""What SafeComms' usage call says of rate and quota. Pure."""

from __future__ import annotations

from typing import Any

from batch_scan.endpoint.interface import Quota
from batch_scan.untrusted import clean_text

_TIER_CHARS = 100


def parse_usage(usage: Any) -> Quota:
    """Return what the usage call says; names in any case, for the vendor's own code expects two.

    A plan with no tokens left is a note and not an error: what was answered before still costs nothing.
    """
    if not isinstance(usage, dict):
        return Quota(note="rate and quota unknown: the usage answer is not an object")
    found = {name.lower(): value for name, value in usage.items()}
    rate = _count(found.get("ratelimit"))
    limit, used = _count(found.get("tokenlimit")), _count(found.get("tokensused"))
    remaining = _count(found.get("remainingtokens"))
    if remaining is None and limit is not None and used is not None:
        remaining = max(0, limit - used)
    if "tokenlimit" in found and found["tokenlimit"] is None:
        remaining = None
    tier = found.get("tier")
    notes = [f"tier {clean_text(tier, _TIER_CHARS)}"] if isinstance(tier, str) and tier else []
    if remaining == 0:
        notes.append("the plan has no tokens left: only answers that are there already will be used")
    return Quota(
        requests_per_minute=float(rate) if rate else None,
        tokens_used=used,
        tokens_remaining=remaining,
        note="; ".join(notes),
    )


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(0, int(value))
