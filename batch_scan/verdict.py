"""Pure judgement: scores and a policy give findings; findings and what was not examined give a verdict.

`keep` is given in exactly one place, at the end of `conclude`, and only where something was planned and nothing is
missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.model import Finding, Score, Shortfall
from batch_scan.vocabulary import Action, Reason, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batch_scan.job import PolicyTable

CHOSEN = frozenset({Reason.EXCLUDED, Reason.LIMIT, Reason.TIME_LIMIT})
"""Reasons that are the user's own choice: a file left out for nothing else is `skipped`, not `failed`."""

_RANK = {Verdict.UNKNOWN: 0, Verdict.KEEP: 0, Verdict.FLAG: 1, Verdict.REMOVE: 2}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a file's row says."""

    verdict: Verdict
    status: Status
    shortfall: Shortfall | None = None
    """The first and foremost thing that is missing; None where nothing is."""


def act(score: Score, policy: PolicyTable) -> Action:
    """Return what the policy does with one score. An endpoint that calls a sample unclean makes at least a flag."""
    threshold = policy.threshold(score.category)
    if not 0.0 <= score.score <= 1.0:  # NaN among them: a number that says nothing is not a clean bill
        return Action.FLAG
    if threshold.remove is not None and score.score >= threshold.remove:
        return Action.REMOVE
    if score.unclean or (threshold.flag is not None and score.score >= threshold.flag):
        return Action.FLAG
    return Action.KEEP


def find(scores: Iterable[Score], policy: PolicyTable) -> list[Finding]:
    """Return the findings among `scores`, in order of time, worst first where times are equal."""
    found = [Finding(score, action) for score in scores if (action := act(score, policy)) is not Action.KEEP]
    return sorted(found, key=lambda finding: (finding.score.start_s, -finding.score.score, finding.score.vendor_label))


def conclude(findings: Sequence[Finding], shortfalls: Sequence[Shortfall], answered: int, planned: int) -> Conclusion:
    """Return verdict and status of a file.

    Args:
        findings: what the policy objects to.
        shortfalls: everything that should have been examined and was not.
        answered: pieces (samples, stretches of silence) that were examined.
        planned: pieces that were to be examined.
    """
    missing = list(shortfalls)
    if planned == 0 and not missing:
        missing = [Shortfall(Reason.NO_SAMPLES, "nothing in this file can be judged by the endpoints of this job")]
    if answered < planned and not missing:
        missing = [Shortfall(Reason.INTERNAL, f"{planned - answered} of {planned} pieces were not accounted for")]
    first = missing[0] if missing else None
    status = _status(missing, answered)
    if findings:
        removed = any(finding.action is Action.REMOVE for finding in findings)
        return Conclusion(Verdict.REMOVE if removed else Verdict.FLAG, status, first)
    return Conclusion(Verdict.KEEP if first is None else Verdict.UNKNOWN, status, first)


def _status(missing: Sequence[Shortfall], answered: int) -> Status:
    if not missing:
        return Status.COMPLETE
    if answered:
        return Status.PARTIAL
    return Status.SKIPPED if all(gap.reason in CHOSEN for gap in missing) else Status.FAILED


def at_or_above(verdict: Verdict, bound: Verdict) -> bool:
    """Tell whether a verdict is as bad as `bound` or worse."""
    return _RANK[verdict] >= _RANK[bound] > 0
