"""Stream (GetStream) Moderation: judges transcripts, and frames where the user wants it, under a policy of the user's.

The vendor's own library brings a dozen packages for two calls and asks no `check` twice, so its REST API is spoken
directly (``https://getstream.io/moderation/docs/``); a test keeps both the same on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota
from batch_scan.endpoint.stream import wire
from batch_scan.endpoint.stream.answer import read_checks
from batch_scan.endpoint.stream.asking import UPLOAD, Desk
from batch_scan.endpoint.stream.client import StreamClient
from batch_scan.endpoint.stream.config import StreamConfig
from batch_scan.endpoint.stream.followup import FollowUp, sorter
from batch_scan.endpoint.stream.policy import check_policy, read_policy, unread_policy
from batch_scan.errors import BatchScanError, EndpointError, Failure, UsageError
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.model import Answer, Request, Sample, Score

__all__ = ["Stream", "StreamConfig", "build", "checks_per_minute"]

ADAPTER_VERSION = 1
"""Part of every answer's key: rises when the same options begin to be sent in another way."""
_OPERATIONS = {Medium.UTTERANCE: "check", Medium.FRAME: "check_image"}
_CHECK_NAMES = frozenset({"check", "moderationcheck"})
"""What `GET /rate_limits` may call the check, letters alone; the vendor does not say."""
_LAST_DELETIONS_S = 15.0
_CLEAN_FRAMES = (
    "frames are judged after the reply, and the review queue tells of unclean ones alone: without webhook or "
    "force_sync the clean ones stay unanswered"
)


def build(config: ServiceConfig) -> Stream:
    """Return the endpoint for its table of the job file."""
    if not isinstance(config, StreamConfig):
        raise TypeError(f"expected StreamConfig, got {type(config).__name__}")
    return Stream(config)


class Stream(Endpoint):
    """See `Endpoint`. Many texts, or one picture, per request; a token is one check."""

    name = "stream"
    config: StreamConfig

    def __init__(self, config: StreamConfig) -> None:
        self.config = config
        self._client: StreamClient | None = None
        self._desk: Desk | None = None
        self._looking = asyncio.Lock()
        self._policy_seen = False

    @property
    def needs(self) -> Needs:
        """See `Service.needs`."""
        samples = self.config.samples
        return Needs(
            utterance=BatchLimits(samples=self.config.texts_per_check) if Medium.UTTERANCE in samples else None,
            frame=BatchLimits(samples=1) if Medium.FRAME in samples else None,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Service.settings`."""
        return {medium.value: self.settings_for(medium) for medium in _OPERATIONS}

    def settings_for(self, medium: Medium) -> Mapping[str, Any]:
        """See `Service.settings_for`: rules for pictures leave the answers for texts valid, and vice versa."""
        kinds = {"ai_image"} if medium is Medium.FRAME else {"ai_text", "block_lists"}
        return {
            "adapter": ADAPTER_VERSION,
            "config_key": self.config.config_key,
            "entity_type": self.config.entity_type,
            "creator_id": self.config.creator_id,
            "policy": self.config.policy.model_dump(mode="json", include=kinds),
        }

    async def open(self) -> Quota:
        """See `Service.open`. Says so where the policy is missing, or is not the job's."""
        self._policy_seen = False
        if self.config.webhook and self.premises.callbacks is None:
            raise UsageError("[endpoints.stream] webhook = true needs a table [callbacks] in the job file")
        self._client = client = StreamClient(self.config, self.name)
        try:
            notes = [*await self._policy_notes(client), *self._open_desk(client)]
            notes += await self._delete_left_open()
            rate = await self._rate(client)
        except BaseException:
            await self.close()
            raise
        return Quota(requests_per_minute=rate, note="; ".join(notes))

    async def close(self) -> Quota | None:
        """See `Service.close`. Deletes pictures that could not be deleted before; Stream does not say what was used."""
        if self._desk is not None:
            with contextlib.suppress(TimeoutError, BatchScanError):
                async with asyncio.timeout(_LAST_DELETIONS_S):
                    await self._delete_left_open()
        client, self._client, self._desk = self._client, None, None
        if client is not None:
            await client.aclose()
        return None

    def operation(self, medium: Medium) -> str:
        """See `Service.operation`."""
        return _OPERATIONS[medium]

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        """See `Service.quote`: one check; of several texts, each alone too where they are not all clean."""
        if medium is Medium.FRAME or len(samples) == 1:
            return len(samples)
        return 1 + len(samples)

    async def submit(self, request: Request) -> Answer:
        """See `Service.submit`. Nothing is judged under rules that were never seen, where the job has rules."""
        if self._desk is None or self._client is None:
            raise RuntimeError("Stream is used before open() or after close()")
        if not (self._policy_seen or self.config.policy.is_empty):
            await self._look_at_policy(self._client)
        return await self._desk.ask(request)

    def read(self, request: Request, answer: Answer) -> list[Score]:
        """See `Endpoint.read`."""
        names: dict[str, str] = {sample.digest: wire.entity_of_sample(sample) for sample in request.samples}
        return read_checks(self.name, request, answer.raw, self.config.action_scores, names)

    async def _policy_notes(self, client: StreamClient) -> list[str]:
        try:
            await self._look_at_policy(client)
        except EndpointError as error:
            if error.failure is Failure.FATAL:
                raise
            return [f"policy not looked at: {error.detail}"]
        return []

    async def _look_at_policy(self, client: StreamClient) -> None:
        """Make sure once that the policy is there and holds the job's rules. Raises EndpointError."""
        async with self._looking:
            if self._policy_seen:
                return
            try:
                check_policy(self.config, await read_policy(client, self.config))
            except EndpointError as error:
                error.maybe_charged = False  # looking costs nothing
                if error.failure is Failure.REFUSED and not self.config.policy.is_empty:
                    raise unread_policy(self.config, error) from None
                raise
            self._policy_seen = True

    def _open_desk(self, client: StreamClient) -> list[str]:
        callbacks = self.premises.callbacks
        mailbox = None
        if self.config.webhook and callbacks is not None:
            mailbox = callbacks.mailbox(self.name, sorter(client.secret))
        self._desk = Desk(client, FollowUp(client, self.config, self.premises, mailbox), self.premises)
        if mailbox is not None:
            return [f"webhooks are awaited at {mailbox.url}"]
        if Medium.FRAME in self.config.samples and not self.config.force_sync:
            return [_CLEAN_FRAMES]
        return []

    async def _delete_left_open(self) -> list[str]:
        """Delete the pictures that an earlier process left at the vendor."""
        urls = self.premises.handles.left_open(UPLOAD)
        kept = 0
        for url in urls:
            try:
                if self._desk is not None:
                    await self._desk.delete(url)
            except EndpointError:
                kept += 1
        return [f"{kept} uploaded pictures of an earlier run could not be deleted"] if kept else []

    async def _rate(self, client: StreamClient) -> float | None:
        try:
            return checks_per_minute((await client.rate_limits()).json)
        except EndpointError:
            return None


def checks_per_minute(told: Any) -> float | None:
    """Return how many checks a minute an answer of `GET /rate_limits` allows; None where it does not say."""
    rates = told.get("server_side") if isinstance(told, dict) else None
    for name, rate in rates.items() if isinstance(rates, dict) else ():
        if "".join(filter(str.isalpha, name)).casefold() in _CHECK_NAMES and isinstance(rate, dict):
            limit = rate.get("limit")
            if isinstance(limit, int | float) and not isinstance(limit, bool) and limit > 0:
                return float(limit)
    return None
