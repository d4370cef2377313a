"""Chunks of sound as bytes: raw, WAV, FLAC or MP3, the same bytes for the same samples.

Raw samples and WAV are written here, FLAC is encoded here (`flac`); MP3, and what has to be resampled, is encoded by a
guarded ffmpeg that is fed while the chunk is still being decoded and writes into its own private directory.
"""

from __future__ import annotations

import asyncio
import io
import wave
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, assert_never

import ffmpeg
import numpy as np

from batch_scan.errors import MediaError
from batch_scan.media.chunks import WINDOW_S, measure, quietest_cut
from batch_scan.media.interface import AudioCodec
from batch_scan.media.runner import ChildLimits, compile_args, start_child
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.media.interface import AudioSpec, MediaLimits
    from batch_scan.media.runner import Child

MIME: Final = {
    AudioCodec.MP3: "audio/mpeg",
    AudioCodec.FLAC: "audio/flac",
    AudioCodec.WAV: "audio/wav",
    AudioCodec.PCM: "audio/pcm",
}

SAMPLE_BYTES: Final = 2
"""All sound in here is signed 16-bit little-endian mono."""

WAV_HEADER_BYTES: Final = 44
"""What `wave` writes; ffmpeg's own header (for another rate) is no longer when it is bit-exact."""

MP3_KBPS: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Bit rates of MPEG-2 layer III, which has the sample rates 16, 22.05 and 24 kHz."""

MP3_RATES_HZ: Final = (16_000, 22_050, 24_000)

_MP3_MARGIN_BYTES: Final = 4096
"""Encoder delay, padding, the information frame and the last frame come to some 800 bytes at 32 kbit/s."""

_FLAC_SHARE: Final = 0.6
"""A FLAC chunk is planned as if it took this share of its samples. Speech takes 0.4 to 0.55, noise up to 1; a chunk
that comes out larger is parted in two, which both fit even if they do not compress at all."""

_FLAC_MARGIN_BYTES: Final = 16 << 10
"""Headers with padding take some 8 KiB, frames 0.2 % of a small chunk."""

_MIDDLE: Final = (0.42, 0.58)
"""Between which shares of a chunk that is parted in two the quietest place is looked for."""

_PART_BYTES: Final = 1 << 19

_FLAC_AT_ONCE_BYTES: Final = 1 << 17
"""4 s of sound, 2 ms of encoding. More is encoded in a thread, which libav leaves to run beside the event loop: of an
archive of sound, FLAC is half of what the scanner's own process does."""

_BIT_EXACT: Final = {"fflags": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1, "id3v2_version": 0}


@dataclass(frozen=True, slots=True)
class Piece:
    """Encoded sound."""

    data: bytes
    samples: int
    """How many samples went into it, at the rate they were written with."""


class Encoder(Protocol):
    """Takes the samples of one chunk."""

    async def write(self, pcm: bytes) -> None:
        """Take the next samples. Raises MediaError (DECODER_TIMEOUT)."""
        ...

    async def finish(self) -> list[Piece]:
        """Return the chunk; two pieces or more where one would be larger than the taker allows. Raises MediaError."""
        ...


def capacity(spec: AudioSpec, rate_hz: int) -> int:
    """Return how many samples at `rate_hz` a chunk for `spec` may have.

    Raises ValueError for an MP3 bit rate or sample rate that does not exist.
    """
    return int(min(spec.max_s, _seconds_in(spec)) * rate_hz)


def _seconds_in(spec: AudioSpec) -> float:
    """How much sound is planned for `spec.max_bytes`."""
    raw_bytes_per_s = spec.sample_rate_hz * SAMPLE_BYTES
    match spec.codec:
        case AudioCodec.PCM:
            return spec.max_bytes / raw_bytes_per_s
        case AudioCodec.WAV:
            return (spec.max_bytes - WAV_HEADER_BYTES) / raw_bytes_per_s
        case AudioCodec.FLAC:
            return (spec.max_bytes - _FLAC_MARGIN_BYTES) / raw_bytes_per_s / _FLAC_SHARE
        case AudioCodec.MP3:
            if spec.bitrate_kbps not in MP3_KBPS or spec.sample_rate_hz not in MP3_RATES_HZ:
                raise ValueError(f"no MP3 has {spec.bitrate_kbps} kbit/s at {spec.sample_rate_hz} Hz")
            return (spec.max_bytes - _MP3_MARGIN_BYTES) / (spec.bitrate_kbps * 125)
        case _:
            assert_never(spec.codec)


@asynccontextmanager
async def open_encoder(spec: AudioSpec, rate_hz: int, limits: MediaLimits) -> AsyncIterator[Encoder]:
    """Have an encoder for one chunk of samples at `rate_hz`; leaving the context ends its process, if it has one."""
    if spec.codec in {AudioCodec.PCM, AudioCodec.WAV} and spec.sample_rate_hz == rate_hz:
        yield _Plain(spec)
        return
    if spec.codec is AudioCodec.FLAC and spec.sample_rate_hz == rate_hz:
        yield _Flac(spec, limits)
        return
    async with start_child(_argv(spec, rate_hz), _limits(spec, limits), stdin=True) as child:
        yield _Piped(child, spec, rate_hz, limits)


class _Plain:
    """Raw samples and WAV."""

    def __init__(self, spec: AudioSpec) -> None:
        self._spec = spec
        self._pcm = bytearray()

    async def write(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def finish(self) -> list[Piece]:
        samples = len(self._pcm) // SAMPLE_BYTES
        if self._spec.codec is AudioCodec.PCM:
            return [Piece(bytes(self._pcm), samples)]
        return [Piece(wav_bytes(self._pcm, self._spec.sample_rate_hz), samples)]


class _Flac:
    """FLAC encoded as the samples come."""

    def __init__(self, spec: AudioSpec, limits: MediaLimits) -> None:
        from batch_scan.media.flac import FlacFile  # noqa: PLC0415 - libav is loaded where sound is encoded only

        self._spec = spec
        self._limits = limits
        self._file = FlacFile(spec.sample_rate_hz)
        self._kept = bytearray()  # the size is known only afterwards; at most max_bytes / _FLAC_SHARE

    async def write(self, pcm: bytes) -> None:
        self._kept += pcm
        if len(pcm) <= _FLAC_AT_ONCE_BYTES:
            self._file.write(pcm)
            await asyncio.sleep(0)
        else:
            await asyncio.to_thread(self._file.write, pcm)

    async def finish(self) -> list[Piece]:
        data = self._file.finish()
        if len(data) <= self._spec.max_bytes:
            return [Piece(data, len(self._kept) // SAMPLE_BYTES)]
        return await _parted(self._kept, self._spec, self._spec.sample_rate_hz, self._limits)


class _Piped:
    """An ffmpeg that reads samples and writes a file."""

    def __init__(self, child: Child, spec: AudioSpec, rate_hz: int, limits: MediaLimits) -> None:
        self._child = child
        self._spec = spec
        self._rate_hz = rate_hz
        self._limits = limits
        self._written = 0
        # Kept where the size is known only afterwards: at most max_bytes / _FLAC_SHARE.
        self._kept = bytearray() if spec.codec is AudioCodec.FLAC else None

    async def write(self, pcm: bytes) -> None:
        self._written += len(pcm)
        if self._kept is not None:
            self._kept += pcm
        await self._child.write(pcm)

    async def finish(self) -> list[Piece]:
        await self._child.close_stdin()
        end = await self._child.wait()
        if end.returncode != 0:
            raise MediaError(
                end.reason or Reason.INTERNAL, f"the encoder ended with {end.returncode}: {end.untrusted_stderr}"
            )
        file = self._child.tmp / _file_name(self._spec)
        if file.stat().st_size <= self._spec.max_bytes:
            return [Piece(file.read_bytes(), self._written // SAMPLE_BYTES)]
        if self._kept is None:
            raise MediaError(Reason.SAMPLE_TOO_LARGE, f"{self._written} bytes of sound became larger than planned")
        return await _parted(self._kept, self._spec, self._rate_hz, self._limits)


async def _parted(pcm: bytearray, spec: AudioSpec, rate_hz: int, limits: MediaLimits) -> list[Piece]:
    """Encode the two halves of a chunk on their own."""
    middle = SAMPLE_BYTES * _quiet_middle(pcm, rate_hz)
    pieces: list[Piece] = []
    for first, last in ((0, middle), (middle, len(pcm))):
        async with open_encoder(spec, rate_hz, limits) as encoder:
            for at in range(first, last, _PART_BYTES):
                await encoder.write(bytes(pcm[at : min(at + _PART_BYTES, last)]))
            pieces += await encoder.finish()
    return pieces


def wav_bytes(pcm: bytes | bytearray, rate_hz: int) -> bytes:
    """Return mono 16-bit samples as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(SAMPLE_BYTES)
        out.setframerate(rate_hz)
        out.writeframes(pcm)
    return file.getvalue()


def _quiet_middle(pcm: bytearray, rate_hz: int) -> int:
    samples = np.frombuffer(pcm, dtype="<i2")
    first, last = (int(len(samples) * share) for share in _MIDDLE)
    windows = list(measure(samples[first:last], first, round(WINDOW_S * rate_hz)))
    return quietest_cut(windows) if len(windows) > 1 else len(samples) // 2


def _file_name(spec: AudioSpec) -> str:
    return f"chunk.{'raw' if spec.codec is AudioCodec.PCM else spec.codec.value}"


def _argv(spec: AudioSpec, rate_hz: int) -> list[str]:
    match spec.codec:
        case AudioCodec.PCM:
            how = {"format": "s16le"}
        case AudioCodec.WAV:
            how = {"format": "wav"}
        case AudioCodec.FLAC:
            how = {"format": "flac"}
        case AudioCodec.MP3:
            how = {"format": "mp3", "codec:a": "libmp3lame", "b:a": f"{spec.bitrate_kbps}k"}
        case _:
            assert_never(spec.codec)
    samples = ffmpeg.input(
        "pipe:0", format="s16le", ar=rate_hz, ac=1, protocol_whitelist="pipe", format_whitelist="s16le"
    )
    return compile_args(
        ffmpeg.output(samples, f"file:{_file_name(spec)}", ar=spec.sample_rate_hz, ac=1, **how, **_BIT_EXACT)
    )


def _limits(spec: AudioSpec, limits: MediaLimits) -> ChildLimits:
    allowed_s = limits.wall_base_s + limits.wall_per_media_s * min(spec.max_s, limits.max_duration_s)
    return ChildLimits(limits.memory_bytes, allowed_s, 2 * spec.max_bytes + (1 << 20), allowed_s)
