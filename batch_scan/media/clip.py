"""A few seconds of sound as evidence, at a loudness that can be listened to.

The guarded ffmpeg cuts; pydub evens the loudness of the raw samples. pydub holds all it is given in memory and starts
programs of its own to read or write most formats, so it gets seconds, and nothing of it is used that starts a program.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Final

import ffmpeg
import numpy as np

from batch_scan.errors import MediaError
from batch_scan.media.chunks import WINDOW_S
from batch_scan.media.encode import SAMPLE_BYTES, wav_bytes
from batch_scan.media.mix import keep_channels, mixed
from batch_scan.media.runner import ChildLimits, compile_args, input_args, start_child
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

with warnings.catch_warnings():
    # Its regular expressions are not raw strings, it imports audioop, and it looks for ffmpeg on the PATH.
    warnings.simplefilter("ignore")
    from pydub import AudioSegment

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.media.interface import MediaLimits

MAX_S: Final = 15.0
"""Longer stretches are cut after this; evidence is for listening into."""

LOUDNESS_DBFS: Final = -20.0
"""Mean level clips are brought to, ..."""

PEAK_DBFS: Final = -1.0
"""... unless that would take their peaks above this."""

_RATE_HZ: Final = 16_000
_CHANNELS: Final = 8
"""The number of channels of a track is not known here: so many serve most, and the last takes what is beyond."""


async def cut_clip(path: Path, track: int, start_s: float, end_s: float, limits: MediaLimits) -> bytes:
    """Return a stretch of sound as WAV (16 kHz, mono), its loudness evened.

    Args:
        path: the file.
        track: stream index of the sound.
        start_s: where it begins, seconds on the line that samples are on.
        end_s: where it ends; at most `MAX_S` later are returned.
        limits: bounds of the decoder.

    Raises:
        MediaError: there is no sound there, or it cannot be decoded.
    """
    begin_s = max(0.0, start_s)
    length_s = min(end_s - begin_s, MAX_S)
    if not length_s > 0:
        raise MediaError(Reason.NO_SAMPLES, f"a clip from {start_s:.1f} to {end_s:.1f} s has no length")
    pcm = await _cut(path, track, begin_s, length_s, limits)
    return wav_bytes(evened(pcm), _RATE_HZ)


def evened(pcm: bytes) -> bytes:
    """Return mono 16-bit samples at 16 kHz brought to `LOUDNESS_DBFS`; digital silence stays as it is."""
    sound = AudioSegment(data=pcm, sample_width=SAMPLE_BYTES, frame_rate=_RATE_HZ, channels=1)
    if not math.isfinite(sound.dBFS):
        return pcm
    gain_db = min(LOUDNESS_DBFS - sound.dBFS, PEAK_DBFS - sound.max_dBFS)
    louder: bytes = sound.apply_gain(gain_db).raw_data
    return louder


async def _cut(path: Path, track: int, start_s: float, length_s: float, limits: MediaLimits) -> bytes:
    frame_bytes = SAMPLE_BYTES * _CHANNELS
    wanted = round(length_s * _RATE_HZ) * frame_bytes
    source = ffmpeg.input(**input_args(path, limits, ss=f"{start_s:.3f}", threads=1))
    filters = f"aformat=sample_fmts=fltp,{keep_channels(_CHANNELS)},aresample={_RATE_HZ}"
    cut = ffmpeg.output(source, "pipe:1", map=f"0:{track}", af=filters, format="s16le", t=f"{length_s:.3f}")
    # Seeking may have to decode from far before.
    allowed_s = limits.wall_base_s + limits.wall_per_media_s * min(start_s + length_s, limits.max_duration_s)
    async with start_child(compile_args(cut), ChildLimits(limits.memory_bytes, allowed_s, 1 << 20, allowed_s)) as child:
        pcm = await child.read_exactly(wanted)
        while await child.read(1 << 16):
            pass
        end = await child.wait()
    if len(pcm) < frame_bytes:
        detail = clean_text(end.untrusted_stderr) or "the track is silent or shorter"
        raise MediaError(end.reason or Reason.NO_SAMPLES, f"no sound at {start_s:.1f} s: {detail}")
    frames = np.frombuffer(pcm, "<i2", len(pcm) // frame_bytes * _CHANNELS).reshape(-1, _CHANNELS)
    return mixed(frames, round(WINDOW_S * _RATE_HZ)).tobytes()
