"""The `Reader` of the media room: PyAV workers for probes, pictures and sound, the ffmpeg program for evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from batch_scan.media.audio import read_audio
from batch_scan.media.clip import cut_clip
from batch_scan.media.decoder import DecoderPool
from batch_scan.media.frames import read_frames
from batch_scan.media.interface import MediaLimits
from batch_scan.media.probe import probe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from types import TracebackType

    from batch_scan.media.interface import AudioSpec, AudioTally, Chunk, FrameSpec, FrameTally, Silence
    from batch_scan.model import MediaInfo, Sample, Shortfall


class MediaReader:
    """Reads media files, the pictures of up to `workers` of them at a time and the sound of as many.

    See `interface.Reader`.

    Use as an asynchronous context manager: leaving it ends every decoder process. A generator that is not read to its
    end holds a worker until it is closed (`contextlib.aclosing`).
    """

    def __init__(self, workers: int, limits: MediaLimits | None = None) -> None:
        self._limits = limits or MediaLimits()
        self._pool = DecoderPool(workers, self._limits)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        """See `interface.Reader.probe`."""
        return await probe(self._pool, path, self._limits, is_lasting=is_lasting)

    def frames(
        self, path: Path, info: MediaInfo, spec: FrameSpec
    ) -> AsyncGenerator[Sample | Shortfall | FrameTally, None]:
        """See `interface.Reader.frames`."""
        return read_frames(self._pool, path, info, spec, self._limits)

    def audio(
        self, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...]
    ) -> AsyncGenerator[Chunk | Silence | Shortfall | AudioTally, None]:
        """See `interface.Reader.audio`."""
        return read_audio(self._pool, path, info, specs, self._limits)

    async def clip(self, path: Path, track: int, start_s: float, end_s: float) -> bytes:
        """See `interface.Reader.clip`."""
        return await cut_clip(path, track, start_s, end_s, self._limits)
