"""Waits for the end of a check that was not final: the webhook where there is one, and the review queue.

What is not in the queue may be clean, or not judged yet: absence is no answer. An item says `keep` for this check only
if it changed since the check was sent, for the same content may lie there from an earlier one. A webhook says `keep`
only if it does not tell a time from before: every check of an app is told to one URL, and may be told again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.answer_json import map_strings, parse_json
from batch_scan.endpoint.stream import wire
from batch_scan.endpoint.stream.answer import is_final, is_keep
from batch_scan.errors import EndpointError, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batch_scan.endpoint.premises import Mailbox, Premises, Sorter
    from batch_scan.endpoint.stream.client import StreamClient
    from batch_scan.endpoint.stream.config import StreamConfig
    from batch_scan.secret import Secret

COMPLETED_EVENT = "moderation_check.completed"
_ITEMS_PER_LOOK = 25
_CLOCKS_S = 60.0
"""By how much the vendor's clock may be behind ours before its webhooks count as told of an earlier check."""


def sorter(secret: Secret) -> Sorter:
    """Return what tells whose check a webhook is about: signed with the app's secret, and about an end."""

    def sort(headers: Mapping[str, str], body: bytes) -> str | None:
        expected = hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("x-signature", "").encode(), expected.encode()):
            return None
        told = _event(body)
        return told["entity_id"] if told is not None else None

    return sort


def _event(body: bytes) -> dict[str, Any] | None:
    try:
        told = parse_json(body)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("type") != COMPLETED_EVENT:
        return None
    return told if isinstance(told.get("entity_id"), str) and told["entity_id"] else None


class FollowUp:
    """Learns how checks end, for one endpoint."""

    def __init__(self, client: StreamClient, config: StreamConfig, premises: Premises, mailbox: Mailbox | None) -> None:
        self._client = client
        self._config = config
        self._premises = premises
        self._mailbox = mailbox

    async def end_of(self, entity_id: str, sent_at: datetime) -> dict[str, Any]:
        """Return how a check ended, as `answer.Check.final` keeps it.

        Raises EndpointError (`REFUSED`, perhaps charged) where it does not end in time.
        """
        try:
            async with asyncio.timeout(self._config.follow_up_s):
                while True:
                    final = await self._heard(entity_id, sent_at) or await self._looked_up(entity_id, sent_at)
                    if final is not None:
                        return final
        except TimeoutError:
            raise self._not_ended(entity_id) from None
        finally:
            self.forget(entity_id)

    def forget(self, entity_id: str) -> None:
        """Drop what has come, and will come, about a check that has ended: nobody waits for it."""
        if self._mailbox is not None:
            self._mailbox.forget(entity_id)

    def _not_ended(self, entity_id: str) -> EndpointError:
        hint = (
            "" if self._mailbox is not None else "; the review queue does not tell a clean one: see webhook, force_sync"
        )
        return EndpointError(
            Failure.REFUSED,
            f"the check of {entity_id} was not final within follow_up_s = {self._config.follow_up_s:g} s{hint}",
            vendor_code="not_final",
            maybe_charged=True,
        )

    async def _heard(self, entity_id: str, sent_at: datetime) -> dict[str, Any] | None:
        """Wait for the webhook, as long as it is until the next look into the queue."""
        if self._mailbox is None:
            await asyncio.sleep(self._config.poll_s)
            return None
        try:
            body = await self._mailbox.next(entity_id, self._config.poll_s)
        except TimeoutError:
            return None
        except EndpointError:  # what came could not be kept; the queue may still tell
            await asyncio.sleep(self._config.poll_s)
            return None
        told = self._end_told(body, sent_at)
        if told is None:
            return None
        told = map_strings(told, self._client.redact)
        item = None if is_keep(told["recommended_action"]) else await self._item(entity_id)
        return {"by": "webhook", "told": told, **({"item": item} if item is not None else {})}

    def _end_told(self, body: bytes, sent_at: datetime) -> dict[str, Any] | None:
        """Return what a webhook tells of the check that was sent then; None where it is about another one."""
        told = _event(body)
        action = told.get("recommended_action") if told is not None else None
        if told is None or not isinstance(action, str) or not action.strip():
            return None
        is_ours = told.get("entity_type", self._config.entity_type) == self._config.entity_type
        return None if not is_ours or (is_keep(action) and _was_told_before(told, sent_at)) else told

    async def _looked_up(self, entity_id: str, sent_at: datetime) -> dict[str, Any] | None:
        item = await self._item(entity_id)
        action = item.get("recommended_action") if item is not None else None
        if item is None or not is_final(item.get("status")) or not isinstance(action, str) or not action.strip():
            return None
        if is_keep(action) and not _changed_since(item, sent_at):
            return None
        return {"by": "review_queue", "item": item}

    async def _item(self, entity_id: str) -> dict[str, Any] | None:
        """Return the item of this content, None where there is none or the queue cannot be asked just now."""
        filters = {"entity_type": self._config.entity_type, "entity_id": entity_id}
        body = wire.queue_body(filters, limit=_ITEMS_PER_LOOK)
        try:
            await self._client.rest(wire.REVIEW_QUEUE)
            await self._premises.pace(0)
            reply = await self._client.review_queue(body)
        except EndpointError as error:
            if error.failure in {Failure.FATAL, Failure.REFUSED}:
                error.maybe_charged = True
                raise
            await asyncio.sleep(error.retry_after_s or 0.0)
            return None
        items = reply.json.get("items") if isinstance(reply.json, dict) else None
        mine = [one for one in items if _is_about(one, filters)] if isinstance(items, list) else []
        return max(mine, key=_changed_ns, default=None)


def _is_about(item: Any, filters: Mapping[str, str]) -> bool:
    return isinstance(item, dict) and all(item.get(key) == value for key, value in filters.items())


def _changed_ns(item: Mapping[str, Any]) -> float:
    """Return when an item last changed, nanoseconds since the epoch; 0 where it does not say."""
    return _instant_ns(item.get("updated_at"))


def _changed_since(item: Mapping[str, Any], sent_at: datetime) -> bool:
    return _changed_ns(item) >= sent_at.timestamp() * 1e9


def _was_told_before(event: Mapping[str, Any], sent_at: datetime) -> bool:
    """Whether a webhook says that it is from before the check; one that tells no time does not."""
    return 0.0 < _instant_ns(event.get("created_at")) < (sent_at.timestamp() - _CLOCKS_S) * 1e9


def _instant_ns(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
