"""What comes of asking a service for a group of samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from batch_scan.model import Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Outcome, Reason

if TYPE_CHECKING:
    from batch_scan.errors import EndpointError
    from batch_scan.model import Request, RequestRecord, Sample, Score, Utterance


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking: everything in `samples` is either answered or behind one of `shortfalls`."""

    answered: tuple[Sample, ...] = ()
    unanswered: tuple[Sample, ...] = ()
    readings: tuple[Score | Utterance, ...] = ()
    records: tuple[RequestRecord, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()

    def __add__(self, other: Asked) -> Asked:
        return Asked(
            self.answered + other.answered,
            self.unanswered + other.unanswered,
            self.readings + other.readings,
            self.records + other.records,
            self.shortfalls + other.shortfalls,
        )


def unanswered(request: Request, record: RequestRecord, shortfall: Shortfall, outcome: Outcome) -> Asked:
    """Return what comes of a request without an answer."""
    done = replace(record, outcome=outcome, error=record.error or shortfall.detail)
    return Asked(unanswered=request.samples, records=(done,), shortfalls=(shortfall,))


def unrecognised(name: str, error: EndpointError) -> Shortfall:
    """Return the shortfall of an answer that cannot be read."""
    return Shortfall(Reason.UNRECOGNISED_ANSWER, f"{name}: {clean_text(error.detail)}", error_type(error))


def refused(name: str, error: EndpointError) -> Shortfall:
    """Return the shortfall of a refused sample; with a status of 2xx an answer came, and it was us who refused it.

    What may have been paid for although nothing came that refuses it is a request without an answer.
    """
    if HTTPStatus.OK <= (error.http_status or 0) < HTTPStatus.MULTIPLE_CHOICES:
        return unrecognised(name, error)
    if error.maybe_charged and error.http_status is None and not error.vendor_code:
        detail = f"{name}: {clean_text(error.detail)} (may have been charged)"
        return Shortfall(Reason.REQUEST_FAILED, detail, error_type(error))
    return Shortfall(Reason.SAMPLE_REFUSED, f"{name}: {clean_text(error.detail)}", error_type(error))


def error_type(error: EndpointError) -> str:
    """Return what `files.error_type` says of a failed request."""
    return f"EndpointError.{error.failure}"
