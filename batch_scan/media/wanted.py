"""Which moments of a track a picture is wanted for: k·interval, counted without ever listing them.

A wanted time is answered by the first picture shown at or after it; one picture answers every wanted time up to its
own. So a hole of days in a time line costs one step, not one per wanted time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

EPSILON_S: Final = 1e-6
"""Times closer than this are one: below the tick of every container (90 kHz, 1 ms), above the rounding of a float."""


@dataclass(slots=True)
class WantedTimes:
    """The wanted times of one track that no picture has answered yet.

    Attributes:
        interval_s: distance between wanted times, seconds, above zero.
        next_index: k of the next wanted time; 0 stands for the first picture, whenever it is shown.
    """

    interval_s: float
    next_index: int = 0

    @property
    def next_s(self) -> float:
        """The next wanted time, seconds; minus infinity until the first picture was taken."""
        return self.next_index * self.interval_s if self.next_index else -math.inf

    def wants(self, time_s: float) -> bool:
        """Say whether a picture shown at `time_s` answers the next wanted time."""
        return time_s >= self.next_s - EPSILON_S

    def answer(self, time_s: float) -> int:
        """Note that a picture shown at `time_s` answers the next wanted time, and return how many it answers."""
        before = self.next_index
        self.next_index = max(before + 1, math.floor((time_s + EPSILON_S) / self.interval_s) + 1)
        return self.next_index - before

    def after(self, time_s: float) -> WantedTimes:
        """Return what is left once a picture shown at `time_s` has answered the next wanted time."""
        then = replace(self)
        then.answer(time_s)
        return then

    def left_before(self, end_s: float) -> int:
        """Count the unanswered wanted times before `end_s`."""
        return max(math.ceil((end_s - EPSILON_S) / self.interval_s) - self.next_index, 0)


def wanted_between(interval_s: float, start_s: float, end_s: float) -> int:
    """Count the wanted times from `start_s` to before `end_s`."""
    upto = WantedTimes(interval_s)
    return upto.left_before(end_s) - upto.left_before(start_s)


def spread(interval_s: float, duration_s: float | None, max_frames: int) -> float:
    """Return the interval at which at most `max_frames` wanted times fall into `duration_s`; 0 means no cap.

    Files run a little longer than they say; a tenth or a second, whichever is less, is allowed for.
    """
    if not max_frames or not duration_s:
        return interval_s
    longest_s = duration_s + min(0.1 * duration_s, 1.0)
    return max(interval_s, longest_s / max_frames)
