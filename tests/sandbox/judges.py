"""Judges for a moderation server that look at what they were sent: the colour of a picture, the pitch of a sound.

So the truth about a corpus stays known by construction however its files were cut, scaled and encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from batch_scan.sandbox import sound
from batch_scan.sandbox.safecomms.words import clean, found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from batch_scan.sandbox.safecomms.words import Teller

Red, Green, Blue = 0, 1, 2
_MARGIN = 60.0
_SECOND = sound.RATE_HZ


def mean_rgb(jpeg: bytes) -> tuple[float, float, float]:
    """Return the mean of red, green and blue, 0 to 255."""
    red, green, blue = simplejpeg.decode_jpeg(jpeg).reshape(-1, 3).mean(axis=0)
    return float(red), float(green), float(blue)


def dominant(jpeg: bytes) -> int | None:
    """Return which of `Red`, `Green`, `Blue` outshines both others, if one does."""
    mean = mean_rgb(jpeg)
    best = max(range(3), key=mean.__getitem__)
    return best if all(mean[best] - mean[other] > _MARGIN for other in range(3) if other != best) else None


def decode_sound(content: bytes) -> NDArray[np.float32]:
    """Return encoded sound as mono samples at 16 kHz, -1 to 1."""
    return sound.decode_sound(content).astype(np.float32) / np.float32(32_768)


def has_tone(content: bytes, hz: float, share: float = 0.2) -> bool:
    """Tell whether a tone of this pitch (within 20 Hz) holds this share of the energy in some second of the sound."""
    samples = decode_sound(content)
    for start in range(0, max(1, len(samples) - _SECOND // 2), _SECOND // 2):
        piece = samples[start : start + _SECOND]
        power = np.abs(np.fft.rfft(piece)) ** 2
        pitches = np.fft.rfftfreq(len(piece), 1 / _SECOND)
        if power.sum() > 0 and power[np.abs(pitches - hz) < 20].sum() / power.sum() > share:
            return True
    return False


def by_sight_and_sound(colours: Mapping[int, Mapping[str, str]], tones: Mapping[float, Mapping[str, str]]) -> Teller:
    """Return a judge by dominant colour of pictures and by tones in sounds, each to severities by category."""

    def judge(content: bytes, operation: str) -> Mapping[str, Any]:
        if operation == "image":
            colour = dominant(content)
            return clean() if colour is None or colour not in colours else found(colours[colour])
        heard = [severities for hz, severities in tones.items() if has_tone(content, hz)]
        return found({name: word for severities in heard for name, word in severities.items()}) if heard else clean()

    return judge
