"""Sums of money that may be known in part only: the cost of requests, of a file, of an endpoint, of a run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Charged(Protocol):
    """Whatever was charged for: a request, a file, what an endpoint was asked."""

    @property
    def cost(self) -> float | None:
        """What it cost; None where no price is known for all of it, or nothing has one."""

    @property
    def tokens_charged(self) -> int:
        """Tokens charged for it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What has been added up so far, and whether that is all of it."""

    priced: float | None = None
    """Sum of what has a price; None where nothing has one."""
    unpriced: bool = False
    """Whether something was charged for that has no price."""

    def __add__(self, other: Cost) -> Cost:
        both = [one.priced for one in (self, other) if one.priced is not None]
        return Cost(sum(both) if both else None, self.unpriced or other.unpriced)

    @property
    def total(self) -> float | None:
        """The sum; None where a part of it is not known, or nothing has a price."""
        return None if self.unpriced else self.priced


def cost_of(charged: Iterable[Charged]) -> Cost:
    """Return what several things cost together."""
    return sum((Cost(one.cost, one.cost is None and one.tokens_charged > 0) for one in charged), Cost())
