"""What the command line of the benchmarks lets a user choose, and what every case is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

INTERVALS_S = (1.0, 5.0, 10.0, 10.7, 30.0)
"""At 10 s wanted pictures sit on keyframes, at 10.7 they do not."""
MOST_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """Choices that all cases share."""

    media: Path
    """Where media is made and kept between runs."""
    scratch: Path
    """Where a run may write; empty at its beginning, removed at its end."""
    runs: int = 3
    """How often each thing is measured, in turn with what it is compared with."""
    length_s: int = 300
    """Length of the films."""
    films: tuple[str, ...] = ()
    """Which kinds of film; empty = all."""
    intervals: tuple[float, ...] = INTERVALS_S
    """Seconds between wanted pictures, where a case goes through several."""
    most_items: int = MOST_ITEMS
    """The largest manifest."""


class Case(Protocol):
    """A module of a case. One that cannot go on raises SystemExit with the reason."""

    def measure(self, options: Options) -> str:
        """Measure, and return what came out as Markdown."""
        ...
