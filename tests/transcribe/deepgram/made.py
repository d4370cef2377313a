"""Sound and answers for Deepgram's tests: tones that the scripted judge takes for words, and the vendor's JSON."""

from __future__ import annotations

import functools
import io
from typing import Any

import av
import numpy as np

from batch_scan.digest import digest_bytes
from batch_scan.media.encode import wav_bytes
from batch_scan.model import Digest, Sample
from batch_scan.vocabulary import Medium

RATE_HZ = 16_000
START_S = 100.0
"""Where samples lie in their file."""
TONES = {440.0: "you awful fool", 880.0: "have a nice day"}


def pcm(parts: tuple[tuple[float, float], ...]) -> bytes:
    """Return tones one after the other: (Hz, seconds), 0 Hz is silence."""
    pieces = [np.sin(2 * np.pi * hz * np.arange(round(s * RATE_HZ)) / RATE_HZ) * 12_000 for hz, s in parts]
    return bytes(np.concatenate(pieces).astype("<i2").tobytes())


@functools.cache
def encoded(parts: tuple[tuple[float, float], ...], form: str = "flac") -> bytes:
    """Return tones as FLAC or MP3."""
    if form == "wav":
        return wav_bytes(pcm(parts), RATE_HZ)
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream: Any = container.add_stream({"flac": "flac", "mp3": "libmp3lame"}[form], rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm(parts), "<i2").reshape(1, -1), "s16", "mono")
        frame.sample_rate = RATE_HZ
        resampler = av.AudioResampler(stream.format.name, "mono", RATE_HZ, frame_size=576)
        for ready in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return out.getvalue()


def sample_of(parts: tuple[tuple[float, float], ...] = ((440.0, 1.0),), form: str = "flac") -> Sample:
    """Return a chunk that holds these tones."""
    data = encoded(parts, form)
    mime = {"flac": "audio/flac", "mp3": "audio/mpeg", "wav": "audio/wav"}[form]
    end_s = START_S + sum(seconds for _, seconds in parts)
    return Sample(Medium.AUDIO, START_S, end_s, Digest(digest_bytes(data)), mime, data)


def word(text: str, start_s: float, end_s: float, **fields: Any) -> dict[str, Any]:
    return {"word": text, "start": start_s, "end": end_s, "confidence": 0.9, "punctuated_word": text} | fields


def utterance(words: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {
        "start": words[0]["start"],
        "end": words[-1]["end"],
        "confidence": 0.9,
        "channel": 0,
        "transcript": " ".join(str(one["punctuated_word"]) for one in words),
        "words": words,
        "speaker": 0,
        "id": "u",
    } | fields


def answer(*utterances: dict[str, Any], sha256: str = "", duration: float = 1.0, **channel: Any) -> dict[str, Any]:
    """Return an answer as the service gives it."""
    words = [one for spoken in utterances for one in spoken["words"]]
    transcript = " ".join(str(one["punctuated_word"]) for one in words)
    alternative = {"transcript": transcript, "confidence": 0.9, "words": words}
    return {
        "metadata": {"request_id": "r-1", "sha256": sha256, "duration": duration, "channels": 1, "models": ["m"]},
        "results": {"channels": [{"alternatives": [alternative], **channel}], "utterances": list(utterances)},
    }
