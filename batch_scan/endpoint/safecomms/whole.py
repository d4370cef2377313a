"""Sound that SafeComms gets as it lies in a file: what it can pull, what of its answers is kept, if it heard all. Pure.

Its page says that a URL which leads to a private address is "skipped", and not how that is answered; nor what it makes
of a film, or of a file that takes longer than its 30 s. So a clean answer counts only where its metadata tell the
file's own length: then the file has arrived, and was opened as sound. The same holds for sound that was copied out of
a file undecoded (`Sample.copied`).
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batch_scan.endpoint.answer_json import dump_json, map_strings, parse_json
from batch_scan.endpoint.safecomms.times import clock_s
from batch_scan.endpoint.url_hiding import hidden, hider
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from batch_scan.endpoint.http import HttpReply
    from batch_scan.model import Answer, Sample

_MOST_MISSED = 0.5
"""Of a short file: within a tolerance that is longer than the file lies also one that was not opened at all."""
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


def check_pullable(sample: Sample) -> None:
    """Raise EndpointError for a file without a URL that SafeComms fetches."""
    if urlsplit(sample.url).scheme not in {"http", "https"}:
        raise EndpointError(Failure.REFUSED, "the file has no URL that safecomms can pull (http, https)")


def pull_error(error: EndpointError, sample: Sample) -> EndpointError:
    """Return the error of a request that named a file by its URL, without the URL.

    404 and 410 are taken as said of the file: they do not stop the endpoint.
    """
    shown = hidden(error, hider(sample.url))
    if shown.http_status in _GONE:
        shown.failure = Failure.REFUSED
    return shown


def shown_reply(reply: HttpReply, sample: Sample) -> HttpReply:
    """Return a reply as it may be kept: without the file's URL."""
    hide = hider(sample.url)
    shown = map_strings(reply.json, hide)
    headers = type(reply.headers)({name: hide(value) for name, value in reply.headers.items()})
    return replace(reply, json=shown, raw=dump_json(shown), headers=headers)


def unheard(answer: Answer, sample: Sample, tolerance_s: float) -> Shortfall | None:
    """Return the shortfall of an answer that does not show that all of a file, or of copied sound, was heard.

    Raises EndpointError (`REFUSED`) where it cannot be read.
    """
    heard_s = _length_s(answer.raw)
    if heard_s is None:
        what = "the sound is that was handed on undecoded" if sample.copied else "the file is that it pulled"
        detail = f"safecomms does not say how long {what}, so that nobody knows whether it heard it"
        return Shortfall(Reason.NOT_UNDERSTOOD, detail)
    if abs(heard_s - sample.duration_s) <= min(tolerance_s, _MOST_MISSED * sample.duration_s):
        return None
    if sample.copied:
        detail = f"safecomms found {heard_s:.1f} s in {sample.duration_s:.1f} s of sound that was handed on undecoded"
    else:
        detail = f"safecomms pulled {heard_s:.1f} s of sound from the URL of a file of {sample.duration_s:.1f} s"
    return Shortfall(Reason.NOT_UNDERSTOOD, detail)


def _length_s(raw: str) -> float | None:
    try:
        body = parse_json(raw)
    except ValueError:
        raise EndpointError(Failure.REFUSED, "unrecognised answer: it is not JSON", maybe_charged=True) from None
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict):
        return None
    named = [value for name, value in metadata.items() if name.casefold() == "duration"]
    return clock_s(named[0]) if len(named) == 1 and isinstance(named[0], str) else None
