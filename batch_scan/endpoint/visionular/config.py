"""The `[endpoints.visionular]` table: how files are played to Visionular's live service, and what it looks for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from batch_scan.endpoint.base_url import BaseUrl
from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.secret import SecretRef
from batch_scan.table import Table

DEFAULT_INTERVAL_S = 5
"""Seconds between looked-at pictures where neither the table nor the job says."""
MAX_CONCURRENCY = 16
"""Files played at once, at most: each holds a push to the vendor, and perhaps an encoder here."""


class Auth(StrEnum):
    """How requests are authenticated: the vendor's pages show the first, its Go library sends the second."""

    BEARER = "bearer"
    BASIC = "basic"


_SECRETS = {
    Auth.BEARER: {"access_token": "VISIONULAR_ACCESS_TOKEN"},
    Auth.BASIC: {"access_key": "VISIONULAR_ACCESS_KEY", "secret_key": "VISIONULAR_SECRET_KEY"},
}


def check_ingest_url(url: str) -> str:
    """Return an ingest URL without its trailing slash; empty stays empty. Raises ValueError for no RTMP URL."""
    if not url:
        return url
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("holds characters that no URL has")
    parsed = urlsplit(url)
    if parsed.scheme not in {"rtmp", "rtmps"} or not parsed.hostname or not parsed.path.strip("/"):
        raise ValueError("is not an RTMP URL; give one such as rtmp://ingest.example.com/live, without the stream key")
    if "@" in parsed.netloc or parsed.query or parsed.fragment:
        raise ValueError("must hold neither user, query nor fragment; the stream key is put behind it for each file")
    return url.rstrip("/")


IngestUrl = Annotated[str, AfterValidator(check_ingest_url)]
"""Where files are pushed to, without a stream key."""


class Models(Table):
    """The `models` table: what is looked for, and from which confidence on the vendor calls it a violation."""

    nude: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="threshold for nudity; unset = not looked for; 0.6 where there is no such table",
    )
    weapon: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="threshold for weapons; unset = not looked for; 0.8 where there is no such table",
    )

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if self.nude is None and self.weapon is None:
            raise ValueError("names nothing to look for: set nude, weapon or both")
        return self

    @property
    def wanted(self) -> dict[str, float]:
        """The thresholds that are set, by model."""
        return {name: threshold for name, threshold in self.model_dump().items() if threshold is not None}


class LiveLimit(LimitTable):
    """The `limit` table: a request here is a file that is played live."""

    concurrency: int = Field(default=2, ge=1, le=MAX_CONCURRENCY, description="files played at once at most")
    timeout_s: float = Field(
        default=60.0, gt=0, description="longest wait for the answer to one call, seconds; playing has its own bound"
    )


class VisionularConfig(ServiceConfig):
    """The `[endpoints.visionular]` table of a job file."""

    auth: Auth = Field(default=Auth.BEARER, description="bearer: access_token; basic: access_key and secret_key")
    access_token: SecretRef | None = Field(
        default=None, description='with auth "bearer"; unset = { env = "VISIONULAR_ACCESS_TOKEN" }'
    )
    access_key: SecretRef | None = Field(
        default=None, description='with auth "basic"; unset = { env = "VISIONULAR_ACCESS_KEY" }'
    )
    secret_key: SecretRef | None = Field(
        default=None, description='with auth "basic"; unset = { env = "VISIONULAR_SECRET_KEY" }'
    )
    base_url: BaseUrl = "https://api.visionular.com"
    ingest_url: IngestUrl = Field(
        default="", description="rtmp:// or rtmps:// URL without the stream key, as the vendor's console shows it"
    )
    models: Models = Models(nude=0.6, weapon=0.8)
    frame_interval: int | None = Field(
        default=None,
        ge=1,
        description="whole seconds between judged pictures; unset = extract.frame_interval, rounded down, at least 1",
    )
    latency_mode: str = Field(default="", description='sent where it is set, such as "low"')
    sound: bool = Field(default=False, description="push the sound too; it is not judged")
    longest_px: int = Field(
        default=1280, ge=128, le=3840, description="longest side of pictures that have to be encoded anew, pixels"
    )
    max_kbps: int = Field(
        default=6000, ge=100, description="upload rate of one file, kbit/s; files above it are encoded anew"
    )
    max_play_s: float = Field(
        default=21_600.0,
        gt=0,
        le=86_400,
        description="longest play, seconds; longer files are refused, and it is the quote where a duration is unknown",
    )
    poll_interval_s: float = Field(default=10.0, gt=0, description="seconds between looks for records after a play")
    settle_s: float = Field(
        default=30.0, ge=0, description="records are taken for complete when none came for so many seconds"
    )
    settle_max_s: float = Field(default=300.0, ge=0, description="longest wait for records after a play, seconds")
    min_coverage: float = Field(
        default=0.5, gt=0, le=1, description="share of the expected pictures below which a file is not answered"
    )
    max_gap_s: float = Field(
        default=20.0,
        ge=0,
        description="longest stretch of a film without a judged picture, seconds; three intervals are always allowed",
    )
    start_offset_s: float = Field(
        default=0.5,
        ge=-60,
        le=60,
        description="seconds from the start that a session's name tells to its first picture; half of one on average, "
        "for names tell whole ones",
    )
    page_size: int = Field(default=100, ge=1, le=1000, description="records asked for at once")
    max_pages: int = Field(default=500, ge=1, description="pages looked through for the records of one file at most")
    webhook: bool = Field(default=False, description="take audit_check callbacks too; needs [callbacks]")
    limit: LiveLimit = LiveLimit()

    @model_validator(mode="before")
    @classmethod
    def _secrets_of_auth(cls, given: Any) -> Any:
        """Fill in where the secrets of the chosen authentication are, and refuse those of the other."""
        if not isinstance(given, dict) or given.get("auth", Auth.BEARER) not in set(Auth):
            return given
        auth = Auth(given.get("auth", Auth.BEARER))
        others = {key for scheme, keys in _SECRETS.items() if scheme is not auth for key in keys}
        misplaced = sorted(key for key in others if given.get(key) is not None)
        if misplaced:
            raise ValueError(f'auth = "{auth}" does not use {", ".join(misplaced)}')
        return {key: {"env": variable} for key, variable in _SECRETS[auth].items()} | {
            key: value for key, value in given.items() if value is not None or key not in _SECRETS[auth]
        }

    def in_job(self, *, frame_interval_s: float) -> Self:
        """See `ServiceConfig.in_job`: the contract takes whole seconds, so never more seldom than the job says."""
        if self.frame_interval is not None:
            return self
        return self.model_copy(update={"frame_interval": max(1, int(frame_interval_s))})

    @property
    def interval_s(self) -> int:
        """Whole seconds between looked-at pictures."""
        return self.frame_interval or DEFAULT_INTERVAL_S

    @property
    def audit_settings(self) -> dict[str, Any]:
        """What a live stream is created with."""
        return {"frame_interval": self.interval_s, "models": self.models.wanted}
