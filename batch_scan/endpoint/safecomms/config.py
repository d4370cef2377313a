"""The `[endpoints.safecomms]` table: every option of SafeComms' audio and image calls, checked before it is used.

Options that only the vendor's staging pages show (image `detectPii`, `redactPii`) are not offered. Tiers are noted
where the pages name them, and never enforced here: they drift, and the service says 403 where one is missing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.http import BaseUrl
from batch_scan.media.interface import AudioCodec
from batch_scan.secret import SecretRef
from batch_scan.table import Table
from batch_scan.vocabulary import Medium

NEUTRAL_LANGUAGE = "English"
"""What audio and image calls take as English, at no extra cost; the text call's ``en`` costs a token more here."""


class AuthScheme(StrEnum):
    """How the key travels. The pages show the first, the vendor's own libraries send the second."""

    X_API_KEY = "x-api-key"
    BEARER = "bearer"


class Send(StrEnum):
    """How a sample travels."""

    UPLOAD = "upload"
    """As a file in a multipart form."""
    BASE64 = "base64"
    """As base64 text in JSON, a third larger."""
    URL = "url"
    """Sound that lies under a URL of its own is pulled from there, whole; all else as `upload`."""


class KeywordsEncoding(StrEnum):
    """How `custom_keywords` travel in a multipart form, which the vendor does not document."""

    REPEAT = "repeat"
    """One field per keyword."""
    JSON = "json"
    """One field that holds a JSON list."""


class TranscriptionMode(StrEnum):
    """How many speakers a transcription tells apart."""

    SINGLE = "single"
    MULTIPLE = "multiple"


class AudioOptions(Table):
    """The `audio` table: what is asked of a chunk of sound beside the moderation itself. Each costs tokens."""

    transcribe: bool = Field(default=False, description="give the transcription back; +10 tokens, Starter")
    transcription_mode: TranscriptionMode | None = Field(default=None, description="unset = what the tier can do")
    include_timestamps: bool = Field(default=False, description="times in the transcription; +1, Pro; needs transcribe")
    extract_metadata: bool = Field(default=False, description="format, duration, bit rate; +1, Starter")
    analyze_sentiment: bool = Field(default=False, description="+1, Starter")
    detect_topics: bool = Field(default=False, description="+1, Starter")
    detect_pii: bool = Field(default=False, description="+2, Pro")
    custom_keywords: tuple[str, ...] = Field(default=(), description="words to flag; +2, Business")
    detect_distress: bool = Field(default=False, description="acoustic signs of distress; +2, Business")
    analyze_quality: bool = Field(default=False, description="+2, Business")

    @field_validator("custom_keywords")
    @classmethod
    def _words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() and word.isprintable() for word in words):
            raise ValueError("a keyword is empty or holds control characters")
        return words

    @model_validator(mode="after")
    def _timestamps_need_transcription(self) -> Self:
        if self.include_timestamps and not self.transcribe:
            raise ValueError("include_timestamps needs transcribe = true")
        return self


class ImageOptions(Table):
    """The `image` table: what is asked of a frame beside the moderation itself. Each costs tokens."""

    enable_ocr: bool = Field(default=False, description="judge the text in the picture too; +3, Pro")
    enhanced_ocr: bool = Field(
        default=False, description="better reading, +8 in place of the +3, Pro; needs enable_ocr"
    )
    extract_metadata: bool = Field(default=False, description="+1, Starter")

    @model_validator(mode="after")
    def _enhanced_needs_ocr(self) -> Self:
        if self.enhanced_ocr and not self.enable_ocr:
            raise ValueError("enhanced_ocr needs enable_ocr = true")
        return self


class SeverityScores(Table):
    """The `severity_scores` table: which number a severity word stands for. The vendor gives words only."""

    none: float = Field(default=0.0, ge=0, le=1)
    low: float = Field(default=0.3, ge=0, le=1)
    medium: float = Field(default=0.6, ge=0, le=1)
    high: float = Field(default=0.9, ge=0, le=1)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.none <= self.low <= self.medium <= self.high:
            raise ValueError("severity_scores must rise from none over low and medium to high")
        return self


class UrlTable(Table):
    """The `url` table: which files are pulled with `send = "url"`, and when they count as heard."""

    formats: tuple[str, ...] = Field(
        default=("mp3", "wav"), description="containers (ffmpeg's names) that are pulled; the vendor's page names these"
    )
    films: bool = Field(
        default=False, description="files with pictures are pulled too, for their sound; the vendor does not say it can"
    )
    max_bytes: int = Field(default=20_000_000, ge=1, description="largest file; the vendor pulls it in 30 s, or not")
    tolerance_s: float = Field(
        default=2.0,
        ge=0,
        description="seconds by which the length that the vendor tells may differ from the file's; half of it at most",
    )


class CopiedTable(Table):
    """The `copied` table: what is taken with `[extract] copy_sound = true`, and when it counts as heard."""

    codecs: tuple[Literal["mp3", "aac"], ...] = Field(
        default=("mp3",), description="taken undecoded; of these the vendor's page names MP3. Each request +1 token"
    )
    tolerance_s: float = Field(
        default=2.0,
        ge=0,
        description="seconds by which the length that the vendor tells may differ from what was sent; half at most",
    )


class SafeCommsConfig(ServiceConfig):
    """The `[endpoints.safecomms]` table of a job file."""

    limit: LimitTable = LimitTable()
    api_key: SecretRef = SecretRef(env="SAFECOMMS_API_KEY")
    base_url: BaseUrl = "https://api.safecomms.dev"
    auth: AuthScheme = AuthScheme.X_API_KEY
    samples: tuple[Literal[Medium.AUDIO, Medium.FRAME], ...] = Field(
        default=(Medium.AUDIO, Medium.FRAME), min_length=1, description="what is sent: audio, frame, or both"
    )
    send: Send = Field(default=Send.UPLOAD, description="how sound and frames travel")
    url: UrlTable = UrlTable()
    copied: CopiedTable = CopiedTable()
    keywords_encoding: KeywordsEncoding = KeywordsEncoding.REPEAT
    language: str = Field(
        default=NEUTRAL_LANGUAGE, min_length=1, description="language of explanations; others than English +1, Pro"
    )
    moderation_profile_id: str | None = Field(default=None, min_length=1, description="a profile made in the console")
    max_upload_bytes: int = Field(
        default=20_000_000, ge=100_000, description="largest sample, as it travels; the vendor names no limit"
    )
    max_audio_s: float = Field(
        default=3600.0, ge=1, description="longest chunk; the price is per request, so long ones are cheap"
    )
    audio_format: Literal[AudioCodec.MP3, AudioCodec.WAV, AudioCodec.FLAC] = AudioCodec.MP3
    audio_bitrate_kbps: int = Field(default=32, ge=16, le=160, description="of MP3, mono at 16 kHz")
    audio: AudioOptions = AudioOptions()
    image: ImageOptions = ImageOptions()
    severity_scores: SeverityScores = SeverityScores()

    @field_validator("language")
    @classmethod
    def _neutral(cls, language: str) -> str:
        if language.casefold() in {"en", "en-us", "en-gb"}:
            raise ValueError(f'write "{NEUTRAL_LANGUAGE}": SafeComms charges "{language}" as another language')
        return NEUTRAL_LANGUAGE if language.casefold() == NEUTRAL_LANGUAGE.casefold() else language

    @field_validator("samples")
    @classmethod
    def _once_each(cls, samples: tuple[Medium, ...]) -> tuple[Medium, ...]:
        if len(set(samples)) != len(samples):
            raise ValueError("names a kind of sample twice")
        return samples

    @model_validator(mode="after")
    def _sound_has_urls(self) -> Self:
        if self.send is Send.URL and Medium.AUDIO not in self.samples:
            raise ValueError('send = "url" is about sound: samples must name audio')
        return self

    @property
    def max_sample_bytes(self) -> int:
        """Largest sample that fits `max_upload_bytes` the way it travels."""
        return self.max_upload_bytes * 3 // 4 if self.send is Send.BASE64 else self.max_upload_bytes
