"""Where decoded sound lies in time: presentation times of stretches of samples, as holes in a line of samples.

Decoded sound comes as bare samples; where packets are missing, or time was left out, nothing in them shows it. With
every few thousand of them the decoder tells when they are heard. Pure: a `Timeline` is fed times and asked for holes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

HOLE_MIN_S: Final = 0.25
"""Times that differ by less are jitter, which live recordings and coarse time stamps are full of; what is lost in
smaller pieces adds up until it shows."""

RESTART_S: Final = 10.0
"""A time line that falls back by this much has started anew (joined recordings); by less, time stamps are untidy."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Time without sound between two decoded samples."""

    after: int
    """Samples decoded before it."""
    length: int
    """In samples."""
    damaged: bool
    """Demuxer or decoder had complained by then: sound was here and is lost. Else nothing ever was."""


class Timeline:
    """Follows the times of one track.

    Args:
        rate_hz: rate of the samples.

    Attributes:
        shown: samples whose time is known by now.
        holes: found since they were last taken off, in order.
    """

    def __init__(self, rate_hz: int) -> None:
        self.shown = 0
        self.holes: deque[Hole] = deque()
        self._rate_hz = rate_hz
        self._least = round(HOLE_MIN_S * rate_hz)
        self._restart = round(RESTART_S * rate_hz)
        self._first: int | None = None
        self._passed = 0  # samples and holes so far
        self._offset = 0  # how far the time stamps lie after our line
        self._untidy = 0  # how much of a fall back may yet be made up for
        self._complained = False

    @property
    def start_s(self) -> float:
        """When the first sample is heard, seconds from the start of the file."""
        return max(0.0, (self._first or 0) / self._rate_hz)

    @property
    def end(self) -> int:
        """Where the line ends by now, in samples after its beginning, holes counted."""
        return self._passed

    @property
    def expected(self) -> int:
        """What the next time stamp says where nothing is missing before it."""
        return (self._first or 0) + self._offset + self._passed

    def show(self, at: int, samples: int, *, complained: bool = False) -> None:
        """Take the time of the next stretch.

        Args:
            at: when its first sample is heard, in samples from the start of the file.
            samples: how many there are.
            complained: demuxer or decoder had complained by then.
        """
        if self._first is None:
            self._first = at
        self._complained |= complained
        self._compare(at - self._first - self._offset - self._passed)
        self.shown += samples
        self._passed += samples

    def go_on(self, samples: int) -> None:
        """Take a stretch of which it is known that its time says nothing new: within `HOLE_MIN_S` of `expected`."""
        self.shown += samples
        self._passed += samples

    def _compare(self, ahead: int) -> None:
        """Learn from a time stamp that lies `ahead` samples after the end of our line."""
        if ahead <= -self._least:
            self._offset += ahead
            self._untidy = 0 if ahead <= -self._restart else self._untidy - ahead
        elif ahead >= self._least:
            made_up = min(ahead, self._untidy)
            self._offset += made_up
            self._untidy -= made_up
            if ahead - made_up >= self._least:
                # The decoder runs some packets ahead of what it shows: any complaint so far may be about this hole.
                self.holes.append(Hole(self.shown, ahead - made_up, damaged=self._complained))
                self._passed += ahead - made_up
