"""The `[endpoints.deepcleer]` table: which of DeepCleer's calls are made, where they are, and what they cost.

The vendor serves each product in clusters of its own (``api-{audio|img|audiostream}-{bj|sh|gg|xjp|yd|fjny}`` under
``fengkongcloud.com``), not every product in every cluster; so no URL has a default.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from batch_scan.endpoint.base_url import check_base_url, is_on_this_machine
from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.media.interface import AudioCodec
from batch_scan.secret import SecretRef
from batch_scan.table import Table
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_IMAGES = 12
"""Pictures in one call of `/images/v4`."""
MAX_BASE64_BYTES = 15_000_000
"""Longest base64 text of one sound; 3 bytes become 4 letters, so 11.25 MB of sound."""
MAX_IMAGE_DATA_BYTES = 10_000_000
"""Largest `data` of `/images/v4`, all pictures together."""
SYNC_CAP_S = 60.0
"""Longest sound that `/audiomessage/v4` takes."""
_DATA_ROOM_BYTES = 1_000
"""Of `data`, for what is not a picture: names, quotes, `tokenId`."""
_IMAGE_ROOM_BYTES = 100
"""Of `data`, for each picture's `btId` and punctuation."""
_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Mode(StrEnum):
    """How sound reaches the vendor."""

    FILE = "file"
    """In chunks that are uploaded."""
    STREAM = "stream"
    """Files under a URL are pulled whole by the vendor, which calls back; all others as `file`."""


class RiskType(StrEnum):
    """What sound is searched for: words of `type` (the vendor's spelling)."""

    POLITY = "POLITY"
    EROTIC = "EROTIC"
    ADVERT = "ADVERT"
    ADLAW = "ADLAW"
    BAN = "BAN"
    VIOLENT = "VIOLENT"
    MOAN = "MOAN"
    AUDIOPOLITICAL = "AUDIOPOLITICAL"
    ANTHEN = "ANTHEN"
    DIRTY = "DIRTY"
    SING = "SING"
    MINOR = "MINOR"
    BANEDAUDIO = "BANEDAUDIO"
    COPYRIGHTSONGS = "COPYRIGHTSONGS"
    VOICE = "VOICE"


class ImageType(StrEnum):
    """What pictures are searched for: words of `type`."""

    POLITY = "POLITY"
    EROTIC = "EROTIC"
    VIOLENT = "VIOLENT"
    QRCODE = "QRCODE"
    ADVERT = "ADVERT"
    IMGTEXTRISK = "IMGTEXTRISK"


_IMAGE_WORDS = frozenset(kind.value for kind in ImageType)


class BusinessType(StrEnum):
    """What else is told of sound, none of it a risk: words of `businessType`."""

    GENDER = "GENDER"
    AGE = "AGE"
    TIMBRE = "TIMBRE"
    SING = "SING"
    LANGUAGE = "LANGUAGE"
    VOICE = "VOICE"
    AUDIOSCENE = "AUDIOSCENE"
    MINOR = "MINOR"


_NEED_GENDER = frozenset({BusinessType.TIMBRE, BusinessType.SING, BusinessType.LANGUAGE})

PATHS: Mapping[str, str] = {
    "audio_sync": "/audiomessage/v4",
    "audio": "/audio/v4",
    "audio_query": "/query_audio/v4",
    "images": "/images/v4",
    "audio_stream": "/audiostream/v4",
    "finish_stream": "/finish_audiostream/v4",
}
"""Calls by their key in `urls`, and the path of each."""


class UrlTable(Table):
    """The `urls` table: where each call is made. Host alone, or the whole URL as the vendor's page prints it."""

    audio_sync: str = Field(default="", description="of /audiomessage/v4: sound up to `sync_max_s`")
    audio: str = Field(default="", description="of /audio/v4: longer sound")
    audio_query: str = Field(default="", description="of /query_audio/v4: what became of longer sound")
    images: str = Field(default="", description="of /images/v4: frames")
    audio_stream: str = Field(default="", description='of /audiostream/v4; mode = "stream" only')
    finish_stream: str = Field(default="", description='of /finish_audiostream/v4; mode = "stream" only')

    @field_validator("*")
    @classmethod
    def _is_safe(cls, url: str, info: ValidationInfo) -> str:
        return check_base_url(url).removesuffix(PATHS[str(info.field_name)]) if url else ""

    def of(self, call: str) -> str:
        """Return the whole URL of a call; empty where its host is not given."""
        base = str(getattr(self, call))
        return f"{base}{PATHS[call]}" if base else ""


class TokenTable(Table):
    """The `tokens` table: how many tokens an image and a second of sound are. See docs/endpoints/deepcleer.md."""

    image: int = Field(default=1, ge=0, description="tokens per image that the vendor bills")
    audio_second: int = Field(default=1, ge=0, description="tokens per begun second of sound")


class RiskScores(Table):
    """The `risk_scores` table: which number a risk level stands for. The vendor gives words only."""

    passed: float = Field(default=0.0, ge=0, le=1, description="PASS")
    review: float = Field(default=0.5, ge=0, le=1, description="REVIEW; at least a flag in any case")
    reject: float = Field(default=0.9, ge=0, le=1, description="REJECT; at least a flag in any case")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.passed <= self.review <= self.reject:
            raise ValueError("risk_scores must rise from passed over review to reject")
        return self


class StreamTable(Table):
    """The `stream` table: how long a stream is waited for, and when it counts as heard."""

    plays_live: bool = Field(
        default=False, description="the vendor pulls at the speed of listening: the plan then counts a file's length"
    )
    wait_factor: float = Field(default=1.5, ge=1, le=100, description="a stream may take this many times its length")
    slack_s: float = Field(
        default=600.0, ge=0, description="and this many seconds; the vendor's own pulling again takes up to 390"
    )
    tolerance_s: float = Field(
        default=2.0, ge=0, description="seconds that may be missing from what the vendor heard of a file"
    )
    natural_ends: tuple[int, ...] = Field(
        default=(), description="end codes (3001 to 3005) that count as an ordinary end of a file heard whole"
    )


class DeepCleerConfig(ServiceConfig):
    """The `[endpoints.deepcleer]` table of a job file."""

    limit: LimitTable = LimitTable()
    access_key: SecretRef = Field(
        default=SecretRef(env="DEEPCLEER_ACCESS_KEY"), description="`accessKey`, as the vendor issued it"
    )
    app_id: str = Field(default="", description="`appId`, as the vendor issued it")
    event_id: str = Field(default="", description="`eventId`, as the vendor activated it")
    image_event_id: str = Field(default="", description="`eventId` of pictures, where it is another one")
    mode: Mode = Field(default=Mode.FILE, description="sound is uploaded, or files under a URL are pulled whole")
    samples: tuple[Literal[Medium.AUDIO, Medium.FRAME], ...] = Field(
        default=(Medium.AUDIO, Medium.FRAME), min_length=1, description="what is sent: audio, frame, or both"
    )
    urls: UrlTable = UrlTable()
    types: tuple[RiskType, ...] = Field(
        default=(RiskType.POLITY, RiskType.EROTIC, RiskType.VIOLENT, RiskType.DIRTY),
        min_length=1,
        description="what sound is searched for",
    )
    image_types: tuple[ImageType, ...] | None = Field(
        default=None, description="what pictures are searched for; unset = those of `types` that pictures have"
    )
    business_types: tuple[BusinessType, ...] = Field(
        default=(), description="what else is told of sound; kept raw, MINOR is a score too"
    )
    lang: str = Field(default="zh", pattern=r"^[a-z]{2,3}$", description="language spoken: zh, en, ar, hi, es, fr, …")
    token_id: str = Field(default="batch-scan", description="`tokenId`: whose content it is, to the vendor")
    images_per_request: int = Field(
        default=MAX_IMAGES, ge=1, le=MAX_IMAGES, description="frames in one call; fewer may each be larger"
    )
    audio_format: Literal[AudioCodec.MP3, AudioCodec.WAV] = Field(
        default=AudioCodec.MP3, description="how sound travels; mono at 16 kHz"
    )
    audio_bitrate_kbps: int = Field(default=32, ge=16, le=160, description="of MP3, mono at 16 kHz")
    max_audio_s: float = Field(
        default=1800.0, ge=1, description="longest chunk, seconds; up to `sync_max_s`, nothing is polled for"
    )
    sync_max_s: float = Field(
        default=59.0, ge=0, le=SYNC_CAP_S, description="longest sound that is asked about in one call; 0 = none"
    )
    split_silence_s: float = Field(
        default=10.0, ge=0, description="silence of this length is left out, for it would be paid; 0 = it stays"
    )
    poll_interval_s: float = Field(
        default=5.0,
        gt=0,
        description="seconds between questions after a longer sound, and before failed pictures are asked about again",
    )
    poll_timeout_s: float = Field(
        default=900.0, gt=0, description="longest wait for what became of a longer sound, seconds"
    )
    found_again_s: float = Field(
        default=180.0,
        ge=0,
        description="how long a submission of an earlier process is looked for before it is sent anew",
    )
    stream: StreamTable = StreamTable()
    tokens: TokenTable = TokenTable()
    risk_scores: RiskScores = RiskScores()

    @field_validator("samples", "types", "image_types", "business_types")
    @classmethod
    def _once_each(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if words is not None and len(set(words)) != len(words):
            raise ValueError("names a word twice")
        return words

    @field_validator("token_id")
    @classmethod
    def _is_token_id(cls, token_id: str) -> str:
        if not _TOKEN_ID.fullmatch(token_id):
            raise ValueError("has 1 to 64 letters, digits, - and _")
        return token_id

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if _NEED_GENDER.intersection(self.business_types) and BusinessType.GENDER not in self.business_types:
            raise ValueError("business_types: TIMBRE, SING and LANGUAGE need GENDER")
        if Medium.FRAME in self.samples and not self.types_of_images:
            raise ValueError("none of `types` exists for pictures: set image_types, or leave frame out of samples")
        if self.mode is Mode.STREAM and Medium.AUDIO not in self.samples:
            raise ValueError('mode = "stream" is about sound: samples must name audio')
        return self

    @property
    def base_url(self) -> str:
        """The URL that stands for all of them: one on this machine where there is any, for those are trials."""
        given = [url for call in PATHS if (url := str(getattr(self.urls, call)))]
        return next(filter(is_on_this_machine, given), given[0] if given else "")

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls that this table makes: those whose URLs must be given."""
        wanted: list[str] = []
        if Medium.AUDIO in self.samples:
            wanted += ["audio_sync"] if self.sync_max_s > 0 else []
            wanted += ["audio", "audio_query"] if self.max_audio_s > self.sync_max_s else []
        if Medium.FRAME in self.samples:
            wanted.append("images")
        if self.mode is Mode.STREAM:
            wanted += ["audio_stream", "finish_stream"]
        return tuple(wanted)

    @property
    def types_of_images(self) -> tuple[ImageType, ...]:
        """What pictures are searched for."""
        if self.image_types is not None:
            return self.image_types
        return tuple(ImageType(kind.value) for kind in self.types if kind.value in _IMAGE_WORDS)

    @property
    def max_audio_bytes(self) -> int:
        """Largest sound whose base64 text is allowed."""
        return MAX_BASE64_BYTES // 4 * 3

    @property
    def max_image_bytes(self) -> int:
        """Largest picture, so that as many as go into one call fit `data`."""
        room = (MAX_IMAGE_DATA_BYTES - _DATA_ROOM_BYTES) // self.images_per_request - _IMAGE_ROOM_BYTES
        return room // 4 * 3

    @property
    def tells_minors(self) -> bool:
        """Whether the user asked for children's voices to be told."""
        return BusinessType.MINOR in self.business_types
