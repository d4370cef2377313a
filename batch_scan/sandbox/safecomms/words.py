"""What is said of a sample in the words of SafeComms' answers: by a judge, or by the simplest means.

| score of an opinion | severity |
|---|---|
| below 0.15 | None |
| below 0.45 | Low |
| below 0.75 | Medium |
| from 0.75 on | High |

The vendor names five categories. Nudity is told as Sexual, weapons as Violence, profanity as Harassment; of what no
name comes near (drugs, spam, music …) it says nothing, as the service itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from batch_scan.sandbox.safecomms.contract import CATEGORIES, SEVERITIES
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batch_scan.sandbox.judge import Judge, Opinion

Teller = Callable[[bytes, str], Mapping[str, Any]]
"""Content and operation (``audio``, ``image``) to what the answer says of it, as `clean()` and `found(...)` make it.
Raises ValueError where the content is no picture or no sound."""

_NAMES: Final[Mapping[Category, str]] = {
    Category.HATE: "HateSpeech",
    Category.HARASSMENT: "Harassment",
    Category.PROFANITY: "Harassment",
    Category.SELF_HARM: "SelfHarm",
    Category.SEXUAL: "Sexual",
    Category.NUDITY: "Sexual",
    Category.VIOLENCE: "Violence",
    Category.WEAPON: "Violence",
}
_FROM: Final = (("High", 0.75), ("Medium", 0.45), ("Low", 0.15))


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


def by_digest(truth: Mapping[str, Mapping[str, str]]) -> Teller:
    """Return what finds, in content with one of these SHA-256, those severities by category."""

    def tell(content: bytes, _operation: str) -> Mapping[str, Any]:
        scores = truth.get(hashlib.sha256(content).hexdigest())
        return clean() if scores is None else found(scores)

    return tell


def by_judge(judge: Judge) -> Teller:
    """Return what puts a judge's opinions into SafeComms' words; of sound, what is said in it is judged.

    Sound has a `transcription`, in a form of ours, for the vendor documents none: the whole text, and segments with
    seconds.
    """

    def tell(content: bytes, operation: str) -> Mapping[str, Any]:
        if operation == "image":
            return _told(list(_issues(judge.picture(content), "")), with_issues=False)
        heard = judge.speech(content)
        segments = [{"start": one.start_s, "end": one.end_s, "text": one.text} for one in heard]
        said = {"text": " ".join(one.text for one in heard), "segments": segments}
        issues = [issue for one in heard for issue in _issues(judge.words(one.text), one.text)]
        return _told(issues, with_issues=True) | {"transcription": said}

    return tell


def _issues(opinions: Sequence[Opinion], context: str) -> Iterator[dict[str, str]]:
    for opinion in opinions:
        severity = next((word for word, least in _FROM if opinion.score >= least), None)
        if opinion.category in _NAMES and severity is not None:
            category = _NAMES[opinion.category]
            yield {"term": opinion.text, "context": context, "category": category, "severity": severity}


def _told(issues: list[dict[str, str]], *, with_issues: bool) -> dict[str, Any]:
    """Return the answer; its issues are about words, which a picture without a reading of its text has not."""
    if not issues:
        return clean()
    worst: dict[str, str] = {}
    for issue in issues:
        worst[issue["category"]] = max(issue["severity"], worst.get(issue["category"], "None"), key=SEVERITIES.index)
    return found(worst, issues if with_issues else [])
