"""Samples that nobody can object to, one of each kind: a grey landscape, a soft tone, a sentence, a film of both.

Large and long enough for every vendor whose limits are known: pictures from 256 pixels, sound from a second on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import av
import numpy as np
import simplejpeg

from batch_scan.digest import digest_bytes, digest_file
from batch_scan.media.encode import MIME, SAMPLE_BYTES, open_encoder
from batch_scan.media.interface import MediaLimits
from batch_scan.model import Digest, Sample
from batch_scan.vocabulary import Medium
from batch_scan.whole import PICTURES, SOUND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from numpy.typing import NDArray

    from batch_scan.endpoint.interface import Needs, StreamNeeds
    from batch_scan.media.interface import AudioSpec

SENTENCE = "The weather is fine today, and the meeting begins at three o'clock."
SOUND_S = 3.0
FILM_S = 6.0
"""Long enough for a service that looks at a stream every five seconds to look once more than at its beginning."""

_WIDTH, _HEIGHT = 512, 384
_RATE_HZ = 16_000
_TONE_HZ = 440.0
_LOUDNESS = 0.1
_JPEG_QUALITY = 85
_FRAMES_PER_S = 15
_FILM_RATE_HZ = 44_100
_SOUND_FRAME = 1_024


async def harmless_samples(needs: Needs, scratch: Path) -> AsyncIterator[Sample]:
    """Yield one sample of each kind that a service takes, in the form in which it takes it.

    Of services that pull files by their URL nothing is asked but their chunks of sound: there is no URL here.

    Args:
        needs: what the service takes.
        scratch: a directory that outlives the samples; films are written there.

    Raises MediaError where sound cannot be encoded.
    """
    if needs.frame is not None:
        yield _sample(Medium.FRAME, 0.0, "image/jpeg", picture())
    if needs.audio is not None:
        yield await _sound(needs.audio)
    if needs.utterance is not None:
        yield _sample(Medium.UTTERANCE, SOUND_S, "text/plain", SENTENCE.encode(), language="en")
    if needs.stream is not None and not needs.stream.by_url:
        yield await asyncio.to_thread(_film, needs.stream, scratch)


def picture(shift: int = 0) -> bytes:
    """Return a grey landscape as JPEG: sky, hills, a field; `shift` moves the hills, in pixels."""
    return bytes(simplejpeg.encode_jpeg(_landscape(shift), quality=_JPEG_QUALITY, colorspace="RGB"))


def _landscape(shift: int) -> NDArray[np.uint8]:
    rows = np.linspace(0.0, 1.0, _HEIGHT)[:, None]
    columns = np.arange(_WIDTH)[None, :] + shift
    hills = 0.55 + 0.06 * np.sin(columns / 61.0) + 0.03 * np.sin(columns / 23.0)
    grey = np.where(rows < hills, 215 - 60 * rows, 130 - 50 * rows)
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def _tone(rate_hz: int, length_s: float) -> NDArray[np.int16]:
    """A soft tone that rises and falls: no silence that would be skipped, no words."""
    at_s = np.arange(round(rate_hz * length_s)) / rate_hz
    swell = np.sin(np.pi * at_s / length_s)
    return np.round(_LOUDNESS * swell * np.sin(2 * np.pi * _TONE_HZ * at_s) * np.iinfo(np.int16).max).astype("<i2")


async def _sound(spec: AudioSpec) -> Sample:
    pcm = _tone(_RATE_HZ, min(SOUND_S, spec.max_s)).tobytes()
    async with open_encoder(spec, _RATE_HZ, MediaLimits()) as encoder:
        await encoder.write(pcm)
        pieces = await encoder.finish()
    return _sample(Medium.AUDIO, len(pcm) / SAMPLE_BYTES / _RATE_HZ, MIME[spec.codec], pieces[0].data)


def _film(needs: StreamNeeds, scratch: Path) -> Sample:
    path = scratch / "harmless.mp4"
    write_film(path)
    return Sample(
        medium=Medium.STREAM,
        start_s=0.0,
        end_s=FILM_S,
        digest=Digest(digest_file(path)),
        mime=PICTURES if needs.pictures else SOUND,
        data=None,
        track=0 if needs.pictures else 1,
        path=path,
    )


def write_film(path: Path) -> None:
    """Write a few seconds of H.264 and AAC in MP4."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=_FRAMES_PER_S, options={"preset": "veryfast", "g": str(_FRAMES_PER_S)})
        video.width, video.height, video.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        audio = file.add_stream("aac", rate=_FILM_RATE_HZ, layout="mono")
        for number in range(round(FILM_S * _FRAMES_PER_S)):
            file.mux(video.encode(av.VideoFrame.from_ndarray(_landscape(2 * number), format="rgb24")))
        file.mux(video.encode(None))
        tone = _tone(_FILM_RATE_HZ, FILM_S)
        for start in range(0, len(tone), _SOUND_FRAME):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + _SOUND_FRAME], format="s16", layout="mono")
            frame.sample_rate, frame.pts = _FILM_RATE_HZ, start
            file.mux(audio.encode(frame))
        file.mux(audio.encode(None))


def _sample(medium: Medium, end_s: float, mime: str, data: bytes, language: str = "") -> Sample:
    return Sample(medium, 0.0, end_s, Digest(digest_bytes(data)), mime, data, language=language)
