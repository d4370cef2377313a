"""Moderation records to scores. Pure, so that stored answers can be read again.

| a detection says | score |
|---|---|
| `risk_level: pass` | its confidence |
| `risk_level: review`, `reject` | its confidence, unclean |
| any other word | its confidence, 0.5 where there is none, unclean; the word is kept |
| something that cannot be read | 0.5 in `other`, unclean |

`detect_status` is never looked at: the vendor's own sample has the same number for a picture that passes.
`bounding_box` is not read: whether it holds corners or a size is not known.
Every model that was asked for must have said something of enough pictures, and of some in every longer stretch of the
film; of every picture, where looking for records had to end before they were complete. Where that is not so, a play
that found something counts, and says that more is missing; one that found nothing is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.answer_json import parse_json
from batch_scan.errors import EndpointError, Failure
from batch_scan.media.play import moment_in_file
from batch_scan.model import Score, Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Category, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from batch_scan.model import Answer, Request

UNKNOWN_SCORE: Final = 0.5
"""What is said in words we do not know: the middle, and unclean."""
CATEGORIES: Final[Mapping[str, Category]] = {"nude": Category.NUDITY, "weapon": Category.WEAPON}
"""The vendor's models, in the one vocabulary."""

_PASS, _UNCLEAN = "pass", frozenset({"review", "reject"})
_LABEL_CHARS: Final = 100
_MAX_DETECTIONS: Final = 100
_MAX_RECORDS: Final = 200_000
"""More than two days of a picture every second, longer than any play."""
_BEAT_VALUES: Final = 2
_GAP_INTERVALS: Final = 3
"""A stretch without a judged picture is no gap while it is no longer than so many intervals."""


@dataclass(frozen=True, slots=True)
class _Play:
    """What an answer says of the play as a whole."""

    stream: str
    played_s: float
    interval_s: float
    beats: tuple[tuple[float, float], ...]
    records: list[Any]
    models: tuple[str, ...]
    """Those that were asked for."""
    is_settled: bool
    """Whether the records were taken for complete, as they all were in answers that do not say."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """One thing that is said of one picture."""

    label: str
    score: float
    risk: str = ""
    unclean: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer says of its file."""

    scores: list[Score]
    gap: Shortfall | None
    """Set where something was found, and yet too few pictures came back to say that this is all."""


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How the records of a play are read."""

    min_coverage: float
    """Share of the pictures expected that must have a verdict."""
    max_gap_s: float
    """Longest stretch of the film without one, seconds."""
    start_offset_s: float
    """Seconds from the start that a session's name tells to its first picture."""


def read_records(endpoint: str, request: Request, answer: Answer, rules: ReadingRules) -> Judged:
    """Return the scores that a play's records give to the request's one file, each at its second.

    Args:
        endpoint: its name.
        request: what was asked.
        answer: what `session.py` made of the records.
        rules: how they are read.

    Raises EndpointError (`REFUSED`) where nothing was found, in too few pictures for the file to be called clean.
    """
    play = _parsed(answer.raw)
    scores: list[Score] = []
    looked_at: dict[str, dict[int, float]] = {}
    for record in play.records:
        moment_ms, started_s = _belonging(record, play)
        session_s = moment_ms / 1000.0 - started_s - rules.start_offset_s
        at_s = moment_in_file(play.beats, play.played_s, session_s)
        claims = _claims(record.get("detect_info"))
        for claim in claims:
            if claim.risk:
                looked_at.setdefault(claim.label.casefold(), {})[moment_ms] = at_s
        scores += [_score(endpoint, request, at_s, claim) for claim in claims]
    if play.records and not looked_at:
        raise _unrecognised("no record holds a verdict that can be read")
    missing = _missing(play, looked_at, rules)
    if missing and not any(score.unclean for score in scores):
        raise _refused(missing)
    return Judged(scores, Shortfall(Reason.SAMPLE_REFUSED, f"{endpoint} {missing}") if missing else None)


def _parsed(raw: str) -> _Play:
    try:
        body = parse_json(raw)
    except ValueError:
        raise _unrecognised("it is not JSON") from None
    if not isinstance(body, dict):
        raise _unrecognised("it is not an object")
    played_s, interval_s = _number(body.get("played_s")), _number(body.get("frame_interval"))
    records, stream, beats = body.get("records"), body.get("stream"), body.get("beats")
    if played_s is None or interval_s is None or interval_s < 1 or not isinstance(stream, str):
        raise _unrecognised("it does not say what was played")
    if not isinstance(records, list) or not isinstance(beats, list):
        raise _unrecognised("it holds no records")
    if len(records) > _MAX_RECORDS:
        raise _unrecognised(f"it holds more than {_MAX_RECORDS:,} records")
    models, is_settled = body.get("models"), body.get("settled", True) is True
    if not isinstance(models, list) or not models:
        raise _unrecognised("it does not say what was looked for")
    return _Play(
        stream, max(played_s, 0.0), interval_s, tuple(map(_beat, beats)), records, tuple(map(str, models)), is_settled
    )


def _beat(beat: Any) -> tuple[float, float]:
    values = [_number(value) for value in beat] if isinstance(beat, list) else []
    if len(values) != _BEAT_VALUES or values[0] is None or values[1] is None:
        raise _unrecognised("it does not say when what was played")
    return values[0], values[1]


def _belonging(record: Any, play: _Play) -> tuple[int, float]:
    """Return when a record's picture was looked at (Unix ms) and when its session began (Unix s)."""
    if not isinstance(record, dict) or record.get("stream") != play.stream:
        raise _unrecognised("a record is about another stream")
    moment_ms, started_s = _number(record.get("review_at")), _number(record.get("started_s"))
    if moment_ms is None or started_s is None:
        raise _unrecognised("a record does not say when it was made")
    return int(moment_ms), started_s


def _claims(untrusted: Any) -> list[_Claim]:
    """Return what is said of one picture."""
    try:
        detections = parse_json(untrusted) if isinstance(untrusted, str) else None
    except ValueError:
        detections = None
    if not isinstance(detections, list):
        return [_Claim("detect_info", UNKNOWN_SCORE, unclean=True)]
    claims = list(map(_claim, detections[:_MAX_DETECTIONS]))
    if len(detections) > _MAX_DETECTIONS:
        claims.append(_Claim("detect_info", UNKNOWN_SCORE, unclean=True))
    return claims


def _claim(detection: Any) -> _Claim:
    if not isinstance(detection, dict):
        return _Claim("detect_info", UNKNOWN_SCORE, unclean=True)
    model, risk = detection.get("model"), detection.get("risk_level")
    label = clean_text(model, _LABEL_CHARS) if isinstance(model, str) else ""
    word = clean_text(risk, _LABEL_CHARS) if isinstance(risk, str) else ""
    told = _number(detection.get("confidence"))
    confidence = None if told is None else min(max(told, 0.0), 1.0)
    if word == _PASS:
        # A pass without a number, or of a model without a name, is still said; what it is about is `other`.
        return _Claim(label, confidence or 0.0, word)
    return _Claim(label, UNKNOWN_SCORE if confidence is None else confidence, word, unclean=True)


def _missing(play: _Play, looked_at: Mapping[str, Mapping[int, float]], rules: ReadingRules) -> str:
    """Return what is missing of a play's pictures; nothing where there are enough.

    Args:
        play: what was played.
        looked_at: which pictures each model judged: Unix ms, and seconds of the file.
        rules: how many are enough.
    """
    if not looked_at:
        return f"played {play.played_s:.0f} s, and no record came: nothing is known of the file"
    told = f"played {play.played_s:.0f} s, and"
    expected = max(1, int(play.played_s / play.interval_s))
    for model in play.models:
        moments = looked_at.get(model.casefold(), {})
        few = f"{told} only {len(moments)} of about {expected} pictures came back judged for {model}"
        if len(moments) < rules.min_coverage * expected:
            return few
        if not play.is_settled and len(moments) < expected:
            return f"{few} before looking for them ended, and more may have been on its way"
        start_s, end_s = _longest_gap(moments.values(), play.played_s)
        if end_s - start_s > max(rules.max_gap_s, _GAP_INTERVALS * play.interval_s):
            return f"{told} no picture between {start_s:.0f} and {end_s:.0f} s came back judged for {model}"
    return ""


def _longest_gap(moments_s: Iterable[float], played_s: float) -> tuple[float, float]:
    """Return the longest stretch of a film in which nothing was looked at."""
    bounds = [0.0, *sorted(moments_s), played_s]
    return max(pairwise(bounds), key=lambda gap: gap[1] - gap[0])


def _score(endpoint: str, request: Request, at_s: float, claim: _Claim) -> Score:
    sample = request.samples[0]
    moment_s = sample.start_s + at_s
    if sample.end_s > sample.start_s:
        moment_s = min(moment_s, sample.end_s)
    return Score(
        endpoint=endpoint,
        medium=sample.medium,
        start_s=moment_s,
        end_s=moment_s,
        category=CATEGORIES.get(claim.label.casefold(), Category.OTHER),
        vendor_label=claim.label,
        score=claim.score,
        severity=claim.risk,
        unclean=claim.unclean,
        request_id=request.request_id,
        sample_digest=sample.digest,
    )


def detections_of(alerts: Any) -> Iterator[Any]:
    """Yield the detections of an `audit_check` event's alerts, as records hold them."""
    for alert in alerts if isinstance(alerts, list) else ():
        shown = alert.get("detection_info") if isinstance(alert, dict) else None
        if isinstance(shown, dict):
            yield {"model": alert.get("type"), "confidence": alert.get("confidence")} | shown
        else:
            yield alert


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # noqa: PLR2004 - beyond any time in ms


def _refused(detail: str) -> EndpointError:
    return EndpointError(Failure.REFUSED, detail, maybe_charged=True)


def _unrecognised(why: str) -> EndpointError:
    return _refused(f"unrecognised answer: {why}")
