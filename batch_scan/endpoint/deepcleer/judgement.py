"""What DeepCleer says of one thing (a sound, a stretch of it, a picture) as claims, and claims as scores. Pure.

| the answer says | claim |
|---|---|
| `riskLevel` PASS, REVIEW, REJECT | `risk_scores`; REVIEW and REJECT are unclean |
| `riskLevel` in another word | 0.5 and unclean: never taken for clean |
| no `riskLevel` | no answer: `EndpointError` |
| a label in `allLabels` with a level of its own | that level's score |
| one with a `probability` alone | the probability |
| one with neither, or `allLabels` in another shape | 0.5 and unclean |
| `finalResult` other than 1 | at least the score of REVIEW and unclean: people at the vendor look at it still |
| a business label `minor`, where it was asked for | its probability, in `minor`; not unclean by itself |

Words are those of `riskDetail.matchedLists` and `riskSegments`. `riskDescription` is shown and never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.deepcleer.codes import unrecognised
from batch_scan.endpoint.deepcleer.fields import entries, number, pick, words
from batch_scan.endpoint.deepcleer.labels import category_of
from batch_scan.model import Score
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_scan.endpoint.deepcleer.config import RiskScores
    from batch_scan.model import Request, Sample

UNKNOWN_SCORE: Final = 0.5
"""What is said in words we do not know: the middle, and unclean."""
REVIEWED_BY_PEOPLE: Final = "the vendor's people still look at it (finalResult)"

_LABEL_CHARS: Final = 100
_CONTEXT_CHARS: Final = 1000
_MAX_WORDS: Final = 50


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing an answer says."""

    label: str
    score: float
    severity: str = ""
    unclean: bool = False
    category: Category = Category.OTHER
    text: str = ""
    context: str = ""
    span_s: tuple[float, float] | None = None
    """Seconds of the file, where they are narrower than the sample's."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How answers are read."""

    scores: RiskScores
    tells_minors: bool = False

    def grade(self, level: str) -> tuple[float, bool]:
        """Return the score of a risk level, and whether it is unclean."""
        match level.strip().upper():
            case "PASS":
                return self.scores.passed, False
            case "REVIEW":
                return self.scores.review, True
            case "REJECT":
                return self.scores.reject, True
            case _:
                return UNKNOWN_SCORE, True


def judge(part: Any, rules: Rules) -> list[Claim]:
    """Return what is said of one thing, its own level first. Raises EndpointError where it has none."""
    level = pick(part, "riskLevel")
    if not isinstance(level, str) or not level.strip():
        raise unrecognised("riskLevel is missing" if level is None else "riskLevel is no word")
    score, unclean = rules.grade(level)
    labels = _labels(part, "riskLabel")
    main = Claim(
        _joined(labels),
        score,
        clean_text(level, _LABEL_CHARS),
        unclean,
        category_of(labels),
        clean_text(_matched(part)),
        clean_text(_context(part), _CONTEXT_CHARS),
    )
    final = pick(part, "finalResult")
    if final is not None and number(final) != 1:
        told = f"{main.context} ({REVIEWED_BY_PEOPLE})" if main.context else REVIEWED_BY_PEOPLE
        main = replace(main, score=max(score, rules.scores.review), unclean=True, context=told)
    claims = [main, *_other_labels(part, main, rules)]
    return claims + list(_minors(part)) if rules.tells_minors else claims


def _other_labels(part: Any, main: Claim, rules: Rules) -> Iterator[Claim]:
    """Yield what `allLabels` says beside the main label, whose own entry is the same again."""
    listed = pick(part, "allLabels")
    if listed is not None and not isinstance(listed, list):
        yield not_understood("allLabels")
    for entry in entries(listed):
        labels = _labels(entry, "riskLabel")
        claim = _entry(entry, labels, rules)
        if claim.label != main.label or claim.score > main.score:
            yield claim


def _entry(entry: Any, labels: tuple[str, ...], rules: Rules) -> Claim:
    level, probability = pick(entry, "riskLevel"), _share(pick(entry, "probability"))
    context = f"probability {probability:g}" if probability is not None else ""
    if isinstance(level, str) and level.strip():
        score, unclean = rules.grade(level)
        severity = clean_text(level, _LABEL_CHARS)
    elif probability is not None and labels:
        score, unclean, severity = probability, False, ""
    else:
        return not_understood(_joined(labels) or "allLabels")
    return Claim(_joined(labels), score, severity, unclean, category_of(labels), clean_text(_matched(entry)), context)


def _minors(part: Any) -> Iterator[Claim]:
    for entry in entries(pick(part, "businessLabels")):
        labels = _labels(entry, "businessLabel")
        if category_of(labels) is Category.MINOR:
            share = _share(pick(entry, "probability"))
            yield Claim(_joined(labels), UNKNOWN_SCORE if share is None else share, category=Category.MINOR)


def not_understood(label: str) -> Claim:
    """Return the claim that stands for something that cannot be read."""
    return Claim(label, UNKNOWN_SCORE, unclean=True)


def to_score(endpoint: str, request: Request, sample: Sample, claim: Claim) -> Score:
    """Return the score of a claim about one of the request's samples."""
    start_s, end_s = sample.start_s, sample.end_s
    if claim.span_s is not None:
        start_s, end_s = (min(max(second, sample.start_s), sample.end_s) for second in claim.span_s)
    return Score(
        endpoint=endpoint,
        medium=sample.medium,
        start_s=start_s,
        end_s=end_s,
        category=claim.category,
        vendor_label=claim.label,
        score=claim.score,
        severity=claim.severity,
        unclean=claim.unclean,
        text=claim.text,
        context=claim.context,
        request_id=request.request_id,
        sample_digest=sample.digest,
    )


def _labels(part: Any, name: str) -> tuple[str, ...]:
    """Return the labels of a part from wide to narrow, empty ones left out."""
    told = (words(pick(part, f"{name}{level}")) for level in (1, 2, 3))
    shown = (clean_text(label, _LABEL_CHARS) for label in told)
    return tuple(dict.fromkeys(label for label in shown if label))


def _joined(labels: tuple[str, ...]) -> str:
    return clean_text("/".join(labels), _LABEL_CHARS)


def _matched(part: Any) -> str:
    """Return the words that were found, of sound or read in a picture."""
    detail = pick(part, "riskDetail")
    found: list[str] = []
    for place in (detail, pick(detail, "ocrText")):
        for matched in entries(pick(place, "matchedLists")):
            found += [words(pick(word, "word")) for word in entries(pick(matched, "words"))]
        found += [words(pick(segment, "segment")) for segment in entries(pick(place, "riskSegments"))]
    return "; ".join(list(dict.fromkeys(filter(None, found)))[:_MAX_WORDS])


def _context(part: Any) -> str:
    detail = pick(part, "riskDetail")
    said = (pick(part, "audioText"), pick(detail, "audioText"), pick(pick(detail, "ocrText"), "text"))
    described = pick(part, "riskDescription")
    return next((text for text in (*said, described) if isinstance(text, str) and text.strip()), "")


def _share(value: Any) -> float | None:
    share = number(value)
    return share if share is not None and 0.0 <= share <= 1.0 else None


def problem_of(part: Mapping[str, Any]) -> int | None:
    """Return `auxInfo.errorCode` where it says that something went wrong; None where it is 0 or missing."""
    told = pick(pick(part, "auxInfo"), "errorCode")
    code = number(told)
    if code is None:
        return None if told is None or told == "" else -1
    return int(code) or None
