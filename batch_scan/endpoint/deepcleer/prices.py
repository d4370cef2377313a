"""What DeepCleer's answers cost in tokens, of which `[endpoints.deepcleer.tokens]` says how they are counted. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.endpoint.deepcleer.config import TokenTable
    from batch_scan.model import Sample

PADDING_S: Final = 1
"""An encoder adds up to 0.2 s to a chunk, which may begin another second."""
STREAM_STEP_S: Final = 10
"""A stream is judged, and may be billed, in stretches of this length."""


def quote(tokens: TokenTable, medium: Medium, samples: Sequence[Sample]) -> int:
    """Return the most that a request with these samples can cost."""
    if medium is Medium.FRAME:
        return tokens.image * len(samples)
    if medium is Medium.STREAM:
        steps = sum(math.ceil(sample.duration_s / STREAM_STEP_S) + 1 for sample in samples)
        return tokens.audio_second * steps * STREAM_STEP_S
    return tokens.audio_second * sum(math.ceil(sample.duration_s) + PADDING_S for sample in samples)


def sound(tokens: TokenTable, seconds: float, most: int) -> int:
    """Return what so many seconds of sound cost, never above the quote: what is told beyond it is not believed."""
    return min(tokens.audio_second * math.ceil(seconds), most)


def pictures(tokens: TokenTable, billed: int, most: int) -> int:
    """Return what so many billed images cost, never above the quote."""
    return min(tokens.image * billed, most)
