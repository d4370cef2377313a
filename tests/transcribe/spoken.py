"""Sound for the transcriber's tests: what people say in sample_media, silence and noise, as requests."""

from __future__ import annotations

import functools
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np

from batch_scan.digest import digest_bytes
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.vocabulary import Medium

RATE_HZ = 16_000
MEDIA = Path(__file__).parents[2] / "sample_media"


@functools.cache
def spoken(name: str) -> bytes:
    """Return the sound of a file in sample_media as raw mono 16-bit samples at 16 kHz."""
    args = ffmpeg.input(str(MEDIA / name)).output("pipe:", format="s16le", ac=1, ar=RATE_HZ)
    out, _ = args.run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), capture_stdout=True, quiet=True)
    return bytes(out)


def silence(duration_s: float) -> bytes:
    return bytes(2 * round(duration_s * RATE_HZ))


def cut(pcm: bytes, start_s: float, end_s: float) -> bytes:
    return pcm[2 * round(start_s * RATE_HZ) : 2 * round(end_s * RATE_HZ)]


def pink_noise(duration_s: float, seed: int = 1) -> bytes:
    samples = round(duration_s * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), samples)
    return bytes((noise / np.abs(noise).max() * 20_000).astype("<i2").tobytes())


def tone(duration_s: float, hz: float) -> bytes:
    at_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return bytes((np.sin(2 * np.pi * hz * at_s) * 15_000).astype("<i2").tobytes())


def buzz(duration_s: float) -> bytes:
    """Return a low tone that swells four times a second, as syllables do: the voice detector takes it for a voice."""
    at_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    swell = 1 + np.sin(2 * np.pi * 4 * at_s)
    return bytes((np.sin(2 * np.pi * 150 * at_s) * swell * 8_000).astype("<i2").tobytes())


def chunk(pcm: bytes | None, start_s: float = 0.0) -> Sample:
    data = pcm or b""
    end_s = start_s + len(data) / 2 / RATE_HZ
    return Sample(Medium.AUDIO, start_s, end_s, Digest(digest_bytes(data)), "audio/L16", pcm)


def asking(*samples: Sample) -> Request:
    return Request(RequestId("asked"), "local", "transcribe", samples, 0)
