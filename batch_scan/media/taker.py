"""One taker of sound: its plan of a track, and the chunk that is being encoded for it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self, assert_never

from batch_scan.digest import digest_bytes
from batch_scan.errors import MediaError
from batch_scan.media.chunks import ChunkPlanner, ChunkRules, Span, SpanKind
from batch_scan.media.encode import MIME, capacity, open_encoder
from batch_scan.media.interface import Chunk, Silence
from batch_scan.model import Digest, Sample, Shortfall
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from batch_scan.media.chunks import Window
    from batch_scan.media.coverage import SoundRead
    from batch_scan.media.encode import Encoder, Piece
    from batch_scan.media.interface import AudioSpec, MediaLimits
    from batch_scan.media.soundbuffer import SoundBuffer
    from batch_scan.media.timeline import Timeline
    from batch_scan.model import AudioTrack


class Taker:
    """Turns what is read of a track into chunks and silences for one spec. Use as an asynchronous context manager.

    Args:
        spec: what is wanted.
        track: the track.
        declared_s: its declared length, if any.
        read: what is known of the track; grows while the taker works, as do `timeline` and `buffer`.
        timeline: knows when the track starts.
        buffer: holds the samples that are planned.
        limits: bounds of the encoder.

    Raises:
        ValueError: nothing can be encoded as the spec asks.
    """

    def __init__(
        self,
        spec: AudioSpec,
        track: AudioTrack,
        *,
        declared_s: float | None,
        read: SoundRead,
        timeline: Timeline,
        buffer: SoundBuffer,
        limits: MediaLimits,
    ) -> None:
        self._spec = spec
        self._track = track
        self._read = read
        self._timeline = timeline
        self._buffer = buffer
        self._limits = limits
        rules = ChunkRules.for_rate(
            read.rate_hz,
            capacity(spec, read.rate_hz),
            skip_silence=spec.skip_silence,
            split_silence_s=spec.split_silence_s,
        )
        self._planner = ChunkPlanner(rules, None if declared_s is None else round(declared_s * read.rate_hz))
        self._process = AsyncExitStack()
        self._encoder: Encoder | None = None
        self._failed: MediaError | None = None
        self._written = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.aclose()

    @property
    def needed_from(self) -> int:
        """Samples before this may be dropped from the buffer."""
        return self._planner.needed_from

    async def take(self, windows: Iterable[Window]) -> AsyncIterator[Chunk | Silence | Shortfall]:
        """Plan the next windows and yield what is finished by them."""
        for span in [span for window in windows for span in self._planner.feed(window)]:
            async for event in self._settle(span):
                yield event
        if self._planner.open_chunk is not None:
            await self._write(*self._planner.open_chunk)

    async def finish(self) -> AsyncIterator[Chunk | Silence | Shortfall]:
        """Yield what is left at the end of the track."""
        for span in self._planner.finish():
            async for event in self._settle(span):
                yield event

    async def _settle(self, span: Span) -> AsyncIterator[Chunk | Silence | Shortfall]:
        match span.kind:
            case SpanKind.CHUNK:
                await self._write(span.start, span.end)
                for event in self._chunks(span, await self._encoded()):
                    yield event
            case SpanKind.SILENCE:
                yield self._silence(span)
            case SpanKind.HOLE:
                if not self._read.is_lost(span.start, span.end):
                    yield self._silence(span)
            case _:
                assert_never(span.kind)

    async def _write(self, start: int, end: int) -> None:
        """Encode the chunk that begins at `start` as far as `end`."""
        try:
            if self._encoder is None and self._failed is None:
                opened = open_encoder(self._spec, self._read.rate_hz, self._limits)
                self._encoder = await self._process.enter_async_context(opened)
                self._written = start
            if self._encoder is not None and self._failed is None:
                for pcm in self._buffer.read(self._written, end):
                    await self._encoder.write(pcm)
        except MediaError as error:
            self._failed = error
        self._written = end

    async def _encoded(self) -> list[Piece] | MediaError:
        encoder, failed = self._encoder, self._failed
        self._encoder = self._failed = None
        try:
            if failed is not None or encoder is None:
                return failed or []
            return await encoder.finish()
        except MediaError as error:
            return error
        finally:
            await self._process.aclose()

    def _chunks(self, span: Span, pieces: list[Piece] | MediaError) -> Iterator[Chunk | Shortfall]:
        if isinstance(pieces, MediaError):
            where = f"sound from {self._seconds(span.start):.1f} to {self._seconds(span.end):.1f} s"
            yield Shortfall(pieces.reason, f"{where} could not be encoded: {pieces.detail}", type(pieces).__name__)
            return
        at = span.start
        for piece in pieces:
            yield Chunk(self._spec, self._sample(at, at + piece.samples, piece.data))
            at += piece.samples

    def _sample(self, start: int, end: int, data: bytes) -> Sample:
        return Sample(
            Medium.AUDIO,
            self._seconds(start),
            self._seconds(end),
            Digest(digest_bytes(data)),
            MIME[self._spec.codec],
            data,
            track=self._track.index,
            language=self._track.language,
        )

    def _silence(self, span: Span) -> Silence:
        return Silence(self._spec, self._track.index, self._seconds(span.start), self._seconds(span.end))

    def _seconds(self, position: int) -> float:
        return self._timeline.start_s + position / self._read.rate_hz
