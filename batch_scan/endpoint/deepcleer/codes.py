"""DeepCleer's result codes, which stand in the body of an answer with status 200, to `EndpointError`. Pure.

| code | meaning | failure | may have been charged |
|---|---|---|---|
| 1100 | success | | |
| 1101 | still working | asked again by those who poll; elsewhere transient | yes |
| 1901 | too fast, or too many streams | rate limited | no |
| 1902 | bad parameters | refused | no |
| 1903 | the service failed | transient | yes |
| 1904 | sound cannot be fetched or pulled | transient | no |
| 1905 | sound cannot be decoded | refused | no |
| 1911 | picture cannot be fetched | transient | no |
| 9100 | out of balance | fatal | no |
| 9101 | not authorised, or not activated | fatal | no |
| any other, or none | unknown | refused: not asked again in this run, others go on | yes |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.deepcleer.fields import pick
from batch_scan.errors import EndpointError, Failure
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: Final = 1100
PENDING: Final = 1101

_OK_STATUS: Final = 200
_MEANINGS: Final[Mapping[int, tuple[str, Failure, bool]]] = {
    PENDING: ("still working", Failure.TRANSIENT, True),
    1901: ("too many requests, or streams, at once", Failure.RATE_LIMITED, False),
    1902: ("bad parameters", Failure.REFUSED, False),
    1903: ("the service failed", Failure.TRANSIENT, True),
    1904: ("the sound cannot be fetched", Failure.TRANSIENT, False),
    1905: ("the sound cannot be decoded", Failure.REFUSED, False),
    1911: ("the picture cannot be fetched", Failure.TRANSIENT, False),
    9100: ("the account is out of balance", Failure.FATAL, False),
    9101: ("not authorised, or the service is not activated: is the access_key right?", Failure.FATAL, False),
}


def code_of(body: Any) -> int | None:
    """Return the result code of an answer or a part of one; None where there is none."""
    code = pick(body, "code")
    if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) <= 9:  # noqa: PLR2004
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def code_error(body: Any, what: str) -> EndpointError:
    """Return the error for an answer whose code is not success.

    Args:
        body: the answer, or the part of it that has the code; secrets redacted.
        what: what was asked, for the message.
    """
    code = code_of(body)
    meaning, failure, maybe_charged = _MEANINGS.get(code or 0, ("a code that is not known", Failure.REFUSED, True))
    said = pick(body, "message")
    message = clean_text(said) if isinstance(said, str) else ""
    told = f"code {code} ({meaning})" if code is not None else "no code"
    return EndpointError(
        failure,
        f"deepcleer answered {what} with {told}" + (f": {message}" if message else ""),
        # Where the vendor refuses a sample it is refused, though the status of the answer is 200.
        http_status=None if failure is Failure.REFUSED and not maybe_charged else _OK_STATUS,
        vendor_code="" if code is None else str(code),
        maybe_charged=maybe_charged,
    )


def check(body: Any, what: str) -> None:
    """Raise EndpointError unless an answer's code is success."""
    if code_of(body) != SUCCESS:
        raise code_error(body, what)


def unrecognised(why: str) -> EndpointError:
    """Return the error for an answer that does not say what it should."""
    return EndpointError(Failure.REFUSED, f"unrecognised answer: {why}", http_status=_OK_STATUS, maybe_charged=True)
