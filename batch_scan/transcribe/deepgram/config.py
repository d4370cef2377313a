"""The `[transcribe.deepgram]` table: what is asked of Deepgram's API for recorded sound, checked before it is used.

Not offered, because they would hide or change what was said: `profanity_filter` masks the very words that are looked
for, `redact` takes personal data out, `replace` writes other words. Not offered either: what is not speech to text
(topics, intents, sentiment, summaries), `multichannel` (chunks are mono), `callback`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from batch_scan.endpoint.config import LimitTable
from batch_scan.endpoint.http import BaseUrl  # noqa: TC001 - the model is made of its annotations
from batch_scan.media.interface import AudioCodec
from batch_scan.secret import SecretRef
from batch_scan.transcribe.config import TranscriberConfig

DEFAULT_LANGUAGE = "en"
MULTILINGUAL = "multi"
"""The word for several languages in one recording, which some models take as a language."""

_COPIED: Final = ("mp3", "aac")
"""What can be parted undecoded of what ``https://developers.deepgram.com/docs/supported-audio-formats`` names."""
_MOST_TERMS = 100
_MOST_LABELS = 20
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"


class AuthScheme(StrEnum):
    """How the key travels."""

    TOKEN = "token"  # noqa: S105 - a scheme, no secret
    """An API key, as the console makes them."""
    BEARER = "bearer"
    """A short-lived access token."""


class DiarizeModel(StrEnum):
    """Which model tells speakers apart."""

    LATEST = "latest"
    V1 = "v1"
    V2 = "v2"


def _plain(word: str) -> str:
    if not word.strip() or not word.isprintable():
        raise ValueError("is empty or holds control characters")
    return word


def _pair(label: str) -> str:
    key, separator, value = label.partition(":")
    if not (key.strip() and separator and value.strip()):
        raise ValueError('is written "key:value"')
    return label


_Language = Annotated[str, Field(pattern=_LANGUAGE)]
_Word = Annotated[str, Field(max_length=200), AfterValidator(_plain)]


class DeepgramLimitTable(LimitTable):
    """How fast Deepgram may be asked. It limits requests at once per project, not requests per minute."""

    concurrency: int = Field(
        default=16, ge=1, le=1000, description="requests in flight at most; plans allow 5 (Whisper) to 100 per project"
    )
    timeout_s: float = Field(
        default=900.0, gt=0, description="longest wait for an answer, seconds; longer than the service works on one"
    )
    max_retry_s: float = Field(default=1800.0, ge=0, description="longest time one request is retried, seconds")


class DeepgramConfig(TranscriberConfig):
    """The `[transcribe.deepgram]` table of a job file."""

    limit: DeepgramLimitTable = DeepgramLimitTable()
    api_key: SecretRef = SecretRef(env="DEEPGRAM_API_KEY")
    base_url: BaseUrl = Field(
        default="https://api.deepgram.com",
        validate_default=True,
        description="regional hosts are https://api.eu.deepgram.com, api.au, api.in",
    )
    auth: AuthScheme = Field(default=AuthScheme.TOKEN, description="token for API keys, bearer for access tokens")
    model: str = Field(
        default="nova-3",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="always sent: the service's own default is its oldest model",
    )
    version: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description="of the model; unset = its latest"
    )
    language: Literal["multi"] | _Language | None = Field(
        default=None,
        description='BCP 47 tag of what is spoken, or "multi" for several at once; unset = en, or what is detected',
    )
    detect_language: bool = Field(default=False, description="let the service find out which language is spoken")
    expected_languages: tuple[_Language, ...] = Field(
        default=(), description="detect among these alone; another one is not understood. Implies detect_language"
    )
    diarize_model: DiarizeModel | None = Field(
        default=None, description="tell speakers apart, with this model; unset = do not"
    )
    punctuate: bool = Field(default=True, description="punctuation and capitals")
    smart_format: bool = Field(default=False, description="write dates, amounts, addresses … as people write them")
    numerals: bool = Field(default=False, description="write numbers in digits")
    measurements: bool = Field(default=False, description="abbreviate units of measure")
    filler_words: bool = Field(default=False, description="write down uh and um")
    utt_split: float = Field(default=0.8, gt=0, le=60, description="a pause of this many seconds ends an utterance")
    keyterm: tuple[_Word, ...] = Field(
        default=(), max_length=_MOST_TERMS, description="words and names to listen for; nova-3 only"
    )
    keywords: tuple[_Word, ...] = Field(
        default=(), max_length=_MOST_TERMS, description="the same for older models, as word or word:weight"
    )
    mip_opt_out: bool = Field(
        default=False, description="keep the sound out of the model improvement programme; changes the price"
    )
    tag: tuple[_Word, ...] = Field(
        default=(), max_length=_MOST_LABELS, description="labels for the requests in the console's usage"
    )
    extra: tuple[Annotated[_Word, AfterValidator(_pair)], ...] = Field(
        default=(), max_length=_MOST_LABELS, description='"key:value" pairs that come back in the metadata'
    )
    audio_format: Literal[AudioCodec.FLAC, AudioCodec.MP3] = Field(
        default=AudioCodec.FLAC, description="flac loses nothing; mp3 uploads a quarter to half of the bytes"
    )
    audio_bitrate_kbps: Literal[16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160] = Field(
        default=64, description="of MP3, mono at 16 kHz"
    )
    copied_codecs: tuple[Literal["mp3", "aac"], ...] = Field(
        default=_COPIED, description="taken undecoded with [extract] copy_sound = true; silence is then paid for"
    )
    max_chunk_s: float = Field(
        default=1800.0, ge=10, le=14_400, description="longest chunk of sound in one request, seconds"
    )
    max_upload_bytes: int = Field(
        default=60_000_000,
        ge=1_000_000,
        le=2_000_000_000,
        description="largest chunk, bytes; the service takes 2 GB, but each request in flight is held in memory",
    )
    split_silence_s: float = Field(
        default=10.0, ge=0, le=3600, description="silence of this many seconds is not sent, hence not paid; 0 = it is"
    )
    min_confidence: float = Field(
        default=0.5, ge=0, lt=1, description="utterances below it were not understood; 0 = all were"
    )
    check_sha256: bool = Field(
        default=True, description="refuse answers whose metadata.sha256 is not that of the sound that was sent"
    )

    @model_validator(mode="after")
    def _one_way_to_the_language(self) -> Self:
        if self.language is not None and self.detects_language:
            raise ValueError("language is either given or detected: leave out language, or what detects it")
        return self

    @model_validator(mode="after")
    def _terms_fit_the_model(self) -> Self:
        is_nova_3 = self.model == "nova-3" or self.model.startswith("nova-3-")
        if self.keyterm and not is_nova_3:
            raise ValueError(f"keyterm is for nova-3: for model = {self.model!r} use keywords")
        if self.keywords and is_nova_3:
            raise ValueError("keywords is for older models: for nova-3 use keyterm")
        return self

    @property
    def detects_language(self) -> bool:
        """Whether the service is to find out which language is spoken."""
        return self.detect_language or bool(self.expected_languages)

    @property
    def asked_language(self) -> str:
        """The one language that is asked for; empty where it is detected, or several are."""
        if self.detects_language or self.language == MULTILINGUAL:
            return ""
        return self.language or DEFAULT_LANGUAGE
