"""Joins stretches of speech across the silence between them, and finds the way back. Pure.

Whisper pays for a window of 30 seconds however little is said in it. So the stretches that the voice detector found are
put end to end into as few windows as will hold them, transcribed, and every word is moved back to where it was said.

Three time lines: **joined** (seconds from the start of a window), **chunk** (from the start of the sound that was
handed in), **file**. Stretches are in samples of the chunk, so that cutting and adding is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SAMPLE_RATE_HZ = 16_000
"""What Whisper and the voice detector were trained on."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where somebody speaks: samples of the chunk, the end not included."""

    start: int
    end: int

    @property
    def samples(self) -> int:
        """Length in samples."""
        return self.end - self.start

    @property
    def start_s(self) -> float:
        """Start in seconds of the chunk."""
        return self.start / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        """End in seconds of the chunk."""
        return self.end / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Window:
    """Stretches put end to end, in order; what is transcribed at once."""

    stretches: tuple[Stretch, ...]

    @property
    def samples(self) -> int:
        """Length in samples."""
        return sum(stretch.samples for stretch in self.stretches)

    def _starts(self) -> list[int]:
        """Return where each stretch begins on the joined time line, in samples."""
        return list(accumulate((stretch.samples for stretch in self.stretches[:-1]), initial=0))

    def stretch_at(self, joined_s: float) -> int:
        """Return the index of the stretch that a moment of the joined time line lies in, or the nearest."""
        moment = joined_s * SAMPLE_RATE_HZ
        return max((index for index, start in enumerate(self._starts()) if start <= moment), default=0)

    def chunk_s(self, joined_s: float, index: int) -> float:
        """Return the chunk's time of a moment of the joined time line, held inside stretch `index`.

        Whisper's times are good to some hundredths of a second: a word may seem to end beyond its stretch.
        """
        stretch = self.stretches[index]
        there_s = joined_s - self._starts()[index] / SAMPLE_RATE_HZ
        return min(max(stretch.start_s + there_s, stretch.start_s), stretch.end_s)


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was said. Text as Whisper gives it: with the space before it, where there is one."""

    start_s: float
    end_s: float
    text: str


def join(stretches: Iterable[Stretch], max_samples: int) -> Iterator[Window]:
    """Fill windows with stretches, in order.

    Args:
        stretches: in order, not overlapping, none longer than `max_samples`.
        max_samples: how much a window holds.

    Yields:
        Windows that between them hold every stretch once.
    """
    held: list[Stretch] = []
    samples = 0
    for stretch in stretches:
        if held and samples + stretch.samples > max_samples:
            yield Window(tuple(held))
            held, samples = [], 0
        held.append(stretch)
        samples += stretch.samples
    if held:
        yield Window(tuple(held))


def split(stretches: Iterable[Stretch], max_samples: int) -> Iterator[Stretch]:
    """Cut stretches that are too long into pieces that are not; a last resort, where the detector found no pause."""
    for stretch in stretches:
        for start in range(stretch.start, stretch.end, max_samples):
            yield Stretch(start, min(start + max_samples, stretch.end))


def place(window: Window, words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Move words from the joined time line to the chunk's, and part them where a silence was left out.

    A word belongs to the stretch that its middle lies in. Whisper may run one sentence through words that were said
    minutes apart; a finding must not span these minutes.

    Args:
        window: the window they were heard in.
        words: in order, seconds of the joined time line.

    Returns:
        The words in seconds of the chunk, one tuple per stretch that has any. Inside a tuple starts and ends never go
        back, and all lie inside the stretch.
    """
    indices = accumulate((window.stretch_at((word.start_s + word.end_s) / 2) for word in words), max)
    placed = zip(indices, words, strict=True)
    return [
        _inside(window, index, [word for _, word in group]) for index, group in groupby(placed, lambda pair: pair[0])
    ]


def _inside(window: Window, index: int, words: Iterable[Word]) -> tuple[Word, ...]:
    """Move words to stretch `index`, each starting no earlier than the one before it."""
    moved: list[Word] = []
    floor_s = 0.0
    for word in words:
        start_s = max(window.chunk_s(word.start_s, index), floor_s)
        end_s = max(window.chunk_s(word.end_s, index), start_s, moved[-1].end_s if moved else 0.0)
        moved.append(Word(start_s, end_s, word.text))
        floor_s = start_s
    return tuple(moved)
