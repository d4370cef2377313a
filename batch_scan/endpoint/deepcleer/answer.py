"""DeepCleer's answers about sound and pictures to scores. Pure, so that stored answers can be read again.

| call | where the judgement stands |
|---|---|
| `/audiomessage/v4` | under `detail` |
| `/query_audio/v4` | at the top |
| `/images/v4` | in `imgs`, each with a `code` and `btId` of its own |

Every `code` is looked at, the outer one and those inside. An answer that names another `btId` than ours is refused. A
sound's stretches (`audioDetail`) have seconds of their own; its own level is a score too where no stretch is as bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.answer_json import parse_json
from batch_scan.endpoint.deepcleer.codes import SUCCESS, code_error, code_of, unrecognised
from batch_scan.endpoint.deepcleer.fields import entries, number, pick, words
from batch_scan.endpoint.deepcleer.judgement import Claim, Rules, judge, not_understood, problem_of, to_score
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.errors import EndpointError
    from batch_scan.model import Answer, Request, Sample, Score

_IMAGE_KEY_CHARS: Final = 24
_SLACK_S: Final = 1.0
"""Encoders pad: a stretch may end this much after its chunk."""


def bt_id_of(request: Request) -> str:
    """Return our name for a submission: the same question has the same one in every run."""
    return request.key or digest_bytes("".join(sample.digest for sample in request.samples).encode())


def image_bt_ids(request: Request) -> list[str]:
    """Return our names for the pictures of a request: 27 of the 30 characters allowed, unique in it."""
    key = bt_id_of(request)[:_IMAGE_KEY_CHARS]
    return [f"{key}-{place:02}" for place in range(len(request.samples))]


def parse_body(raw: str) -> Mapping[str, Any]:
    """Return an answer as an object. Raises EndpointError where it is none."""
    try:
        body = parse_json(raw)
    except ValueError:
        raise unrecognised("it is not JSON") from None
    if not isinstance(body, dict):
        raise unrecognised("it is not an object")
    return body


# --------------------------------------------------------------------------------------------------------- sound


def result_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of an answer about sound that holds the judgement."""
    detail = pick(body, "detail")
    return detail if isinstance(detail, dict) and pick(detail, "riskLevel") is not None else body


def read_audio(endpoint: str, request: Request, answer: Answer, rules: Rules) -> list[Score]:
    """Return the scores that an answer gives to one chunk of sound. Raises EndpointError (`REFUSED`)."""
    body = parse_body(answer.raw)
    result = result_of(body)
    (sample,) = request.samples
    for part in (body, result):
        if part is body or code_of(part) is not None:
            check_read(part, "about a sound")
        check_ours(request, pick(part, "btId"), bt_id_of(request))
        problem = problem_of(part)
        if problem is not None:
            raise unrecognised(f"auxInfo.errorCode is {problem}: the sound was not heard")
    whole = judge(result, rules)
    narrow = _stretches(pick(result, "audioDetail"), sample, rules)
    covered = any(claim.unclean and claim.score >= whole[0].score for claim in narrow)
    claims = narrow + (whole[1:] if covered else whole)
    if result is not body and pick(body, "riskLevel") is not None:  # two levels: the better does not cover the worse
        claims += [claim for claim in judge(body, rules) if claim.unclean]
    return [to_score(endpoint, request, sample, claim) for claim in claims]


def _stretches(detail: Any, sample: Sample, rules: Rules) -> list[Claim]:
    """Return what is held against stretches of a sound, each at its own seconds."""
    if detail is not None and not isinstance(detail, list | dict):
        return [not_understood("audioDetail")]
    read = entries(detail)
    claims = [not_understood("audioDetail")] if isinstance(detail, list) and len(detail) > len(read) else []
    for stretch in read:
        if code_of(stretch) not in {None, SUCCESS} or pick(stretch, "riskLevel") is None:
            claims.append(not_understood("audioDetail"))
            continue
        span_s = _span_s(stretch, sample)
        claims += [with_span(claim, span_s) for claim in judge(stretch, rules) if claim.unclean or claim.score > 0.0]
    return claims


def with_span(claim: Claim, span_s: tuple[float, float] | None) -> Claim:
    """Return a claim about a stretch of its sample, in seconds of the file."""
    return Claim(
        claim.label, claim.score, claim.severity, claim.unclean, claim.category, claim.text, claim.context, span_s
    )


def _span_s(stretch: Any, sample: Sample) -> tuple[float, float] | None:
    """Return the seconds of a stretch in the file; None where they cannot be right, and the chunk's own hold."""
    start_s, end_s = (number(pick(stretch, name)) for name in ("audioStarttime", "audioEndtime"))
    if start_s is None or end_s is None or not 0.0 <= start_s <= end_s <= sample.duration_s + _SLACK_S:
        return None
    return sample.start_s + start_s, sample.start_s + end_s


def audio_seconds(raw: str) -> float | None:
    """Return how many seconds of sound the vendor says that it judged; None where it does not say."""
    seconds = number(pick(result_of(parse_body(raw)), "audioTime"))
    return seconds if seconds is not None and seconds >= 0 else None


# ------------------------------------------------------------------------------------------------------ pictures


def read_images(endpoint: str, request: Request, answer: Answer, rules: Rules) -> list[Score]:
    """Return the scores that an answer gives to pictures; of those that `unseen` names it has none.

    Raises EndpointError (`REFUSED`) where it says nothing of a picture, or nothing of any.
    """
    images = images_of(request, parse_body(answer.raw))
    seen = [
        (sample, image) for sample, image in zip(request.samples, images, strict=True) if image_error(image) is None
    ]
    if not seen:
        raise unrecognised("none of its pictures was judged") from image_error(images[0])
    return [
        to_score(endpoint, request, sample, claim)
        for sample, image in seen
        if sample.digest  # others only hold their place, in an answer that is read again
        for claim in judge(image, rules)
    ]


def unseen(request: Request, answer: Answer) -> Shortfall | None:
    """Return what was not judged of the request's pictures, though others were; None where all were."""
    images = images_of(request, parse_body(answer.raw))
    pairs = zip(request.samples, images, strict=True)
    errors = [error for sample, image in pairs if sample.digest and (error := image_error(image)) is not None]
    if not errors:
        return None
    number_of = f"{len(errors)} picture" + ("s" if len(errors) > 1 else "")
    return Shortfall(Reason.SAMPLE_REFUSED, f"deepcleer did not judge {number_of}: {errors[0].detail}")


def images_of(request: Request, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what is said of each picture, in the request's order. Raises EndpointError unless each is there once."""
    check_read(body, "about pictures")
    told = pick(body, "imgs")
    found = {words(pick(image, "btId")): image for image in entries(told)}
    if not isinstance(told, list) or len(told) != len(request.samples) or len(found) != len(told):
        raise unrecognised("it does not speak of each picture once")
    # Of an answer that is read again it was seen when it came whose it is; the names end in their place.
    wanted = image_bt_ids(request) if request.key else sorted(found)
    if set(wanted) != set(found):
        raise unrecognised("it is about pictures that we did not ask about")
    return [found[bt_id] for bt_id in wanted]


def image_error(image: Any) -> EndpointError | None:
    """Return why a picture was not judged; None where it was."""
    if code_of(image) != SUCCESS:
        return code_error(image, "about a picture")
    problem = problem_of(image)
    return None if problem is None else unrecognised(f"auxInfo.errorCode is {problem}: the picture was not seen")


def billed_images(images: list[Mapping[str, Any]]) -> int:
    """Return how many images the vendor bills: `auxInfo.segments`, else one for each that was judged."""
    billed = 0
    for image in images:
        segments = number(pick(pick(image, "auxInfo"), "segments"))
        if segments is not None and segments >= 0:
            billed += int(segments)
        elif code_of(image) == SUCCESS:
            billed += 1
    return billed


# ------------------------------------------------------------------------------------------------------- everything


def check_read(part: Any, what: str) -> None:
    """Raise EndpointError (`REFUSED`) unless a part of an answer that came has the code of success."""
    if code_of(part) != SUCCESS:
        raise unrecognised(code_error(part, what).detail)


def check_ours(request: Request, told: Any, own: str) -> None:
    """Raise EndpointError where an answer names a submission that is not ours.

    An answer that is read again was looked at when it came; its request has no key any more.
    """
    if told is not None and request.key and words(told) != own:
        raise unrecognised("it is about another submission than ours")
