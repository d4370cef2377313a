"""One run at a time in a report that several machines can reach.

The lease is an object in the report, ``.lease.json``, that is only ever written under the condition that it is still
the version that was read. It names its holder and how long it holds without being renewed; a holder that was killed
holds no longer than that, and a run with the same state directory, whose lock keeps others out, takes over at once.
A store that does not heed the condition is no place for a lease: that is tried, not believed.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING

from obstore.exceptions import NotSupportedError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batch_scan.errors import BatchScanError, LockedError, UsageError
from batch_scan.report.bucket import RemoteStore, VersionConflictError
from batch_scan.report.store import TOP
from batch_scan.store import STORE_ERRORS, explain, usage_error
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from obstore import UpdateVersion

    from batch_scan.report.bucket import Versioned

_log = logging.getLogger(__name__)

KEY = TOP / ".lease.json"
HOLDS_S = 300.0
"""Longer than a renewal that is asked again and again takes, and than clocks of two machines differ."""
RENEWS_S = 60.0
_NAME_CHARS = 200
_TRIES = 5
_NOT_IMPLEMENTED = "HTTP 501"
_NO_CONDITIONS = (
    "{uri}: this store does not heed conditional writes, so a second run on the same report would not be noticed; "
    "choose another store, or set [report] lease = false and see to it that one run at a time writes there"
)


class Claim(BaseModel):
    """What the lease says. Whoever can write to the bucket can write it, so its words are untrusted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    owner: str = Field(max_length=_NAME_CHARS)
    """Names the state directory of the holder."""
    host: str = Field(max_length=_NAME_CHARS)
    pid: int
    run_id: str = Field(max_length=_NAME_CHARS)
    since: datetime
    holds_s: float = Field(ge=0, le=86_400)
    """How long it holds after it was written last, seconds."""
    expires_at: datetime
    """When that is, by the clock of the holder; for people."""
    nonce: str = Field(default="", max_length=_NAME_CHARS)
    """Tells two writings of the same words apart."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a lease holds, and when it is renewed; seconds."""

    holds_s: float = HOLDS_S
    renews_s: float = RENEWS_S


USUAL = Terms()


class Lease:
    """The lease of one run. Methods block; one thread at a time."""

    def __init__(self, store: RemoteStore, owner: str, run_id: str, terms: Terms) -> None:
        """Nothing is asked yet."""
        self._store = store
        self._owner = owner
        self._run_id = run_id
        self._since = datetime.now(UTC)
        self._version: UpdateVersion | None = None
        self.terms = terms

    def take(self) -> None:
        """Take the lease where nobody holds it. Raises LockedError, UsageError."""
        try:
            self._take()
        except STORE_ERRORS as error:
            if isinstance(error, NotSupportedError) or _NOT_IMPLEMENTED in explain(error):
                raise UsageError(_NO_CONDITIONS.format(uri=self._store.uri)) from None
            raise usage_error(error, self._store.place, "written") from None

    def renew(self) -> None:
        """Hold it for its time from now on.

        Raises BatchScanError where somebody else has it, else what obstore raises.
        """
        try:
            self._version = self._write(self._version, self.terms.holds_s)
        except VersionConflictError:
            found = self._store.read_version(KEY)
            claim = _claim_of(found)
            if found is None or claim is None or claim.owner != self._owner or claim.run_id != self._run_id:
                raise BatchScanError(f"the lease of {self._store.uri} was lost to {_holder(claim)}") from None
            self._version = found.version  # our own write, whose answer did not come through

    def release(self) -> None:
        """Let others in at once; where it cannot be done, the lease ends by itself."""
        try:
            if self._version is not None:
                self._write(self._version, 0.0)
        except (VersionConflictError, *STORE_ERRORS):
            _log.warning("the lease of %s could not be released; it ends by itself", self._store.uri)
        self._version = None

    def _take(self) -> None:
        for _ in range(_TRIES):
            found = self._store.read_version(KEY)
            if found is not None:
                self._refuse_if_held(found)
            try:
                first = self._write(found.version if found is not None else None, self.terms.holds_s)
                self._check_conditions(first)
            except VersionConflictError:
                continue  # somebody was faster, or it was ourselves and the answer was lost
            return
        raise LockedError(f"several runs begin at {self._store.uri} at this moment; try again")

    def _check_conditions(self, first: UpdateVersion) -> None:
        """Make sure that a write under a condition that does not hold is refused. Raises VersionConflictError."""
        self._version = self._write(first, self.terms.holds_s)
        for outdated in (None, first):
            try:
                self._write(outdated, self.terms.holds_s)
            except VersionConflictError:
                continue
            raise UsageError(_NO_CONDITIONS.format(uri=self._store.uri))

    def _refuse_if_held(self, found: Versioned) -> None:
        claim = _claim_of(found)
        holds_s = claim.holds_s if claim is not None else self.terms.holds_s
        until = found.modified_at + timedelta(seconds=holds_s)
        if until <= datetime.now(UTC) or (claim is not None and claim.owner == self._owner):
            return
        raise LockedError(
            f"another run is using {self._store.uri} ({_holder(claim)}), until {until:%Y-%m-%d %H:%M:%S} UTC "
            "where it does not renew its lease; wait until it ends, stop it, or give this run another report"
        )

    def _write(self, expected: UpdateVersion | None, holds_s: float) -> UpdateVersion:
        now = datetime.now(UTC)
        claim = Claim(
            owner=self._owner if holds_s else "",
            host=socket.gethostname()[:_NAME_CHARS],
            pid=os.getpid(),
            run_id=self._run_id,
            since=self._since,
            holds_s=holds_s,
            expires_at=now + timedelta(seconds=holds_s),
            nonce=token_hex(8),
        )
        return self._store.write_version(KEY, claim.model_dump_json(indent=1).encode(), expected)


def _claim_of(found: Versioned | None) -> Claim | None:
    try:
        return Claim.model_validate_json(found.data) if found is not None else None
    except ValidationError:
        return None


def _holder(claim: Claim | None) -> str:
    if claim is None or not claim.owner:
        return "another process"
    return (
        f"process {claim.pid} on {clean_text(claim.host)}, run {clean_text(claim.run_id)}, "
        f"since {claim.since:%Y-%m-%d %H:%M:%S} UTC"
    )
