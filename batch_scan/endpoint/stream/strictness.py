"""Whether a policy that stands at Stream holds a rule of the job, or is laxer about what the rule is about. Pure.

It may say more than the job, about other labels. What it says about the same label has to come to the same: an action
that a severity takes back, a confidence that is higher, a second rule for the label, all let through what the job
forbids. Which of two rules wins at Stream is not documented, so that the laxer one is taken to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.stream.config import Severity
from batch_scan.endpoint.stream.labels import ACTION_SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ANY: Final = "any"
"""A label whose severity is not told."""
_CONDITIONS: Final = (_ANY, *Severity)


def holds(section: Mapping[str, Any], wanted: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a section of a policy, as Stream tells it, is at least as strict as a rule of the job.

    Args:
        section: such as ``ai_text_config``, with its rules; anything may stand there.
        wanted: the rule, as the job pushes it.
        rules: all rules that the job pushes for this section.
    """
    there = [rule for rule in _tables(section, "rules") if _subject(rule) == _subject(wanted)]
    own = [rule for rule in rules if _subject(rule) == _subject(wanted)]
    return (
        any(_is_as_strict(rule, wanted) for rule in there)
        and all(any(_is_as_strict(rule, one) for one in own) for rule in there)
        and not _is_taken_back(section, wanted)
    )


def _is_as_strict(rule: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return (
        rule.get("enabled") is not False
        and not rule.get("team")  # for one team's content alone, and ours is no team's
        and _is_whole(rule.get("subclassifications"))
        and _least(rule) <= _least(wanted)
        and all(there == wished for there, wished in zip(_actions(rule), _actions(wanted), strict=True) if wished[0])
    )


def _is_taken_back(section: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether severities of the section, whatever the label, ask for less than the rule."""
    asked = dict(zip(_CONDITIONS, _actions(wanted), strict=True))
    for one in _tables(section, "severity_rules"):
        for wished in asked.get(_word(one.get("severity")), ()):
            if _grade(_word(one.get("action"))) < _grade(wished):
                return True
    return False


def _actions(rule: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return what a rule asks for under each condition: its own action, unless the severity has one, or several."""
    told = _tables(rule, "severity_rules")
    by_severity = {
        severity: {_word(one.get("action")) for one in told if _word(one.get("severity")) == severity}
        for severity in Severity
    }
    own = (_word(rule.get("action")),)
    return [tuple(sorted(by_severity.get(condition, ()))) or own for condition in _CONDITIONS]


def _is_whole(subclassifications: Any) -> bool:
    """Say whether a label is meant with all that is below it."""
    if isinstance(subclassifications, dict):
        return all(value is True for value in subclassifications.values())
    return not subclassifications


def _least(rule: Mapping[str, Any]) -> float:
    least = rule.get("min_confidence")
    if least is None:
        return 0.0
    return least if isinstance(least, int | float) else math.inf


def _grade(action: str) -> float:
    return ACTION_SCORES.get(action, 0.0)


def _subject(rule: Mapping[str, Any]) -> str:
    return _word(rule.get("label") or rule.get("name"))


def _word(told: Any) -> str:
    return told.casefold() if isinstance(told, str) else ""


def _tables(within: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    told = within.get(key)
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
