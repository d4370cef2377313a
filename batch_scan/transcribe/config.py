"""The `[transcribe.X]` tables. Imports nothing of the `[local]` extra, so that any job file can be validated."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from batch_scan.endpoint.config import ServiceConfig
from batch_scan.endpoint.local.config import LocalLimitTable
from batch_scan.table import JobPath

_BYTES_PER_S = 2 * 16_000
_MAX_BYTES = 20_000_000
_MAX_CHUNK_S = _MAX_BYTES / _BYTES_PER_S


class TranscriberConfig(ServiceConfig):
    """What every transcriber's table may hold."""


class LocalTranscriberConfig(TranscriberConfig):
    """The embedded transcriber's options."""

    limit: LocalLimitTable = LocalLimitTable()
    model: Annotated[
        JobPath | None,
        Field(description="directory of a Whisper model in CTranslate2 form to use instead of the bundled tiny.en"),
    ] = None
    language: Annotated[
        str,
        Field(
            pattern=r"^[a-z]{2,3}$|^auto$",
            description='ISO 639-1 code of what is spoken; "auto" lets a multilingual model find out per window',
        ),
    ] = "en"
    beam_size: Annotated[int, Field(ge=1, le=10, description="1 = greedy, fastest; 5 costs about a third more")] = 1
    threads: Annotated[int, Field(ge=0, le=1024, description="threads of the model; 0 = one per core")] = 0
    max_chunk_s: Annotated[
        float, Field(ge=30, le=_MAX_CHUNK_S, description="longest chunk of sound that is taken at once, seconds")
    ] = 300.0
    speech_threshold: Annotated[
        float, Field(gt=0, lt=1, description="probability from which the voice detector calls a moment speech")
    ] = 0.5

    @model_validator(mode="after")
    def _bundled_model_is_english(self) -> Self:
        if self.model is None and self.language != "en":
            raise ValueError(f"the bundled tiny.en knows English alone: for language = {self.language!r} set model too")
        return self
