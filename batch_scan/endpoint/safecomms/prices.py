"""What SafeComms charges, in its tokens, per request whatever the length. Pure.

Sources: ``https://safecomms.dev/docs/api/audio`` ("Token Usage & Costs") and ``…/image``. The answers name no cost, so
this table is what `tokens_charged` is made of; the usage call at the end of a run shows whether it still holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.safecomms.config import NEUTRAL_LANGUAGE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Price:
    """What one option of a call adds."""

    option: str
    """Field of the request, as it travels."""
    tokens: int
    tier: str
    """Lowest plan that has it, as the page says; not enforced here."""
    instead_of: str = ""
    """The option whose price this one takes the place of."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """What one operation costs: its base, and what its options add."""

    base: int
    language: int
    """Added where `language` is not ``English``."""
    options: tuple[Price, ...]

    def tokens(self, fields: Mapping[str, Any]) -> int:
        """Return what a request with these fields costs: the most it can, and what an answered one is charged."""
        taken = [price for price in self.options if fields.get(price.option)]
        replaced = {price.instead_of for price in taken}
        total = self.base + sum(price.tokens for price in taken if price.option not in replaced)
        return total + (self.language if fields.get("language", NEUTRAL_LANGUAGE) != NEUTRAL_LANGUAGE else 0)


PRICES: Mapping[str, PriceList] = {
    "audio": PriceList(
        base=50,
        language=1,
        options=(
            Price("extractMetadata", 1, "Starter"),
            Price("transcribe", 10, "Starter"),
            Price("analyzeSentiment", 1, "Starter"),
            Price("detectTopics", 1, "Starter"),
            Price("detectPii", 2, "Pro"),
            Price("includeTimestamps", 1, "Pro"),
            Price("customKeywords", 2, "Business"),
            Price("detectDistress", 2, "Business"),
            Price("analyzeQuality", 2, "Business"),
        ),
    ),
    "image": PriceList(
        base=20,
        language=1,
        options=(
            Price("extractMetadata", 1, "Starter"),
            Price("enableOcr", 3, "Pro"),
            Price("enhancedOcr", 8, "Pro", instead_of="enableOcr"),
        ),
    ),
}
"""Price lists by operation."""
