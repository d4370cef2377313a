"""The job: the whole configuration as one validated, frozen value; `jobfile.py` builds it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AwareDatetime, BeforeValidator, Field, SerializeAsAny, ValidationInfo, model_validator

from batch_scan.callbacks.table import CallbacksTable
from batch_scan.digest import fingerprint
from batch_scan.duration import parse_duration
from batch_scan.endpoint.config import BudgetTable, ServiceConfig
from batch_scan.endpoint.registry import ENDPOINTS, ServiceType
from batch_scan.media.interface import FrameMode, FrameSpec, MediaLimits
from batch_scan.state import default_state_dir
from batch_scan.store import StoreOptions
from batch_scan.table import JobPath, JobUri, Table
from batch_scan.transcribe.config import LocalTranscriberConfig, TranscriberConfig
from batch_scan.transcribe.registry import TRANSCRIBERS
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = {"api_key", "api_secret", "access_key", "access_token", "secret_key"}
_PLACES = {"base_url", "urls", "ingest_url"}
_FETCHING = {"bucket", "scratch_bytes", "sign_urls", "fetch_timeout_s"}
_NOT_IN_FINGERPRINT = {"limit", "budget", "token_price"} | _KEYS | _PLACES | _FETCHING


class FailOn(StrEnum):
    """From which verdict on the exit code is 1."""

    FLAG = "flag"
    REMOVE = "remove"
    NEVER = "never"


class LogFormat(StrEnum):
    """How messages on standard error look."""

    TEXT = "text"
    JSON = "json"


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
"""A number of seconds, or words such as ``90s``, ``30m``, ``6h``, ``1h30m``."""


class BucketTable(Table):
    """How a bucket is reached, where the cloud's own environment variables do not say it. Holds no credentials."""

    endpoint: str = Field(default="", description="URL of a store of one's own, such as MinIO; unset = the cloud's")
    region: str = Field(default="", description="S3: region of the bucket")
    account: str = Field(default="", description="Azure: name of the storage account")
    anonymous: bool = Field(default=False, description="ask without credentials, for public buckets")
    allow_http: bool = Field(default=False, description="without encryption; this machine may always be asked so")
    virtual_host: bool = Field(default=False, description="S3: the bucket's name stands in the host")
    request_payer: bool = Field(default=False, description="S3: pay for requests to somebody else's bucket")

    @property
    def options(self) -> StoreOptions:
        """What the store is opened with."""
        return StoreOptions(**self.model_dump())


class SourceTable(Table):
    """Where files come from."""

    uri: JobUri = Field(
        default="", description="a manifest (on disk or in a bucket), a directory, or a bucket: s3://, gs://, az://"
    )
    include: tuple[str, ...] = Field(
        default=(), description="patterns as in .gitignore; where given, only what matches is scanned"
    )
    exclude: tuple[str, ...] = Field(default=(), description="patterns of what is left out; wins over include")
    root: JobPath | None = Field(default=None, description="rows of a manifest are confined to this directory")
    allow_hosts: tuple[str, ...] = Field(default=(), description="hosts that http(s) rows may name")
    allow_buckets: tuple[str, ...] = Field(
        default=(), description="buckets that rows may name, such as s3://archive; unset = any of the own account"
    )
    modified_after: AwareDatetime | None = Field(
        default=None,
        description="only what was modified since, such as 2026-11-01T00:00:00Z; http(s) rows by their Last-Modified",
    )
    max_file_bytes: int = Field(default=8 << 30, gt=0, description="larger files are not fetched")
    fetch_timeout_s: Seconds = Field(default=600.0, description="longest time one fetch may take")
    scratch_bytes: int = Field(
        default=0, ge=0, description="most bytes of fetched files at any time; 0 = half of what is free"
    )
    sign_urls: Seconds = Field(
        default=0.0, description="how long signed URLs are good, for endpoints that pull; 0 = none are made"
    )
    bucket: BucketTable = BucketTable()


class ExtractTable(Table):
    """Which samples are taken out of a file."""

    frame_interval: float = Field(default=5.0, gt=0, le=86_400, description="seconds between wanted frames")
    frame_size: int = Field(default=640, ge=32, le=4096, description="longest side of a frame, pixels")
    frame_mode: FrameMode = FrameMode.EXACT
    frame_tolerance: float = Field(default=0.0, ge=0, description="exact may take a keyframe this near, seconds")
    max_frames: int = Field(default=0, ge=0, description="most frames per file; 0 = no cap")
    dedup_frames: bool = Field(default=True, description="near-identical neighbours share one answer")
    skip_silence: bool = Field(
        default=True, description="measured silence (peaks below -60 dBFS) is recorded, not sent"
    )
    copy_sound: bool = Field(
        default=False,
        description="sound goes undecoded to those who take its codec: quicker, but silence is sent, and they mix it",
    )
    audio: bool = Field(default=True, description="judge the sound")
    video: bool = Field(default=True, description="judge the pictures")

    @property
    def frames(self) -> FrameSpec:
        """What the media room is asked for."""
        return FrameSpec(
            interval_s=self.frame_interval,
            longest_px=self.frame_size,
            mode=self.frame_mode,
            tolerance_s=self.frame_tolerance,
            max_frames=self.max_frames,
            dedup=self.dedup_frames,
        )


class LimitsTable(Table):
    """Bounds for hostile media; a file beyond one is not clean, its row says which."""

    max_pixels: int = Field(default=MediaLimits().max_pixels, gt=0, description="of one picture")
    max_streams: int = Field(default=MediaLimits().max_streams, gt=0, description="in one file")
    max_duration: Seconds = Field(
        default=MediaLimits().max_duration_s, description="more of a file is not examined, and its row says so"
    )
    memory_bytes: int = Field(default=MediaLimits().memory_bytes, ge=512 << 20, description="per decoder process")

    @property
    def media(self) -> MediaLimits:
        """What the media room is bound by."""
        return MediaLimits(
            max_pixels=self.max_pixels,
            max_streams=self.max_streams,
            max_duration_s=self.max_duration,
            memory_bytes=self.memory_bytes,
        )


class Threshold(Table):
    """From which score on a category is flagged or removed."""

    flag: float | None = Field(default=0.5, ge=0, le=1)
    remove: float | None = Field(default=0.8, ge=0, le=1)


class PolicyTable(Table):
    """Scores to actions. A category's own table replaces only what it names; the rest comes from `default`."""

    default: Threshold = Threshold()
    categories: dict[Category, Threshold] = Field(
        default_factory=dict, description="thresholds by category, such as `weapon = { flag = 0.8 }`"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        for name in (None, *self.categories):
            threshold = self.threshold(name)
            if threshold.flag is not None and threshold.remove is not None and threshold.remove < threshold.flag:
                where = f"categories.{name}" if name else "default"
                raise ValueError(f"{where}: remove ({threshold.remove}) is below flag ({threshold.flag})")
        return self

    def threshold(self, category: Category | None) -> Threshold:
        """Return the thresholds of one category, completed from `default`."""
        own = self.categories.get(category) if category is not None else None
        return self.default if own is None else self.default.model_copy(update=own.model_dump(exclude_unset=True))


class ReportTable(Table):
    """Where the report goes and what it holds."""

    uri: JobUri = Field(
        default="reports",
        validate_default=True,
        description="directory of the report, or a bucket: s3://, gs://, az://",
    )
    bucket: BucketTable = BucketTable()
    evidence: bool = Field(default=True, description="keep thumbnails and short clips of findings")
    lease: bool = Field(
        default=True, description="in a bucket: refuse a second run on the same report; takes conditional writes"
    )


class StateTable(Table):
    """Where answers are remembered between runs."""

    dir: JobPath | None = Field(
        default=None,
        description="directory of the ledger, on a local disk; default: .state in the report, or for a bucket "
        "$XDG_STATE_HOME/batch-scan/DIGEST",
    )
    wait: Seconds = Field(default=0.0, description="how long to wait for another run that uses it")


class RunTable(Table):
    """How the scan itself runs."""

    workers: int = Field(default=0, ge=0, le=256, description="decoder processes; 0 = one per core")
    limit: int | None = Field(default=None, ge=0, description="scan the first N items only")
    max_time: Seconds | None = Field(
        default=None,
        description="ask nothing new after this long; files under way become `partial`, the rest `skipped`",
    )
    fail_on: FailOn = FailOn.FLAG
    progress: bool = Field(default=True, description="a progress bar on a terminal")
    log_format: LogFormat = LogFormat.TEXT


class TranscribeTable(Table):
    """Who turns sound into words for endpoints that judge utterances."""

    engine: str = "local"
    services: dict[str, SerializeAsAny[TranscriberConfig]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _tables(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        plain = {"engine": data.get("engine", "local")}
        own = {name: value for name, value in data.items() if name != "engine"}
        own.setdefault(str(plain["engine"]), {})
        return plain | {"services": _service_tables(own, TRANSCRIBERS, "transcriber", info)}

    @property
    def config(self) -> TranscriberConfig:
        """The chosen transcriber's table."""
        return self.services.get(self.engine, LocalTranscriberConfig())


class Job(Table):
    """Everything a scan is told."""

    name: str = Field(default="scan", description="in the report")
    source: SourceTable = SourceTable()
    extract: ExtractTable = ExtractTable()
    limits: LimitsTable = LimitsTable()
    endpoints: dict[str, SerializeAsAny[ServiceConfig]] = Field(default_factory=dict)
    callbacks: CallbacksTable | None = Field(default=None, description="only where an endpoint calls back")
    transcribe: TranscribeTable = Field(default_factory=lambda: TranscribeTable.model_validate({}))
    policy: PolicyTable = PolicyTable()
    budget: BudgetTable = BudgetTable()
    report: ReportTable = ReportTable()
    state: StateTable = StateTable()
    run: RunTable = RunTable()

    @model_validator(mode="before")
    @classmethod
    def _endpoint_tables(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("endpoints"), dict):
            return data
        return data | {"endpoints": _service_tables(data["endpoints"], ENDPOINTS, "endpoint", info)}

    @property
    def state_dir(self) -> Path:
        """Directory of the ledger."""
        return self.state.dir or default_state_dir(self.report.uri)

    @property
    def fingerprint(self) -> str:
        """Names what is judged and how: two jobs that would give the same report from the same source share it."""
        dumped = self.model_dump(
            mode="json", include={"source", "extract", "limits", "endpoints", "transcribe", "policy"}
        )
        dumped["first_items"] = self.run.limit
        return fingerprint(_without(dumped, _NOT_IN_FINGERPRINT))


def _service_tables(
    tables: dict[str, Any], known: Mapping[str, ServiceType[Any]], kind: str, info: ValidationInfo
) -> dict[str, ServiceConfig]:
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise ValueError(f"unknown {kind} {unknown[0]!r}; known are: {', '.join(sorted(known))}")
    models = {name: known[name].config_model for name in tables}
    return {
        name: table if isinstance(table, ServiceConfig) else models[name].model_validate(table, context=info.context)
        for name, table in tables.items()
    }


def _without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}
    return value
