"""A plan as text for a person and as values for a program. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_scan.duration import format_duration
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from batch_scan.plan import PlanOutcome, ServiceQuote

_HOUR_S = 3600.0
_SHARED = "share the answer of a near-twin"


def plan_text(plan: PlanOutcome) -> str:
    """Return the plan as aligned lines."""
    lines = [
        f"files          {plan.files} ({plan.to_scan} to scan, {plan.duplicates} with the content of another)",
        f"media          {plan.media_s / _HOUR_S:.2f} hours",
        f"frames         {plan.frames} to judge, {plan.frames_deduplicated} {_SHARED}{_saved(plan)}",
    ]
    if plan.ways.text:
        lines.append(f"pictures       {plan.ways.text}")
    for name, quote in sorted(plan.services.items()):
        lines.append(f"{name:<14} {_service_line(quote)}")
    for reason, count in plan.not_examined.most_common():
        told = clean_text(plan.examples.get(reason, ""))
        lines.append(f"not examined   {count} files: {reason}" + (f", such as: {told}" if told else ""))
    lines.append("nothing was sent; words are counted only once they have been transcribed")
    return "\n".join(lines) + "\n"


def plan_dict(plan: PlanOutcome) -> dict[str, Any]:
    """Return the plan as JSON-able values."""
    return {
        "items": plan.files,
        "to_scan": plan.to_scan,
        "duplicates": plan.duplicates,
        "media_hours": round(plan.media_s / _HOUR_S, 6),
        "frames": plan.frames,
        "frames_deduplicated": plan.frames_deduplicated,
        "tokens_saved": plan.tokens_saved,
        "decoding": plan.ways.values,
        "requests": sum(quote.requests for quote in plan.services.values()),
        "cached_requests": sum(quote.cached_requests for quote in plan.services.values()),
        "tokens": plan.tokens,
        "services": {name: _service_dict(quote) for name, quote in sorted(plan.services.items())},
        "not_examined": {str(reason): count for reason, count in plan.not_examined.items()},
        "not_examined_examples": {str(reason): clean_text(told) for reason, told in plan.examples.items()},
    }


def _saved(plan: PlanOutcome) -> str:
    return f", which saves {plan.tokens_saved} tokens" if plan.tokens_saved else ""


def _service_line(quote: ServiceQuote) -> str:
    cached = f", {quote.cached_requests} answered already" if quote.cached_requests else ""
    cost = f", cost {quote.cost:.2f}" if quote.cost is not None else ""
    time_s = quote.time_s
    time = f", {format_duration(time_s)} {_pace(quote)}" if time_s is not None else ""
    return f"{quote.requests} requests{cached}, {quote.tokens} tokens{cost}{time}"


def _pace(quote: ServiceQuote) -> str:
    if quote.live_s:
        return f"to play {format_duration(quote.live_s)} at its own speed, {quote.concurrency} at a time"
    return f"at {quote.requests_per_minute:g} requests a minute"


def _service_dict(quote: ServiceQuote) -> dict[str, Any]:
    return {
        "requests": quote.requests,
        "cached_requests": quote.cached_requests,
        "tokens": quote.tokens,
        "tokens_saved": quote.tokens_saved,
        "cost": quote.cost,
        "time_s": quote.time_s,
    }
