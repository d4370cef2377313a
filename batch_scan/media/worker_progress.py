"""What is wanted of a track and what was taken, in a decoder worker: shared by the passes over it."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batch_scan.media.wanted import EPSILON_S, WantedTimes

if TYPE_CHECKING:
    from batch_scan.media.ways import Whole
    from batch_scan.media.worker_decode import Shown

LEAD_IN_S: Final = 10.0
"""A recording may begin between keyframes: that much of its beginning may be impossible to decode for anyone, ..."""


class Mistrusted(Exception):  # noqa: N818 - not an error: the plain pass takes over
    """The pictures did not come as their packets said, or those say too little."""

    def __init__(self, why: Whole) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class Progress:
    """What is wanted and what was taken so far; shared by the passes over one track."""

    wanted: WantedTimes
    max_taken: int
    early_s: float = 0.0
    """A keyframe this long before a wanted time answers it."""
    late_s: float = 0.0
    """A keyframe this long after a wanted time answers it, whatever is shown between."""
    taken: int = 0
    first_taken_s: float | None = None
    last_taken_s: float = -math.inf
    stopped: bool = False
    """More was wanted than `max_taken`."""
    hidden: int = 0
    """Wanted times whose picture could not be decoded, beside those answered by a later one."""
    hidden_at_s: list[float] = field(default_factory=list)
    undecoded_from_s: float | None = None
    """From here to the end of the packets no picture came, though some were wanted."""
    _expected_s: list[float] = field(default_factory=list)

    @property
    def lead_in_s(self) -> float:
        """... and is not called damage where but the first wanted time lies in it, and nothing to decode."""
        return min(LEAD_IN_S, self.wanted.interval_s)

    def expect(self, time_s: float) -> None:
        """Note that a packet promises a picture at `time_s`."""
        if self.wanted.wants(time_s):
            heapq.heappush(self._expected_s, time_s)

    def forget_expected(self) -> None:
        """Expect nothing: a pass begins."""
        self._expected_s.clear()

    def missed_before(self, time_s: float) -> float | None:
        """Return the first promised and wanted time before `time_s`, if any."""
        while self._expected_s and not self.wanted.wants(self._expected_s[0]):
            heapq.heappop(self._expected_s)
        if self._expected_s and self._expected_s[0] < time_s - EPSILON_S:
            return self._expected_s[0]
        return None

    def stop_if_full(self, time_s: float) -> bool:
        """Note that no more is taken, where a picture at `time_s` would be one too many."""
        self.stopped = self.stopped or (self.taken >= self.max_taken and self.wanted.wants(time_s))
        return self.stopped

    def take(self, shown: Shown) -> Shown:
        """Note that a picture answers the next wanted time."""
        self.wanted.answer(shown.time_s)
        self.taken += 1
        if self.first_taken_s is None:
            self.first_taken_s = shown.time_s
        self.last_taken_s = shown.time_s
        return shown
