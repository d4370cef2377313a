"""Samples to FLAC in this process, by libavcodec: no child has to be started for a chunk, nor fed through a pipe.

What is encoded are our own samples, not a file's bytes, so that nothing hostile gets here. Measured on 5 minutes of
speech: 0.1 s of CPU where an ffmpeg program takes 0.3 to 0.4, for the same bytes; 6 ms where it takes 31 for a clip of
6 s (`python -m benchmarks flac`).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import av
import numpy as np

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

_FRAMES_PER_S: Final = 10
"""The ffmpeg program makes FLAC frames of the packets that it reads raw samples in: the largest power of two of them
that is no longer than a tenth of a second. The same here gives the same bytes."""

_BIT_EXACT: Final = "+bitexact"


class FlacFile:
    """A FLAC file in memory, mono, 16 bits; the same bytes for the same samples."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._file = io.BytesIO()
        self._container: OutputContainer = av.open(self._file, "w", format="flac", options={"fflags": _BIT_EXACT})
        self._stream: AudioStream = self._container.add_stream("flac", rate=rate_hz, layout="mono")
        self._stream.codec_context.options = {"flags": _BIT_EXACT, "frame_size": str(_frame_samples(rate_hz))}
        self._at = 0

    def write(self, pcm: bytes) -> None:
        """Encode the next little-endian samples."""
        samples = np.frombuffer(pcm, "<i2")
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.pts = self._at
        self._at += len(samples)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Return the file; no more can be written."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()


def _frame_samples(rate_hz: int) -> int:
    return 1 << (max(rate_hz // _FRAMES_PER_S, 1).bit_length() - 1)
