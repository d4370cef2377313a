"""SafeComms' answers to scores. Pure, so that stored answers can be read again.

| the answer says | score |
|---|---|
| a category's severity word | `severity_scores`: None 0, Low 0.3, Medium 0.6, High 0.9 |
| a severity word that is not known | 0.5 and unclean: never taken for clean |
| an issue | its severity, else its category's, else the answer's; with term, context, and times where they are known |
| `severity` above every category | a score of its own in `other` |
| `isClean: false` | the worst score is unclean; where nothing is above 0, a score of 0.5 in `other` |
| `isBypassAttempt: true`, `addons.replacedUnsafe: true` | 0.5 in `other`, unclean |
| `addons.replacedPii: true` | 0.6 in `pii` |
| any other field of `addons` that says something | 0.5 in `other`, unclean |
| a field that is not known, where an option is set whose findings stand in fields that nobody documents | the same |
| no `isClean`, or one that is not true or false | no answer: `EndpointError` |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.answer_json import parse_json
from batch_scan.endpoint.safecomms.times import Transcription, transcription_of
from batch_scan.endpoint.safecomms.unknown import raised_fields, says_something
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Score
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Category, Medium

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_scan.endpoint.safecomms.config import SeverityScores
    from batch_scan.model import Answer, Request, Sample

UNKNOWN_SCORE = 0.5
"""What is said in words we do not know: the middle, and unclean."""
PII_SCORE = 0.6
"""Personal data was found and taken out, of which no severity is told."""

_CATEGORIES = {
    "hatespeech": Category.HATE,
    "harassment": Category.HARASSMENT,
    "selfharm": Category.SELF_HARM,
    "sexual": Category.SEXUAL,
    "violence": Category.VIOLENCE,
    "pii": Category.PII,
}
_FLAGS = frozenset({"isBypassAttempt", "replacedUnsafe"})
"""Flags that are known to be true or false: anything else in their place is never taken for false."""
_LABEL_CHARS = 100
_CONTEXT_CHARS = 1000
_MAX_ENTRIES = 1000
"""Categories, and issues, that become scores of their own; what is beyond is one score that says how many."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """One thing an answer says of its sample; `label` is empty where it names none."""

    label: str
    score: float
    severity: str = ""
    unclean: bool = False
    text: str = ""
    context: str = ""
    span_s: tuple[float, float] | None = None
    """Seconds from the start of the sample, where they are narrower."""
    category: Category | None = None


def read_answer(
    endpoint: str, request: Request, answer: Answer, severities: SeverityScores, *, unknown_fields_count: bool = False
) -> list[Score]:
    """Return the scores that an answer gives to the request's one sample.

    Args:
        endpoint: its name.
        request: what was asked.
        answer: what came.
        severities: which number a severity word stands for.
        unknown_fields_count: whether something was asked for whose findings stand in fields that nobody documents.

    Raises EndpointError (`REFUSED`) where the answer does not say whether the sample is clean.
    """
    body = _body(answer.raw)
    sample = request.samples[0]
    claims = _Reader(body, sample, severities).claims()
    if unknown_fields_count:
        claims += map(_not_understood, raised_fields(body)[:_MAX_ENTRIES])
    if not body["isClean"]:
        claims = _with_unclean(claims)
    return [_score(endpoint, request, sample, claim) for claim in claims]


def _body(raw: str) -> Mapping[str, Any]:
    try:
        body = parse_json(raw)
    except ValueError:
        raise _unrecognised("it is not JSON") from None
    if not isinstance(body, dict):
        raise _unrecognised("it is not an object")
    if not isinstance(body.get("isClean"), bool):
        raise _unrecognised("isClean is missing" if "isClean" not in body else "isClean is neither true nor false")
    return body


def _unrecognised(why: str) -> EndpointError:
    return EndpointError(Failure.REFUSED, f"unrecognised answer: {why}", maybe_charged=True)


class _Reader:
    """Goes through the fields of one answer."""

    def __init__(self, body: Mapping[str, Any], sample: Sample, severities: SeverityScores) -> None:
        self._body = body
        self._grades = {name: float(score) for name, score in severities.model_dump().items()}
        spoken = sample.medium is not Medium.FRAME
        self._said = transcription_of(body, sample.duration_s) if spoken else Transcription(())

    def claims(self) -> list[_Claim]:
        """Return everything the answer says, categories first."""
        found = [*self._categories(), *self._issues(), *self._flags()]
        overall = self._body.get("severity")
        if overall is not None:
            claim = self._graded("", overall)
            if claim.unclean or claim.score > max((other.score for other in found), default=0.0):
                found.append(claim)
        return found

    def _categories(self) -> Iterator[_Claim]:
        scores = self._body.get("categoryScores")
        if isinstance(scores, dict):
            for label, severity in list(scores.items())[:_MAX_ENTRIES]:
                if severity is not None:
                    yield self._graded(label, severity)
            yield from _beyond("categories", len(scores))
        elif scores is not None:
            yield _not_understood("categoryScores")

    def _issues(self) -> Iterator[_Claim]:
        issues = self._body.get("issues")
        if isinstance(issues, list):
            yield from map(self._issue, issues[:_MAX_ENTRIES])
            yield from _beyond("issues", len(issues))
        elif issues is not None:
            yield _not_understood("issues")

    def _issue(self, issue: Any) -> _Claim:
        if not isinstance(issue, dict):
            return _not_understood("issues", issue if isinstance(issue, str) else "")
        label, term, context = (_text(issue.get(key)) for key in ("category", "term", "context"))
        graded = self._graded(label, self._severity_of(issue, label))
        return replace(
            graded,
            text=clean_text(term),
            context=clean_text(context, _CONTEXT_CHARS),
            span_s=self._said.span_of(term),
        )

    def _severity_of(self, issue: Mapping[str, Any], label: str) -> Any:
        if issue.get("severity") is not None:
            return issue["severity"]
        scores = self._body.get("categoryScores")
        of_category = scores.get(label) if isinstance(scores, dict) else None
        return of_category if of_category is not None else self._body.get("severity")

    def _flags(self) -> Iterator[_Claim]:
        addons = self._body.get("addons")
        if addons is not None and not isinstance(addons, dict):
            yield _not_understood("addons")
            addons = None
        told = [("isBypassAttempt", self._body.get("isBypassAttempt")), *(addons or {}).items()]
        for label, value in told[:_MAX_ENTRIES]:
            if label == "replacedPii" and _is_raised(value):
                yield _Claim(label, PII_SCORE, category=Category.PII)
            elif _is_raised(value) if label in _FLAGS else says_something(value):
                yield _not_understood(label)
        yield from _beyond("addons", len(told))

    def _graded(self, label: str, severity: Any) -> _Claim:
        word = _text(severity)
        score = self._grades.get(word.strip().casefold())
        if score is None:
            return _Claim(label, UNKNOWN_SCORE, clean_text(word, _LABEL_CHARS), unclean=True)
        return _Claim(label, score, clean_text(word, _LABEL_CHARS))


def _is_raised(value: Any) -> bool:
    return value is not None and value is not False


def _beyond(what: str, number: int) -> Iterator[_Claim]:
    if number > _MAX_ENTRIES:
        yield _not_understood(what, context=f"{number - _MAX_ENTRIES} more {what} than are read")


def _not_understood(label: str, text: str = "", context: str = "") -> _Claim:
    return _Claim(label, UNKNOWN_SCORE, unclean=True, text=clean_text(text), context=context)


def _with_unclean(claims: list[_Claim]) -> list[_Claim]:
    worst = max(claims, key=lambda claim: (claim.score, bool(claim.text)), default=None)
    if worst is None or worst.score <= 0.0:
        return [*claims, _Claim("isClean", UNKNOWN_SCORE, unclean=True)]
    return [replace(claim, unclean=True) if claim is worst else claim for claim in claims]


def _score(endpoint: str, request: Request, sample: Sample, claim: _Claim) -> Score:
    start_s, end_s = sample.start_s, sample.end_s
    if claim.span_s is not None:
        start_s, end_s = (min(sample.start_s + second, sample.end_s) for second in claim.span_s)
    return Score(
        endpoint=endpoint,
        medium=sample.medium,
        start_s=start_s,
        end_s=end_s,
        category=claim.category or _category(claim.label),
        vendor_label=clean_text(claim.label, _LABEL_CHARS),
        score=claim.score,
        severity=claim.severity,
        unclean=claim.unclean,
        text=claim.text,
        context=claim.context,
        request_id=request.request_id,
        sample_digest=sample.digest,
    )


def _category(label: str) -> Category:
    letters = "".join(char for char in label.casefold() if char.isalnum())
    return _CATEGORIES.get(letters, Category.OTHER)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(value)[:_CONTEXT_CHARS]
