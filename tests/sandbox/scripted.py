"""A judge whose truth is known by construction: colours of pictures, pieces of words, pitches of sounds."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from batch_scan.sandbox.judge import Heard
from batch_scan.sandbox.sound import RATE_HZ
from tests.sandbox.judges import decode_sound, dominant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from batch_scan.sandbox.judge import Opinion

_Asked = TypeVar("_Asked")

_WINDOW = 1600
"""Samples per look: a tenth of a second, so that pitches are told apart to 10 Hz and times to 0.1 s."""
_HOP = _WINDOW // 2
_NEAR_HZ = 25.0
_SHARE = 0.2
_GAP_S = 0.3
"""Looks further apart than this are two stretches."""
_QUIET = 1e-4
"""Mean square below which nothing sounds: what is left of silence after an encoder."""


class ScriptedJudge:
    """A `batch_scan.sandbox.judge.Judge`. Keeps what it was asked, in order: `pictures_seen`, `words_seen`, …

        judge = ScriptedJudge(
            pictures={Red: [Opinion(Category.VIOLENCE, 0.9)]},
            words={"damn": [Opinion(Category.PROFANITY, 0.7, "damn")]},
            tones={440.0: "well damn"},
        )

    What no table names is clean, or silence.
    """

    def __init__(
        self,
        pictures: Mapping[int, Sequence[Opinion]] | None = None,
        words: Mapping[str, Sequence[Opinion]] | None = None,
        tones: Mapping[float, str] | None = None,
    ) -> None:
        """Prepare a judge.

        Args:
            pictures: colour that outshines the others (`judges.Red`, `Green`, `Blue`) to what is held against it.
            words: part of a text, whatever its case, to what is held against every text with it.
            tones: pitch in Hz to the words that are heard wherever it sounds; each stretch says them once.
        """
        self.pictures = dict(pictures or {})
        self.words_table = {part.casefold(): tuple(opinions) for part, opinions in (words or {}).items()}
        self.tones = dict(tones or {})
        self.pictures_seen: deque[bytes] = deque()
        self.words_seen: deque[str] = deque()
        self.sounds_seen: deque[bytes] = deque()
        self.failures: deque[Exception] = deque()
        """Raised by the next calls, one each, instead of judging."""
        self._lock = threading.Lock()

    def picture(self, image: bytes) -> Sequence[Opinion]:
        """See `Judge`; pictures are JPEG."""
        self._note(self.pictures_seen, image)
        colour = dominant(image)
        return () if colour is None else tuple(self.pictures.get(colour, ()))

    def words(self, text: str) -> Sequence[Opinion]:
        """See `Judge`."""
        self._note(self.words_seen, text)
        folded = text.casefold()
        return [opinion for part, opinions in self.words_table.items() if part in folded for opinion in opinions]

    def speech(self, sound: bytes) -> Sequence[Heard]:
        """See `Judge`; seconds are good to a tenth."""
        self._note(self.sounds_seen, sound)
        samples = decode_sound(sound)
        heard = [
            Heard(start_s, end_s, words)
            for hz, words in self.tones.items()
            for start_s, end_s in stretches_of(samples, hz)
        ]
        return sorted(heard, key=lambda one: (one.start_s, one.text))

    def _note(self, seen: deque[_Asked], asked: _Asked) -> None:
        with self._lock:
            seen.append(asked)
            if self.failures:
                raise self.failures.popleft()


def stretches_of(samples: NDArray[np.float32], hz: float) -> list[tuple[float, float]]:
    """Return from where to where, in seconds, a tone of this pitch sounds in mono samples at 16 kHz."""
    found: list[tuple[float, float]] = []
    for start_s, end_s in _looks_with(samples, hz):
        if found and start_s - found[-1][1] < _GAP_S:
            found[-1] = (found[-1][0], end_s)
        else:
            found.append((start_s, end_s))
    return found


def _looks_with(samples: NDArray[np.float32], hz: float) -> Iterator[tuple[float, float]]:
    near = np.abs(np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ) - hz) < _NEAR_HZ
    shape = np.hanning(_WINDOW)
    for start in range(0, len(samples) - _WINDOW + 1, _HOP):
        piece = samples[start : start + _WINDOW]
        if float(np.mean(piece**2)) < _QUIET:
            continue
        power = np.abs(np.fft.rfft(piece * shape)) ** 2
        if power[near].sum() / power.sum() > _SHARE:
            yield start / RATE_HZ, (start + _WINDOW) / RATE_HZ
