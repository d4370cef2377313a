"""What the ledger keeps, as values."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.digest import digest_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from batch_scan.model import Answer, RequestId, RunId


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that was paid for earlier, and which sample of its request it was looked up for."""

    request_id: RequestId
    position: int
    """Which of the request's samples has the key."""
    samples: int
    """How many samples the request had."""
    operation: str
    endpoint: str
    tokens_charged: int
    """For the whole request."""
    answer: Answer


@dataclass(frozen=True, slots=True)
class PaidRequest:
    """A request that was answered, as far as its answer does not tell."""

    request_id: RequestId
    attempts: int
    tokens_estimated: int
    tokens_charged: int
    latency_ms: float
    sent_at: datetime
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Requests that an earlier process of the run sent, with no word of how they ended: they may have been charged."""

    requests: int
    tokens: int
    """At most."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a run is known by before it has done anything."""

    run_id: RunId
    job_fingerprint: str
    source: str
    source_sha256: str
    report: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Twin:
    """The entry of this run that has a content already, for later entries with the same content."""

    identity: str
    uri: str
    summary: bytes
    """Whatever the caller needs to give the other entry its row."""


@dataclass(frozen=True, slots=True)
class OpenHandle:
    """Something left open at a vendor, such as a stream or an audit task."""

    service: str
    kind: str
    handle: str
    opened_at: datetime


def answer_key(sample_digest: str, operation: str, settings_fingerprint: str) -> str:
    """Return the name of an answer: the same content, asked the same way, has the same one in every run."""
    return digest_bytes(f"{sample_digest}\0{operation}\0{settings_fingerprint}".encode())


def storable(untrusted: str) -> str:
    """Make text from a vendor storable: lone surrogates, which JSON can carry, are not UTF-8."""
    return untrusted.encode("utf-8", "replace").decode("utf-8")


def pack_text(text: str) -> bytes:
    """Return text as it is kept: compressed, lone surrogates and all."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def unpack_text(packed: bytes) -> str:
    """Return the text that `pack_text` was given."""
    return zlib.decompress(packed).decode("utf-8", "surrogatepass")
