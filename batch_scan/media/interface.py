"""What the media room offers: probe a file, take out its pictures and its sound.

All three are asked of a `Reader`, which owns the decoder processes. Paths are local files; nothing here knows a source
or an endpoint. Whatever a file does (lies, crashes or hangs its decoder), the answer is a value with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from batch_scan.media.ways import FrameWork, SoundWork  # noqa: TC001 - tallies are (de)serialised by its annotations
from batch_scan.model import MediaInfo, Sample, Shortfall  # noqa: TC001 - `Chunk` is (de)serialised by its annotations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class Lane(StrEnum):
    """What is decoded, and waits for each other: a slow taker holds up its own kind, and no other."""

    PICTURES = "pictures"
    SOUND = "sound"


class FrameMode(StrEnum):
    """How exact the time of a frame is, and what it costs (see docs/architecture.md)."""

    EXACT = "exact"
    FAST = "fast"
    """As exact, but pictures predicted from both sides lack the loop filter; see `worker_decode`."""
    KEYFRAME = "keyframe"


class AudioCodec(StrEnum):
    """Encodings that sound is handed on in. All are mono at `AudioSpec.sample_rate_hz`."""

    MP3 = "mp3"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm_s16le"
    """Raw little-endian 16-bit samples, without a header."""


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """Which pictures are wanted, and how."""

    interval_s: float = 5.0
    longest_px: int = 640
    mode: FrameMode = FrameMode.EXACT
    tolerance_s: float = 0.0
    max_frames: int = 0
    """Per file; 0 = no cap."""
    dedup: bool = True
    jpeg_quality: int = 85


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """What one taker of sound wants. Chunks are as long as it allows and cut at silence where a cut is needed."""

    codec: AudioCodec = AudioCodec.FLAC
    max_s: float = 3600.0
    max_bytes: int = 20_000_000
    bitrate_kbps: int = 32
    """For MP3."""
    sample_rate_hz: int = 16_000
    skip_silence: bool = True
    """Chunks without sound are reported as `Silence` and not handed on."""
    split_silence_s: float = 0.0
    """Silence of this length ends a chunk and is left out, for takers who are paid by the second; 0 = it stays inside,
    for takers who are paid by the request."""
    copies: tuple[str, ...] = ()
    """Codecs (libav's names) that it takes undecoded too, as `Sample.copied`, where the job says so. Only for takers
    whose answers tell how much they heard: of such a sample nothing else shows that it was heard at all."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Bounds for hostile media; exceeding one is a reason in the row, never a clean file."""

    max_pixels: int = 100_000_000
    max_streams: int = 64
    max_duration_s: float = 24 * 3600.0
    """More of a file than this is not examined; its row says so."""
    max_wanted_frames: int = 100_000
    """Bounds the work that a lying duration can cause."""
    memory_bytes: int = 4 << 30
    """Address space of a decoder process."""
    wall_base_s: float = 60.0
    wall_per_media_s: float = 2.0
    """A child may take `wall_base_s + wall_per_media_s * duration`, the time we make it wait not counted."""


@dataclass(frozen=True, slots=True)
class FrameTally:
    """Closes the frames of one track."""

    track: int
    planned: int
    extracted: int
    deduplicated: int
    work: FrameWork | None = field(default=None, compare=False)
    """What was done for it; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of sound, for the taker who asked with `spec`."""

    spec: AudioSpec
    sample: Sample


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch of measured silence: examined, not sent."""

    spec: AudioSpec
    track: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class AudioTally:
    """Closes the sound of one track: declared against decoded seconds."""

    track: int
    planned_s: float
    """Declared duration or, where none is declared, what was decoded."""
    decoded_s: float
    """What was decoded or copied."""
    work: SoundWork | None = None
    """How it was handed on; None where it could only be decoded, as the job has it."""


class Reader(Protocol):
    """Reads media files. Use as an asynchronous context manager: leaving it ends every child."""

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        """Say what is in a file. Raises MediaError.

        A small file that lasts may stay open for what is asked next; one that is removed soon would keep its room on
        the disk.
        """
        ...

    def frames(
        self, path: Path, info: MediaInfo, spec: FrameSpec
    ) -> AsyncGenerator[Sample | Shortfall | FrameTally, None]:
        """Yield the wanted pictures of every picture track as JPEG samples, in order of time.

        A near-twin of its neighbour is not yielded: the sample before it has a later `end_s` and a larger
        `stands_for`. What could not be taken out is yielded as `Shortfall`. Every track ends with its `FrameTally`.
        Raises nothing that belongs to the file.
        """
        ...

    def audio(
        self, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...]
    ) -> AsyncGenerator[Chunk | Silence | Shortfall | AudioTally, None]:
        """Yield the sound of every sound track for each taker, in order of time per track.

        The sound is decoded once per track, whatever the number of takers, or not at all where all of them take its
        codec undecoded (`AudioSpec.copies`). Every track ends with its `AudioTally`; less decoded than declared is a
        `Shortfall` too. Raises nothing that belongs to the file.
        """
        ...

    async def clip(self, path: Path, track: int, start_s: float, end_s: float) -> bytes:
        """Return a short stretch of sound as WAV, loudness evened out, for evidence. Raises MediaError."""
        ...
