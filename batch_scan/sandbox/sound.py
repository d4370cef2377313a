"""Encoded sound to samples, for whoever judges in the sandbox or measures what it was sent."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import av
import numpy as np

from batch_scan.media.formats import ALLOWED_FORMATS

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ: Final = 16_000


def decode_sound(content: bytes) -> NDArray[np.int16]:
    """Return the first sound track as mono samples at 16 kHz.

    Args:
        content: an encoded file (MP3, FLAC, WAV …). What names other files, such as a playlist, is not opened.

    Raises:
        ValueError: it is no sound, or is damaged.
    """
    resampler = av.AudioResampler("s16", "mono", RATE_HZ)
    only = {"format_whitelist": ",".join(ALLOWED_FORMATS), "protocol_whitelist": ""}
    try:
        with av.open(io.BytesIO(content), "r", container_options=only) as container:
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ValueError(f"this is no sound that can be decoded ({type(error).__name__})") from error
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]) if frames else np.zeros(0, np.int16)


def duration_s(content: bytes) -> float:
    """Return how long encoded sound is, in seconds. Raises ValueError as `decode_sound`."""
    return len(decode_sound(content)) / RATE_HZ
