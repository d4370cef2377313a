from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from batch_scan.media.flac import FlacFile
from batch_scan.media.program import ffmpeg_exe

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16_000
NOISE = np.random.default_rng(5).normal(0, 2000, 3 * RATE + 77).astype("<i2").tobytes()


def encoded(*parts: bytes, rate_hz: int = RATE) -> bytes:
    file = FlacFile(rate_hz)
    for part in parts:
        file.write(part)
    return file.finish()


@pytest.mark.parametrize("rate_hz", [8_000, RATE, 44_100])
def test_the_bytes_are_those_of_the_ffmpeg_program(tmp_path: Path, rate_hz: int) -> None:
    exact = ["-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]
    raw = ["-f", "s16le", "-ar", str(rate_hz), "-ac", "1", "-i", "pipe:0"]
    made = tmp_path / "made.flac"
    subprocess.run([ffmpeg_exe(), "-v", "error", *raw, *exact, str(made)], input=NOISE, check=True)
    assert encoded(NOISE, rate_hz=rate_hz) == made.read_bytes()


@pytest.mark.parametrize("size", [2, 1000, 2048, 77_778])
def test_no_sample_is_lost_however_they_come_in(size: int) -> None:
    parts = [NOISE[at : at + size] for at in range(0, len(NOISE), size)]
    data = encoded(*parts, b"")
    assert data == encoded(NOISE)
    with av.open(io.BytesIO(data), "r") as container:
        decoded = b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
    assert decoded == NOISE
