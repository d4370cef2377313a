"""Deepgram's ways of saying no: plain text, an old JSON body, a new one. Which comes when is not known, so it is set.

Each makes a `Told`; what a test wants in place of a real answer is its `as_fault`:

    server.faults.queue(modern(429, "TOO_MANY_REQUESTS", "slow down").as_fault)
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import assert_never

from batch_scan.sandbox.exchange import Told

_REQUEST_ID = "00000000-0000-4000-8000-00000000dead"

CODES = {
    HTTPStatus.BAD_REQUEST: "Bad Request",
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTH",
    HTTPStatus.PAYMENT_REQUIRED: "ASR_PAYMENT_REQUIRED",
    HTTPStatus.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
    HTTPStatus.NOT_FOUND: "PROJECT_NOT_FOUND",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    HTTPStatus.TOO_MANY_REQUESTS: "TOO_MANY_REQUESTS",
    HTTPStatus.GATEWAY_TIMEOUT: "GATEWAY_TIMEOUT",
}
"""The vendor's word for a status. Known are those of 400, 401 and 429; the others are made up in their manner."""
UNSUPPORTED = "Bad Request: failed to process audio: corrupt or unsupported data"


class Shape(StrEnum):
    """What an error body looks like."""

    PLAIN = "plain"
    LEGACY = "legacy"
    MODERN = "modern"


def plain(status: int, text: str) -> Told:
    """Return an error as plain text."""
    return Told(text.encode(), status, content_type="text/plain; charset=utf-8")


def legacy(status: int, err_code: str, err_msg: str) -> Told:
    """Return an error in the old shape."""
    return Told({"err_code": err_code, "err_msg": err_msg, "request_id": _REQUEST_ID}, status)


def modern(status: int, category: str, message: str, details: str = "") -> Told:
    """Return an error in the new shape."""
    body = {"category": category, "message": message, "details": details, "request_id": _REQUEST_ID}
    return Told(body, status)


def said(shape: Shape, status: int, message: str) -> Told:
    """Return an error in the given shape, with the vendor's word for its status."""
    code = CODES.get(HTTPStatus(status), HTTPStatus(status).phrase)
    match shape:
        case Shape.PLAIN:
            return plain(status, message)
        case Shape.LEGACY:
            return legacy(status, code, message)
        case Shape.MODERN:
            return modern(status, code, message, "see the documentation")
        case _:
            assert_never(shape)


class No(Exception):  # noqa: N818 - it is an answer
    """The contract is broken; the server says it in its shape."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def told(self, shape: Shape) -> Told:
        """Return it as an answer."""
        return said(shape, self.status, str(self))


def demand(holds: object, status: int, message: str) -> None:
    """Raise the error unless `holds`."""
    if not holds:
        raise No(status, message)
