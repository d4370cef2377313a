"""What a policy makes of what a judge holds against texts and pictures: flags, and the action recommended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.stream.contract import SEVERITIES, TEXT_ACTIONS
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from batch_scan.sandbox.judge import Opinion

TEXT_LABELS: Mapping[Category, tuple[str, ...]] = {
    Category.HARASSMENT: ("INSULT", "HARASSMENT", "BULLYING"),
    Category.HATE: ("HATE_SPEECH", "HATE"),
    Category.VIOLENCE: ("THREAT", "TERRORISM"),
    Category.SEXUAL: ("SEXUAL_HARASSMENT",),
    Category.SELF_HARM: ("SELF_HARM",),
    Category.PII: ("PII",),
    Category.SPAM: ("SCAM", "SPAM"),
    Category.MINOR: ("CHILD_SAFETY",),
}
IMAGE_LABELS_OF: Mapping[Category, str] = {
    Category.SEXUAL: "Explicit",
    Category.NUDITY: "Non-Explicit Nudity",
    Category.VIOLENCE: "Violence",
    Category.WEAPON: "Violence",
    Category.SELF_HARM: "Visually Disturbing",
    Category.DRUGS: "Drugs & Tobacco",
    Category.HATE: "Hate Symbols",
    Category.PROFANITY: "Rude Gestures",
}
_SEVERITY_FROM = ((0.9, "critical"), (0.75, "high"), (0.5, "medium"), (0.0, "low"))


@dataclass(frozen=True, slots=True)
class Flagged:
    """One thing that a policy holds against content."""

    engine: str
    label: str
    action: str
    severity: str = ""
    confidence: float | None = None
    """Between 0 and 1, of pictures."""


def gravest(flagged: Iterable[Flagged]) -> str:
    """Return the action recommended over all that is held against content."""
    return max((one.action for one in flagged), key=TEXT_ACTIONS.index, default="keep")


def gravest_severity(flagged: Iterable[Flagged]) -> str:
    """Return the gravest severity of texts, empty where there is none."""
    return max((one.severity for one in flagged if one.severity), key=SEVERITIES.index, default="")


def judge_text(
    text: str,
    opinions: Iterable[Opinion],
    policy: Mapping[str, Any],
    block_lists: Mapping[str, Collection[str]],
) -> list[Flagged]:
    """Return what a policy holds against a text."""
    opinions = list(opinions)
    flagged = [
        Flagged("ai_text", rule["label"], _action(rule, severity), severity)
        for opinion in opinions
        for rule in _rules(policy, "ai_text_config")
        if rule["label"] in TEXT_LABELS.get(opinion.category, ()) and (severity := _severity(opinion.score))
    ]
    swears = any(opinion.category is Category.PROFANITY for opinion in opinions)
    words = set(text.casefold().split())
    for rule in _rules(policy, "block_list_config"):
        name = rule["name"]
        listed = words & {word.casefold() for word in block_lists.get(name, ())}
        if listed or (swears and name.startswith("profanity")):
            flagged.append(Flagged("block_list", name, rule["action"]))
    return [one for one in flagged if one.action != "keep"]


def judge_picture(opinions: Iterable[Opinion], policy: Mapping[str, Any]) -> list[Flagged]:
    """Return what a policy holds against a picture."""
    return [
        Flagged("ai_image", rule["label"], rule["action"], confidence=opinion.score)
        for opinion in opinions
        for rule in _rules(policy, "ai_image_config")
        if rule["label"] == IMAGE_LABELS_OF.get(opinion.category)
        and opinion.score * 100 >= rule.get("min_confidence", 0)
    ]


def _rules(policy: Mapping[str, Any], section: str) -> list[Mapping[str, Any]]:
    config = policy.get(section, {})
    return list(config.get("rules", ())) if config.get("enabled", True) else []


def _action(rule: Mapping[str, Any], severity: str) -> str:
    by_severity = {one["severity"]: one["action"] for one in rule.get("severity_rules", ())}
    action: str = by_severity.get(severity, rule.get("action", "keep"))
    return action


def _severity(score: float) -> str:
    return next(word for least, word in _SEVERITY_FROM if score >= least)
