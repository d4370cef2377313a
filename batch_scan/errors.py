"""The exception tree. A failure of one item is a value (`model.Shortfall`), not an exception that travels.

BatchScanError
├── UsageError            the command, job file, manifest or environment is wrong; nothing was scanned (exit 2)
│   └── SecretError       a referenced secret cannot be read
├── LockedError           another run holds the state directory (exit 2)
├── LedgerError           the ledger cannot be read or written: what is paid for now would be forgotten (exit 7)
├── MediaError            one file cannot be read, with the `Reason` its row gets
├── FetchError            one item cannot be fetched, with the `Reason` its row gets
└── EndpointError         one request failed; `failure` says whether asking again can help
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_scan.vocabulary import Reason


class BatchScanError(Exception):
    """Base of everything this package raises on purpose."""


class UsageError(BatchScanError):
    """The command line, job file, manifest or environment is wrong: names the place and the mend."""


class SecretError(UsageError):
    """A secret that the job refers to cannot be read. Never carries the secret."""


class LockedError(BatchScanError):
    """Another process holds the state directory."""


class LedgerError(BatchScanError):
    """The ledger cannot be read or written any more, as on a full disk: nothing more may be sent."""


class _ItemError(BatchScanError):
    """A failure that belongs to one item and becomes a `Shortfall` in its row."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class MediaError(_ItemError):
    """A file or one of its tracks cannot be read."""


class FetchError(_ItemError):
    """An item cannot be fetched from its source."""


class Failure(StrEnum):
    """What a failed request means for what comes next."""

    RATE_LIMITED = "rate_limited"
    """Asked too fast: wait, ask again, and shrink concurrency. Not charged."""
    TRANSIENT = "transient"
    """The service or the way to it failed (5xx, network): ask again; may have been charged."""
    REFUSED = "refused"
    """This sample will never be accepted (400, 413, 415, 422), or its answer came and cannot be read: final for the
    request, others go on."""
    FATAL = "fatal"
    """Key, quota or permission: the endpoint stops, its samples stay unanswered."""


class EndpointError(BatchScanError):
    """One request to an endpoint or transcriber failed.

    Attributes:
        failure: what may be done next.
        http_status: status code, or None where no answer came.
        vendor_code: the vendor's own error code, where it gave one.
        retry_after_s: how long the vendor asked us to wait, seconds.
        maybe_charged: True where the request may have been accepted and charged although no answer came.
        was_sent: False where no connection came about, so that nothing of the request has left.
    """

    def __init__(
        self,
        failure: Failure,
        detail: str,
        *,
        http_status: int | None = None,
        vendor_code: str = "",
        retry_after_s: float | None = None,
        maybe_charged: bool = False,
        was_sent: bool = True,
    ) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.http_status = http_status
        self.vendor_code = vendor_code
        self.retry_after_s = retry_after_s
        self.maybe_charged = maybe_charged
        self.was_sent = was_sent
