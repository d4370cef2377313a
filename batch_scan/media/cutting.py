"""Where sound that is not decoded is cut: between packets, only where a chunk would grow too large. Pure.

Lengths are whole flicks (`FLICKS_PER_S`), so that those of packets add up exactly, whatever their sample rates.

A frame of MP3 may begin with bytes that lie in frames before it (its *bit reservoir*), and every decoder takes a moment
to warm up. So a chunk that begins in the middle of a track begins with frames that the chunk before it had already: as
many as hold the whole reservoir, and rather more, so that a word that is said across the cut is whole in one of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

FLICKS_PER_S: Final = 705_600_000
"""A unit of time in which one sample lasts a whole number at every usual rate (8 to 192 kHz, 11.025 to 176.4 kHz)."""

RESERVOIR_BYTES: Final = 511
"""How far back a frame of MP3 may reach: `main_data_begin` has 9 bits (ISO/IEC 11172-3, 2.4.1.7)."""

MAX_LEAD_FRAMES: Final = 256
"""`_LEAD` at 96 kHz takes 188, a whole reservoir at 8 kbit/s 47."""

_LEAST_LEAD: Final = FLICKS_PER_S // 4
_LEAD: Final = 2 * FLICKS_PER_S
_MOST_LEAD_SHARE: Final = 4
"""Beyond what it must have, a lead takes a quarter of a chunk at most."""


class Frame(NamedTuple):
    """One packet that is handed on, by what its header says."""

    length: int
    """How long it is heard, in flicks."""
    size_bytes: int
    """As it is written, its header included."""
    main_bytes: int
    """MP3: what of it can be another frame's reservoir."""
    kind: tuple[int, int] = (0, 0)
    """Sample rate in Hz and number of channels: where they change, many decoders stop."""
    is_spoiled: bool = False
    """Its header is one, and what follows no sound."""


@dataclass(frozen=True, slots=True)
class CutRules:
    """Bounds of the chunks of one taker."""

    max_length: int
    """In flicks."""
    max_bytes: int
    reservoir_bytes: int = 0
    """How far back a frame may reach."""


class Cutter:
    """Decides, frame by frame, where a chunk begins."""

    def __init__(self, rules: CutRules) -> None:
        self._rules = rules
        self._recent: deque[Frame] = deque(maxlen=MAX_LEAD_FRAMES)
        self._length = self._size_bytes = 0
        self._is_open = False

    def feed(self, frame: Frame) -> int | None:
        """Take the next frame.

        Returns:
            None where it goes on in the chunk that is being filled; else with how many of the frames right before it
            the chunk begins that it is the first new one of.
        """
        rules = self._rules
        self._length += frame.length
        self._size_bytes += frame.size_bytes
        lead = None
        if not self._is_open or self._length > rules.max_length or self._size_bytes > rules.max_bytes:
            lead = self._begin(frame)
        self._recent.append(frame)
        return lead

    def stop(self) -> None:
        """End the chunk that is being filled: what follows has nothing to do with what was before."""
        self._recent.clear()
        self._is_open = False

    def _begin(self, frame: Frame) -> int:
        self._is_open = True
        rules = self._rules
        length = size_bytes = main_bytes = count = 0
        for earlier in reversed(self._recent):
            enough = main_bytes >= rules.reservoir_bytes and length >= _LEAST_LEAD
            ample = length >= min(_LEAD, rules.max_length // _MOST_LEAD_SHARE)
            if enough and (ample or size_bytes >= rules.max_bytes // _MOST_LEAD_SHARE):
                break
            if (
                length + earlier.length + frame.length > rules.max_length
                or size_bytes + earlier.size_bytes + frame.size_bytes > rules.max_bytes
            ):
                break
            length += earlier.length
            size_bytes += earlier.size_bytes
            main_bytes += earlier.main_bytes
            count += 1
        self._length, self._size_bytes = length + frame.length, size_bytes + frame.size_bytes
        return count
