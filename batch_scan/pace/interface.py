"""The two shared meters of a run: how fast services are asked, and how much is spent.

Calls carry plain values and are asynchronous, so that one process can hold both for workers on other machines.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType, Protocol

SlotId = NewType("SlotId", int)
ReservationId = NewType("ReservationId", int)


class Feedback(StrEnum):
    """What became of a request, as far as pace is concerned."""

    ANSWERED = "answered"
    RATE_LIMITED = "rate_limited"
    """Shrinks concurrency, once per episode."""
    TROUBLED = "troubled"
    """5xx and network errors: concurrency stops growing."""
    NOT_SENT = "not_sent"
    """Gave the slot back unused; says nothing about the service."""


class Limiter(Protocol):
    """Says when the next request to a service may go."""

    async def acquire(self, service: str, size_bytes: int) -> SlotId:
        """Wait until a request of this size may be sent; cancelling gives everything back."""
        ...

    async def pace(self, service: str, size_bytes: int) -> None:
        """Wait until one more call of a request that holds a slot may be sent."""
        ...

    async def release(self, slot: SlotId, feedback: Feedback, retry_after_s: float | None = None) -> None:
        """Give the slot back and say how it went."""
        ...

    async def set_rate(self, service: str, requests_per_minute: float) -> None:
        """Take over the rate that the service itself named."""
        ...


class Budget(Protocol):
    """Says whether tokens may still be spent, per run and per service."""

    async def reserve(self, service: str, tokens: int) -> ReservationId | None:
        """Set `tokens` aside; None where the budget does not allow it.

        In `cautious` mode waits for settlements in flight before it says None, where they could still make room.
        """
        ...

    async def may_start(self, reservation: ReservationId) -> bool:
        """Whether a request may still go when its turn has come: a `soft` budget may be spent by now."""
        ...

    async def settle(self, reservation: ReservationId, tokens_charged: int) -> None:
        """Replace what was set aside by what it cost (0 where it was not charged)."""
        ...
