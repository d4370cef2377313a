"""What the command line of the benchmarks lets a user choose, and what every case is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


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
    intervals: tuple[float, ...] = (1.0, 5.0, 10.7, 30.0)
    """Seconds between wanted pictures, where a case goes through several."""
    most_items: int = 1_000_000
    """The largest manifest."""


class Case(Protocol):
    """A module of a case."""

    def measure(self, options: Options) -> str:
        """Measure, and return what came out as Markdown."""
        ...
