"""Pure planning of sound: which stretches of a track become chunks, and which are silence or holes.

Positions are whole samples from the start of a track, at the rate it is decoded with. What is planned:

- **As few chunks as can be.** Sound is priced by the request, so a chunk is only closed where the next sound no longer
  fits into it. Pauses inside a chunk stay inside.
- **Cut where it is quiet.** A chunk that must end in the middle of sound ends between the two quietest neighbouring
  windows of its last stretch. Where the length of the track is known, that stretch is made so short that no further
  chunk comes of it.
- **Silence between chunks is left out**, and so is silence at both ends, where it lasts `MIN_SILENCE_S`; less than that
  stays with its chunk. A chunk that would be silent as a whole does not come about.

Windows come one by one and every decision is made as soon as it can be, so that a track of any length needs the same
memory; the same windows always give the same chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

WINDOW_S: Final = 0.1
"""Sound is measured, and cut, in windows of this length."""

SILENCE_PEAK: Final = 32
"""A window is silent where no 16-bit sample exceeds this: 60 dB below full scale. Quiet speech, with peaks 45 dB below
full scale, is five times as loud. Of several channels each is measured (`mix`). Dither and the noise floor of digital
recordings (1 to 8) are silence; the hiss of a tape counts as sound."""

MIN_SILENCE_S: Final = 3.0
"""Shorter silence at the ends of a chunk stays in it."""

PAD_S: Final = 0.3
"""Silence that is left in front of and after the sound of a chunk."""

SEARCH_S: Final = 60.0
"""A chunk that must be cut in the middle of sound loses at most this much of its length for a quiet place, ..."""

SEARCH_SHARE: Final = 0.1
"""... and at most this share of it."""


class Kind(StrEnum):
    """What a window holds."""

    SOUND = "sound"
    SILENCE = "silence"
    HOLE = "hole"
    """Nothing was decoded here, though time went by."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a track whose level is known. A hole of any length is one window."""

    start: int
    end: int
    kind: Kind
    level: float = 0.0
    """Mean square of its samples."""


class SpanKind(StrEnum):
    """What becomes of a stretch of a track."""

    CHUNK = "chunk"
    SILENCE = "silence"
    HOLE = "hole"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a track about which all is decided. Spans follow each other without gap or overlap."""

    kind: SpanKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """Bounds of the chunks of one taker, in samples."""

    max_length: int
    search: int
    pad: int
    min_silence: int
    skip_silence: bool
    """False: measured silence is handed on like sound. Holes never are a reason for a chunk."""
    split: int = 0
    """Silence or a hole of this length ends a chunk; 0 = none does."""

    @classmethod
    def for_rate(
        cls, rate_hz: int, max_length: int, *, skip_silence: bool = True, split_silence_s: float = 0.0
    ) -> ChunkRules:
        """Make the rules for a track decoded at `rate_hz`, chunks of at most `max_length` samples.

        Raises ValueError where not even one window fits into a chunk.
        """
        window = round(WINDOW_S * rate_hz)
        min_silence = round(MIN_SILENCE_S * rate_hz)
        if max_length < window:
            raise ValueError(f"a chunk of {max_length} samples is shorter than {WINDOW_S} s")
        return cls(
            max_length - max_length % window,  # cuts lie between windows
            min(round(SEARCH_S * rate_hz), int(SEARCH_SHARE * max_length)),
            round(PAD_S * rate_hz),
            min_silence,
            skip_silence,
            max(round(split_silence_s * rate_hz), min_silence) if split_silence_s else 0,
        )


def measure(pcm: npt.NDArray[np.int16], start: int, window: int) -> Iterator[Window]:
    """Yield the windows of `pcm`, which begins at position `start`; the last one may be shorter than `window`."""
    whole = len(pcm) // window * window
    for part, length in ((pcm[:whole], window), (pcm[whole:], len(pcm) - whole)):
        if not len(part):
            continue
        rows = part.reshape(-1, length)
        quiet = (rows.max(axis=1) <= SILENCE_PEAK) & (rows.min(axis=1) >= -SILENCE_PEAK)
        exact = rows.astype(np.float32)
        levels = np.einsum("ij,ij->i", exact, exact) / length
        for is_quiet, level in zip(quiet.tolist(), levels.tolist(), strict=True):
            yield Window(start, start + length, Kind.SILENCE if is_quiet else Kind.SOUND, level)
            start += length


def quietest_cut(windows: Sequence[Window]) -> int:
    """Return the place between two neighbouring windows where the sound is quietest, the last of equals.

    Needs at least two windows.
    """
    sums = [before.level + after.level for before, after in pairwise(windows)]
    best = min(range(len(sums)), key=lambda at: (sums[at], -at))
    return windows[best].end


class ChunkPlanner:
    """Turns the windows of one track into spans, for one taker.

    Args:
        rules: the bounds of its chunks.
        expected_length: length of the track, where it is known or guessed; only the number of chunks depends on it.
    """

    def __init__(self, rules: ChunkRules, expected_length: int | None = None) -> None:
        self._rules = rules
        self._expected = expected_length
        self._now = 0
        # Without a chunk: the run of silence (or hole) that is going on, if any.
        self._idle: Span | None = None
        # With a chunk: where it starts, where its last sound ended, the silence and holes since, and the windows
        # among which a cut would be looked for.
        self._start: int | None = None
        self._sound_end = 0
        self._earliest_cut = 0
        self._tail: list[Window] = []
        self._candidates: list[Window] = []

    @property
    def open_chunk(self) -> tuple[int, int] | None:
        """Start of the chunk that is being filled, and up to where it is certain; None between chunks."""
        if self._start is None:
            return None
        return self._start, max(self._start, min(self._sound_end, self._earliest_cut))

    @property
    def needed_from(self) -> int:
        """Sound before this has its place: it is certain in the open chunk, or no chunk to come begins before it."""
        if self.open_chunk is not None:
            return self.open_chunk[1]
        return self._now if self._idle is None else max(self._idle.start, self._now - self._rules.min_silence)

    def feed(self, window: Window) -> list[Span]:
        """Take the next window, and return what is now decided."""
        decided: list[Span] = []
        self._take(window, decided)
        return decided

    def finish(self) -> list[Span]:
        """Return what is left at the end of the track."""
        decided: list[Span] = []
        if self._start is not None:
            self._close(decided)
        if self._idle is not None:
            decided.append(self._idle)
            self._idle = None
        return decided

    def _take(self, window: Window, decided: list[Span]) -> None:
        self._now = window.end
        sounds = self._sounds(window)
        if self._start is not None and window.end - self._start > self._rules.max_length:
            if sounds and not self._tail:
                self._cut(window, decided)
                return
            self._close(decided)
        if self._start is None and not sounds:
            self._extend_idle(window, decided)
            return
        if self._start is None:
            self._open(window, decided)
        if window.end > self._earliest_cut:
            self._candidates.append(window)
        if sounds:
            self._sound_end = window.end
            self._tail.clear()
        else:
            self._extend_tail(window)
            if self._rules.split and window.end - self._sound_end >= self._rules.split:
                self._close(decided)

    def _sounds(self, window: Window) -> bool:
        return window.kind is Kind.SOUND or (window.kind is Kind.SILENCE and not self._rules.skip_silence)

    def _extend_idle(self, window: Window, decided: list[Span]) -> None:
        kind = SpanKind.HOLE if window.kind is Kind.HOLE else SpanKind.SILENCE
        if self._idle is not None and self._idle.kind is kind:
            self._idle = Span(kind, self._idle.start, window.end)
            return
        if self._idle is not None:
            decided.append(self._idle)
        self._idle = Span(kind, window.start, window.end)

    def _extend_tail(self, window: Window) -> None:
        """Keep runs, not windows: an hour of silence is one entry."""
        if self._tail and self._tail[-1].kind is window.kind:
            self._tail[-1] = Window(self._tail[-1].start, window.end, window.kind)
        else:
            self._tail.append(window)

    def _open(self, window: Window, decided: list[Span]) -> None:
        """Begin a chunk with the first window of sound, and a little of the silence before it."""
        lead = 0
        if self._idle is not None and self._idle.kind is SpanKind.SILENCE:
            lead = window.start - self._idle.start
            lead = self._rules.pad if lead >= self._rules.min_silence else lead
            lead = min(lead, self._rules.max_length - (window.end - window.start))
        start = window.start - lead
        if self._idle is not None and start > self._idle.start:
            decided.append(Span(self._idle.kind, self._idle.start, start))
        self._idle = None
        self._start = self._sound_end = start
        self._earliest_cut = start + self._rules.max_length - self._search_from(start)
        self._tail.clear()
        self._candidates.clear()

    def _search_from(self, start: int) -> int:
        """How much of a chunk may be lost for a quiet place, such that the track needs no further chunk for it."""
        remaining = (self._expected or 0) - start
        chunks = -(-remaining // self._rules.max_length)
        if chunks < 2:  # noqa: PLR2004 - one chunk needs no cut
            return self._rules.search
        return min(self._rules.search, (chunks * self._rules.max_length - remaining) // (chunks - 1))

    def _cut(self, window: Window, decided: list[Span]) -> None:
        """End the chunk in the middle of sound, before `window`."""
        known = [each for each in self._candidates if each.start >= self._earliest_cut]
        at = self._without_silence(known, quietest_cut([*known, window])) if known else window.start
        decided.append(Span(SpanKind.CHUNK, self._start or 0, at))
        self._start = None
        for each in (*known, window):
            if each.start >= at:
                self._take(each, decided)

    def _without_silence(self, windows: Sequence[Window], cut: int) -> int:
        """Move a cut in a long silence to its beginning, so that the silence is left out."""
        before = reversed([each for each in windows if each.end <= cut])
        run = list(takewhile(lambda each: not self._sounds(each), before))
        if not run or cut - run[-1].start < self._rules.min_silence:
            return cut
        return min(each.end for each in run if each.end >= run[-1].start + self._rules.pad)

    def _close(self, decided: list[Span]) -> None:
        """End the chunk after its last sound; what came since is silence or a hole."""
        start = self._start or 0
        end = self._sound_end
        tail = list(self._tail)
        self._start = None
        self._tail.clear()
        self._candidates.clear()
        if tail and tail[0].kind is Kind.SILENCE:
            first = tail[0]
            kept = first.end - first.start
            if kept >= self._rules.min_silence or first.end - start > self._rules.max_length:
                kept = min(self._rules.pad, kept, start + self._rules.max_length - end)
            end += kept
        decided.append(Span(SpanKind.CHUNK, start, end))
        for each in tail:
            if each.end > end:
                self._extend_idle(Window(max(each.start, end), each.end, each.kind), decided)
