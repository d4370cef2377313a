"""The stretch of a track's sound that some chunk may still need."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batch_scan.media.chunks import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from batch_scan.media.chunks import Window

    Samples = npt.NDArray[np.int16]

GATE_S: Final = 5.0
"""After so much silence in one run the rest of it is kept, and handed on where a chunk spans it, as exact zeros."""

_PART_SAMPLES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    pcm: Samples | None
    """None stands for zeros: a hole or long silence of any length takes no memory."""


class SoundBuffer:
    """Holds samples by their position in a track, from a moving start to what came last."""

    def __init__(self, rate_hz: int) -> None:
        self.end = 0
        self._gate = round(GATE_S * rate_hz)
        self._silent = 0
        self._pieces: deque[_Piece] = deque()

    def append(self, pcm: Samples, windows: Sequence[Window]) -> None:
        """Add samples that `windows` describe; long silence is kept as zeros."""
        first = windows[0].start if windows else self.end
        kept = first
        for window in windows:
            self._silent = self._silent + window.end - window.start if window.kind is Kind.SILENCE else 0
            if self._silent <= self._gate:
                continue
            self._add(kept, window.start, pcm[kept - first : window.start - first])
            self._add(window.start, window.end, None)
            kept = window.end
        self._add(kept, first + len(pcm), pcm[kept - first :])

    def append_hole(self, length: int) -> None:
        """Add time in which there is no sound."""
        self._silent = 0
        self._add(self.end, self.end + length, None)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the samples from `start` to `end` as little-endian bytes, in parts of at most 512 KiB."""
        for piece in self._pieces:
            at = max(start, piece.start)
            last = min(end, piece.end)
            while at < last:
                upto = min(last, at + _PART_SAMPLES)
                yield _bytes_of(piece, at, upto)
                at = upto

    def drop_before(self, position: int) -> None:
        """Let go of what lies before `position`; it is never read again."""
        while self._pieces and self._pieces[0].end <= position:
            self._pieces.popleft()

    def _add(self, start: int, end: int, pcm: Samples | None) -> None:
        if end <= start:
            return
        self.end = end
        if pcm is None and self._pieces and self._pieces[-1].pcm is None:
            self._pieces.append(_Piece(self._pieces.pop().start, end, None))
        else:
            self._pieces.append(_Piece(start, end, pcm))


def _bytes_of(piece: _Piece, start: int, end: int) -> bytes:
    if piece.pcm is None:
        return bytes(2 * (end - start))
    return piece.pcm[start - piece.start : end - piece.start].tobytes()
