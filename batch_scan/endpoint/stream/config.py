"""The `[endpoints.stream]` table: what is sent to Stream, under which policy, and how its answers are waited for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.http import BaseUrl
from batch_scan.endpoint.stream.labels import ACTION_SCORES, KEEP
from batch_scan.secret import SecretRef
from batch_scan.table import Table
from batch_scan.vocabulary import Medium

Word = Annotated[str, Field(min_length=1, max_length=128)]
"""A name that stands at the vendor: a label, a block list, a key."""
TextAction = Literal["keep", "flag", "mask", "mask_flag", "shadow", "remove", "bounce", "bounce_flag", "bounce_remove"]
ImageAction = Literal["flag", "shadow", "remove", "bounce", "bounce_flag", "bounce_remove"]


class Severity(StrEnum):
    """How grave Stream's text engine finds a text."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class SeverityRule(Table):
    """What is done with a label at one severity."""

    severity: Severity = Field(description="low, medium, high or critical")
    action: TextAction = Field(description="what Stream recommends at this severity")


class TextRule(Table):
    """What is done with a text that has a label."""

    label: Word = Field(description="such as INSULT; any label of your policy")
    action: TextAction | None = Field(default=None, description="what Stream recommends whatever the severity")
    severity_rules: tuple[SeverityRule, ...] = Field(default=(), description="what it recommends at which severity")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.action is None and not self.severity_rules:
            raise ValueError("a text rule needs an action, severity_rules, or both")
        return self


class BlockListRule(Table):
    """What is done with a text that holds a word of a block list."""

    name: Word = Field(description="such as profanity_en; a block list of your app")
    action: TextAction = Field(description="what Stream recommends")


class ImageRule(Table):
    """What is done with a picture that has a label."""

    label: Word = Field(description="such as Explicit; `batch-scan policy show` lists those that Stream knows")
    action: ImageAction = Field(description="what Stream recommends")
    min_confidence: float | None = Field(default=None, ge=0, le=100, description="from which confidence on, 0 to 100")


class PolicyRules(Table):
    """The `policy` table: the rules that `batch-scan policy push` writes under `config_key`."""

    ai_text: tuple[TextRule, ...] = Field(default=(), description="rules for labels of the text engine")
    block_lists: tuple[BlockListRule, ...] = Field(default=(), description="rules for block lists")
    ai_image: tuple[ImageRule, ...] = Field(default=(), description="rules for labels of the image engine")

    @property
    def is_empty(self) -> bool:
        """Whether the job holds no rules: the policy is then kept in the vendor's dashboard."""
        return not (self.ai_text or self.block_lists or self.ai_image)


class StreamConfig(ServiceConfig):
    """The `[endpoints.stream]` table of a job file."""

    limit: LimitTable = LimitTable()
    api_key: SecretRef = Field(default=SecretRef(env="STREAM_API_KEY"), description="key of the app")
    api_secret: SecretRef = Field(
        default=SecretRef(env="STREAM_API_SECRET"), description="its secret, which signs tokens and webhooks"
    )
    base_url: BaseUrl = Field(default="https://chat.stream-io-api.com", description="where Stream's API is")
    config_key: Word = Field(default="custom:archive", description="key of the policy that judges")
    policy: PolicyRules = Field(default=PolicyRules(), description="its rules; `batch-scan policy push` writes them")
    entity_type: Word = Field(default="external:call", description="what content is called at Stream")
    creator_id: Word = Field(default="batch-scan", description="user id that content is checked, and uploaded, under")
    content_published_at: AwareDatetime | None = Field(
        default=None,
        description="when the recordings were published (ISO 8601), sent with every check; unset = not told",
    )
    samples: tuple[Literal[Medium.UTTERANCE, Medium.FRAME], ...] = Field(
        default=(Medium.UTTERANCE,),
        min_length=1,
        description="what is sent: utterance, frame, or both; frames are stored at Stream until they are judged",
    )
    texts_per_check: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="utterances in one check; those of an unclean one are checked again alone",
    )
    force_sync: bool = Field(
        default=False, description="ask Stream to answer only when its slow engines are done (options.force_sync)"
    )
    follow_up_s: float = Field(
        default=60.0, gt=0, le=3600, description="longest wait for the end of a check that was not final, seconds"
    )
    poll_s: float = Field(
        default=2.0, ge=0.01, le=60, description="between two looks into the review queue while waiting, seconds"
    )
    webhook: bool = Field(
        default=False, description="wait for Stream's webhook too; needs [callbacks], and its URL set in the dashboard"
    )
    action_scores: dict[Word, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=lambda: dict(ACTION_SCORES),
        description="which number an action stands for; those not named keep their own",
    )

    @field_validator("samples")
    @classmethod
    def _once_each(cls, samples: tuple[Medium, ...]) -> tuple[Medium, ...]:
        if len(set(samples)) != len(samples):
            raise ValueError("names a kind of sample twice")
        return samples

    @field_validator("config_key", "entity_type", "creator_id")
    @classmethod
    def _shown(cls, word: str) -> str:
        if not word.isprintable():
            raise ValueError("holds control characters")
        return word

    @field_validator("action_scores", mode="before")
    @classmethod
    def _whole_table(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        if any(isinstance(number, bool) for number in given.values()):
            raise ValueError("an action stands for a number between 0 and 1")
        return {**ACTION_SCORES, **given}

    @field_validator("action_scores")
    @classmethod
    def _keep_is_clean(cls, scores: dict[str, float]) -> dict[str, float]:
        if scores[KEEP] != 0.0:
            raise ValueError("keep is 0: it is Stream's word for clean")
        return scores
