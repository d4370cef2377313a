"""The policy under which Stream judges: written from the job, read back, and compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.stream import strictness, wire
from batch_scan.errors import EndpointError, Failure
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_scan.endpoint.stream.client import StreamClient
    from batch_scan.endpoint.stream.config import StreamConfig

_SECTIONS = {"ai_text_config": "text", "block_list_config": "block list", "ai_image_config": "image"}
_PUSH = "batch-scan policy push JOB"
_WORD_CHARS = 128


async def push_policy(client: StreamClient, config: StreamConfig) -> Mapping[str, Any]:
    """Write the job's policy and return it as Stream keeps it. A policy that stood there is replaced.

    Raises EndpointError.
    """
    return config_in((await client.upsert_config(wire.policy_body(config.config_key, config.policy))).json)


async def read_policy(client: StreamClient, config: StreamConfig) -> Mapping[str, Any]:
    """Return the policy as Stream keeps it. Raises EndpointError, which says how to write it where there is none."""
    try:
        return config_in((await client.get_config(config.config_key)).json)
    except EndpointError as error:
        if error.http_status == 404:  # noqa: PLR2004 - Not Found
            raise missing_policy(config) from None
        raise


def config_in(told: Any) -> Mapping[str, Any]:
    """Return the policy that an answer holds. Raises EndpointError (`REFUSED`) where it holds none."""
    config = told.get("config") if isinstance(told, dict) else None
    if not isinstance(config, dict):
        raise EndpointError(Failure.REFUSED, "the answer of stream holds no policy")
    return config


def missing_policy(config: StreamConfig) -> EndpointError:
    """Return the error for a policy that is not there."""
    return EndpointError(
        Failure.FATAL,
        f"stream has no policy {config.config_key!r}: write it with {_PUSH}, or make it in Stream's dashboard "
        "(if it is there, look at base_url)",
        http_status=404,
        vendor_code="no_policy",
    )


def check_policy(config: StreamConfig, kept: Mapping[str, Any]) -> None:
    """Compare a policy that was read before a scan with the job's.

    Raises EndpointError (`FATAL`) where it lacks rules of the job or is laxer: what they are about would pass as clean.
    """
    missing = [rule for section in _SECTIONS for rule in _missing(config, kept, section)]
    if missing:
        raise EndpointError(
            Failure.FATAL,
            f"the policy {config.config_key!r} at stream lacks rules of this job, or has laxer ones "
            f"({', '.join(missing)}): write them with {_PUSH}",
            vendor_code="other_policy",
        )


def unread_policy(config: StreamConfig, error: EndpointError) -> EndpointError:
    """Return the error for a policy that cannot be compared with the job's."""
    return EndpointError(
        Failure.FATAL,
        f"whether the policy {config.config_key!r} at stream holds the rules of this job cannot be told: "
        f"{error.detail}",
        http_status=error.http_status,
        vendor_code=error.vendor_code,
    )


def unknown_image_labels(config: StreamConfig, kept: Mapping[str, Any]) -> list[str]:
    """Return the labels of the job's image rules that are not among those that Stream says it knows."""
    known = set(image_labels(kept))
    return [rule.label for rule in config.policy.ai_image if known and rule.label not in known]


def image_labels(kept: Mapping[str, Any]) -> list[str]:
    """Return the image labels that Stream says it knows; empty where it does not say."""
    definitions = kept.get("ai_image_label_definitions")
    told = [one for one in definitions if isinstance(one, dict)] if isinstance(definitions, list) else []
    return [label for one in told if isinstance(label := one.get("label"), str)]


def policy_text(kept: Mapping[str, Any]) -> str:
    """Return a policy as a person reads it; every line safe to show."""
    lines = [f"policy {_shown(kept.get('key'))}"]
    for section, name in _SECTIONS.items():
        off = " (switched off)" if _is_off(kept, section) else ""
        lines += [f"  {name}: {_rule_text(rule)}{off}" for rule in _rules(kept, section)]
    others = sorted(key for key in kept if key.endswith("_config") and key not in _SECTIONS and kept[key])
    lines += [f"  also set: {_shown(key)}" for key in others]
    if len(lines) == 1:
        lines.append("  no rules")
    labels = image_labels(kept)
    if labels:
        lines.append("image labels that Stream knows: " + ", ".join(map(_shown, labels)))
    return "\n".join(lines) + "\n"


def _missing(config: StreamConfig, kept: Mapping[str, Any], section: str) -> Iterator[str]:
    wanted = wire.policy_body(config.config_key, config.policy).get(section, {}).get("rules", [])
    told = kept.get(section)
    there = told if isinstance(told, dict) else {}
    off = ", switched off" if _is_off(kept, section) else ""
    for rule in wanted:
        if off or not strictness.holds(there, rule, wanted):
            yield f"{_SECTIONS[section]} {_rule_text(rule)}{off}"


def _is_off(kept: Mapping[str, Any], section: str) -> bool:
    told = kept.get(section)
    return isinstance(told, dict) and told.get("enabled") is False


def _rules(kept: Mapping[str, Any], section: str) -> Iterator[Mapping[str, Any]]:
    told = kept.get(section)
    rules = told.get("rules") if isinstance(told, dict) else None
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict):
            yield rule


def _rule_text(rule: Mapping[str, Any]) -> str:
    severities = rule.get("severity_rules")
    told = [one for one in severities if isinstance(one, dict)] if isinstance(severities, list) else []
    actions = [_shown(rule["action"])] if rule.get("action") else []
    actions += [f"{_shown(one.get('severity'))} {_shown(one.get('action'))}" for one in told]
    least = rule.get("min_confidence")
    since = f" from {least:g} %" if isinstance(least, int | float) else ""
    return f"{_shown(rule.get('label') or rule.get('name'))} -> {', '.join(actions) or 'nothing'}{since}"


def _shown(value: Any) -> str:
    return clean_text(value if isinstance(value, str) else "?", _WORD_CHARS)
