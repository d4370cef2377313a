"""What the vendor heard of a stream, put together from its callbacks. Pure, so that stored answers can be read again.

A stream's answer is one object, made of all callbacks about it:
``{"code": 1100, "requestId": TASK, "btId": OURS, "callbacks": [...]}``.

Each stretch of 10 s comes with absolute times in milliseconds. The file begins where the first of them begins: with
`returnAllText` the vendor tells of every stretch, a quiet one too. A file counts as heard where the stretches together
are as long as the file, but for `stream.tolerance_s`, and the stream ended as it should; anything else is no answer.

| end (`auxInfo.errorCode`) | taken as |
|---|---|
| none, or 0 | the file is over |
| no end told in the time there is | refused: it was pulled, and may be paid, once already |
| 3001 URL unreachable, 3002 invalid data, 3005 token expired | refused |
| 3003 stream missing | transient: asked again |
| 3004 no sound | refused: the vendor heard nothing in a file that has a sound track |
| another | refused |
| one of `stream.natural_ends` | the file is over |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.deepcleer.answer import bt_id_of, check_ours, check_read, parse_body, with_span
from batch_scan.endpoint.deepcleer.codes import unrecognised
from batch_scan.endpoint.deepcleer.fields import number, pick, words
from batch_scan.endpoint.deepcleer.judgement import Rules, judge, problem_of, to_score
from batch_scan.errors import EndpointError, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.deepcleer.config import StreamTable
    from batch_scan.model import Answer, Request, Sample, Score

_ENDED: Final = 1
_ENDS: Final[Mapping[int, tuple[str, Failure]]] = {
    3001: ("it could not reach the file's URL", Failure.REFUSED),
    3002: ("what it pulled is no valid data", Failure.REFUSED),
    3003: ("the stream went missing", Failure.TRANSIENT),
    3004: ("it heard no sound in a file that has a sound track", Failure.REFUSED),
    3005: ("the token of the file's URL has expired", Failure.REFUSED),
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of a stream."""

    start_ms: float
    """Absolute."""
    end_ms: float
    told: Any
    """Its `audioDetail`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What has come about a stream so far."""

    stretches: tuple[Stretch, ...]
    """In order of time."""
    ended: bool
    end_code: int | None
    """Why it ended, where something was amiss."""

    @property
    def seconds(self) -> float:
        """How much was heard, each moment once."""
        total_ms, until_ms = 0.0, float("-inf")
        for stretch in self.stretches:
            total_ms += max(0.0, stretch.end_ms - max(stretch.start_ms, until_ms))
            until_ms = max(until_ms, stretch.end_ms)
        return total_ms / 1000.0

    def covers(self, sample: Sample, table: StreamTable) -> bool:
        """Tell whether it is all of the file."""
        return bool(self.stretches) and self.seconds >= sample.duration_s - table.tolerance_s

    def span_s(self, stretch: Stretch, sample: Sample) -> tuple[float, float]:
        """Return the seconds of a stretch in the file."""
        begin_ms = self.stretches[0].start_ms
        start_s, end_s = ((at_ms - begin_ms) / 1000.0 for at_ms in (stretch.start_ms, stretch.end_ms))
        return sample.start_s + start_s, sample.start_s + end_s


def heard_of(callbacks: Sequence[Any]) -> Heard:
    """Put callbacks together. Raises EndpointError (`REFUSED`) where a stretch has no times."""
    stretches, ended, end_code = [], False, None
    for callback in callbacks:
        detail = pick(callback, "audioDetail")
        if detail is not None:
            stretches.append(_stretch(detail))
        if is_end(callback):
            ended, end_code = True, problem_of(callback) if end_code is None else end_code
        elif detail is None:
            raise unrecognised("a callback speaks of no stretch")
    return Heard(tuple(sorted(stretches, key=lambda one: (one.start_ms, one.end_ms))), ended, end_code)


def is_end(callback: Any) -> bool:
    """Tell whether a callback says that the stream is over."""
    return number(pick(callback, "statCode")) == _ENDED


def _stretch(detail: Any) -> Stretch:
    times = pick(detail, "auxInfo")
    start_ms, end_ms = (number(pick(times, name)) for name in ("audioStartTime", "audioEndTime"))
    if start_ms is None or end_ms is None or end_ms < start_ms:
        raise unrecognised("a stretch has no times")
    return Stretch(start_ms, end_ms, detail)


def problem_with(heard: Heard, sample: Sample, table: StreamTable) -> EndpointError | None:
    """Return why a stream is not an answer for its file; None where it is."""
    charged = bool(heard.stretches)
    if not heard.ended:
        told = "not all of them came" if charged else "none came: is callbacks.public_url reached from outside?"
        detail = f"deepcleer's stream did not end as far as its callbacks tell, of which {told}"
        return EndpointError(Failure.REFUSED, detail, maybe_charged=True)
    code = heard.end_code
    if code is not None and code not in table.natural_ends:
        meaning, failure = _ENDS.get(code, ("for a reason that is not known", Failure.REFUSED))
        return EndpointError(
            failure, f"deepcleer ended the stream: {meaning}", vendor_code=str(code), maybe_charged=charged
        )
    if not heard.covers(sample, table):
        detail = f"deepcleer heard {heard.seconds:.1f} s of a file of {sample.duration_s:.1f} s"
        return EndpointError(Failure.REFUSED, detail, maybe_charged=charged)
    return None


def read_stream(endpoint: str, request: Request, answer: Answer, rules: Rules, table: StreamTable) -> list[Score]:
    """Return the scores that a stream's answer gives to its file. Raises EndpointError (`REFUSED`)."""
    body = parse_body(answer.raw)
    (sample,) = request.samples
    check_read(body, "about a stream")
    check_ours(request, pick(body, "btId"), bt_id_of(request))
    callbacks = pick(body, "callbacks")
    if not isinstance(callbacks, list):
        raise unrecognised("it holds no callbacks")
    for callback in callbacks:
        check_read(callback, "about a stretch of a stream")
        check_ours(request, pick(callback, "btId"), bt_id_of(request))
        if task_of(words(pick(callback, "requestId"))) != words(pick(body, "requestId")):
            raise unrecognised("a callback is about another stream")
    heard = heard_of(callbacks)
    problem = problem_with(heard, sample, table)
    if problem is not None:
        raise unrecognised(problem.detail)
    claims = [
        with_span(claim, heard.span_s(stretch, sample))
        for stretch in heard.stretches
        for claim in judge(stretch.told, rules)
    ]
    raised = [claim for claim in claims if claim.unclean or claim.score > 0.0]
    return [to_score(endpoint, request, sample, claim) for claim in raised or [with_span(claims[0], None)]]


def task_of(request_id: str) -> str:
    """Return the stream that a callback is about: its own id is ``<stream>_<number>``, or the stream's alone."""
    stream, _, tail = request_id.rpartition("_")
    return stream if stream and tail.isascii() and tail.isdecimal() else request_id
