"""What the server keeps of streams, sessions and frames, in the vendor's words. No I/O."""

from __future__ import annotations

import base64
import itertools
import json
import math
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.sandbox.judge import Opinion

MODELS: Final[Mapping[str, frozenset[Category]]] = {
    "nude": frozenset({Category.NUDITY, Category.SEXUAL}),
    "weapon": frozenset({Category.WEAPON}),
}
"""What each model looks for, in the judge's categories."""
REVIEW_SHARE: Final = 0.75
"""From this share of its threshold on, a confidence is for review; the vendor does not say where its own lies."""

_numbers = itertools.count(1)


@dataclass(slots=True)
class LiveStream:
    """One live stream."""

    metadata: str
    audit: dict[str, Any] | None
    extra: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: f"{time.strftime('%Y%m')}-{uuid.uuid4()}")
    id: str = field(default_factory=lambda: f"{time.strftime('%Y%m')}-{_b64(secrets.token_hex(16).encode())}")
    enabled: bool = True
    publishing: bool = False
    created_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def is_open(self) -> bool:
        """Whether anything of it is left to close."""
        return self.enabled or self.audit is not None or self.publishing

    @property
    def told(self) -> dict[str, Any]:
        """What the REST calls say of it."""
        status = "disabled" if not self.enabled else "active" if self.publishing else "idle"
        audit = {} if self.audit is None else {"audit_settings": self.audit}
        return {
            **self.extra,
            "stream_key": self.key,
            "status": status,
            "id": self.id,
            "user_metadata": self.metadata,
            "created_at": self.created_at,
            **audit,
        }


@dataclass(slots=True)
class Session:
    """One publisher's time on a stream, and the audit task that belongs to it."""

    stream: LiveStream
    account: str
    task_id: int
    started_s: float = field(default_factory=time.time)
    began_s: float = field(default_factory=time.monotonic)
    first_ms: int | None = None
    last_ms: int = 0
    frames: int = 0
    task_open: bool = True
    publishing: bool = True

    @property
    def id(self) -> str:
        """Its name, from which account, key and start can be read."""
        return _b64(f"{self.account}-{self.stream.key}-{int(self.started_s)}".encode())

    @property
    def played_s(self) -> float:
        """Seconds of stream received, the last picture's own time included."""
        if self.first_ms is None or self.frames < 2:  # noqa: PLR2004 - one picture has no length
            return 0.0
        shown_s = (self.last_ms - self.first_ms) / 1000.0
        return shown_s * self.frames / (self.frames - 1)

    @property
    def tokens(self) -> int:
        """What it costs: seconds begun."""
        return math.ceil(round(self.played_s, 1))


@dataclass(frozen=True, slots=True)
class Record:
    """One frame that was looked at."""

    told: Mapping[str, Any]
    visible_s: float
    """`time.monotonic` from which on it is listed."""


def detections(audit: Mapping[str, Any], opinions: Sequence[Opinion]) -> list[dict[str, Any]]:
    """Return what each configured model says of a frame."""
    found = []
    for model, threshold in audit["models"].items():
        confidence = max((one.score for one in opinions if one.category in MODELS[model]), default=0.0)
        risk = "pass"
        if confidence > 0.0 and confidence >= threshold:
            risk = "reject"
        elif confidence > 0.0 and confidence >= threshold * REVIEW_SHARE:
            risk = "review"
        shown = {"model": model, "confidence": round(confidence, 4), "risk_level": risk, "bounding_box": [0, 0, 0, 0]}
        found.append(shown)
    return found


def record_of(session: Session, found: Sequence[Mapping[str, Any]], arrived_s: float, late_s: float) -> Record:
    """Return the record of a frame that arrived at an instant (Unix seconds)."""
    number = next(_numbers)
    told = {
        "id": number,
        "task_id": session.task_id,
        "event_id": f"{int(arrived_s * 1000):016x}-{secrets.token_hex(4)}-{number:08x}-{secrets.token_hex(4)}",
        "account_id": "1200",
        "channel_id": session.id,
        "url": f"https://audit-frames.invalid/{number}.jpg?sign={secrets.token_hex(8)}",
        "detect_info": json.dumps(list(found)),
        "detect_status": 1,
        "audit_from": 1,
        "review_at": int(arrived_s * 1000),
        "created_at": int(arrived_s + late_s),
    }
    return Record(told, time.monotonic() + late_s)


def event_of(session: Session, record: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the `audit_check` event of a frame; None where nothing is above its threshold."""
    alerts = [
        {
            "type": one["model"],
            "confidence": one["confidence"],
            "description": f"{one['model']} detected in the frame",
            "detection_info": one,
        }
        for one in found
        if one["risk_level"] == "reject"
    ]
    if not alerts:
        return None
    return {
        "type": "audit_check",
        "id": record["event_id"],
        "data": {
            "stream_info": {
                "stream_id": session.stream.id,
                "stream_session_id": session.id,
                "title": session.stream.metadata,
                "start_time": int(session.started_s),
            },
            "frame_url": record["url"],
            "alerts": alerts,
        },
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record["review_at"] / 1000)),
    }


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
