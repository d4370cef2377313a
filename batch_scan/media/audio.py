"""Sound of a file, as chunks for those who asked for it.

A decoder worker turns a track into samples, which are mixed, measured, planned and encoded as they come; of a track
nothing but the end of the chunk that is being filled is held. libav reads truncated files to their end without a word,
so what was decoded is compared with what the container declares, and the presentation times of the samples with their
number.

Channels are mixed here (`mix`): libav's own downmix cancels sound of opposite phase, leaves out channels that it has
no place for and refuses unknown layouts.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import numpy as np
from pydantic import Field, ValidationError

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.chunks import WINDOW_S, Kind, Window, measure
from batch_scan.media.copied import CopiedTrack, why_decoded
from batch_scan.media.coverage import (
    TOLERANCE_S,
    SoundRead,
    Unread,
    declared_length_s,
    judge,
)
from batch_scan.media.decoder import wall_limit
from batch_scan.media.interface import AudioTally, Chunk, Lane, Silence
from batch_scan.media.mix import channels_kept, keep_channels, mixed
from batch_scan.media.ogg import OGG_PAGE_BYTES, behind_last_ogg_page
from batch_scan.media.probe import Told, parse_end
from batch_scan.media.soundbuffer import SoundBuffer
from batch_scan.media.structure import TELL_THEIR_END
from batch_scan.media.tags import end_before_tags
from batch_scan.media.taker import Taker
from batch_scan.media.timeline import Timeline
from batch_scan.media.ways import SoundWork
from batch_scan.model import Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import numpy.typing as npt

    from batch_scan.media.decoder import DecoderPool
    from batch_scan.media.interface import AudioSpec, MediaLimits
    from batch_scan.model import AudioTrack, MediaInfo


Event: TypeAlias = Chunk | Silence | Shortfall | AudioTally

_BLOCK_WINDOWS: Final = 100
"""Sound is read and measured in blocks of this many windows (10 s), ..."""

_BLOCK_CHANNELS: Final = 8
"""... and of fewer where there are more channels than these."""

_Count = Annotated[int, Field(ge=0)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Tally(Told):
    """What a worker says after the last sound of a track."""

    frames: _Count
    refused: _Count
    unheard_s: _Seconds
    unheard_before_s: _Seconds
    complaint: str
    container_complaint: str
    unread: Unread | None = None
    late: str


async def read_audio(
    pool: DecoderPool, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...], limits: MediaLimits
) -> AsyncGenerator[Event, None]:
    """Yield the sound of every sound track for each taker, in order of time per track.

    Every track is decoded once, or copied where all takers let it, and ends with its `AudioTally`. Close the iterator
    to end the decoder early.

    Args:
        pool: decodes it.
        path: the file.
        info: what a probe found in it.
        specs: what is wanted; equal ones are served once.
        limits: bounds of time, memory and length.

    Yields:
        Chunks and silences in order of time (per spec), then what fell short, then the tally.

    Raises:
        ValueError: a spec asks for what cannot be (an MP3 bit rate that does not exist, a chunk below 0.1 s).
    """
    wanted = tuple(dict.fromkeys(specs))
    if not wanted:
        return
    for track in info.audio:
        because = why_decoded(track, wanted)
        if not because:
            copy = CopiedTrack(path, info, track, pool=pool, specs=wanted, limits=limits)
            async with aclosing(copy.read()) as copied:
                async for told in copied:
                    yield told
            because = copy.not_copied
            if not because:
                continue
        work = SoundWork(track.index, because=because) if any(spec.copies for spec in wanted) else None
        async with aclosing(_Track(path, info, track, pool=pool, specs=wanted, limits=limits).read()) as events:
            async for event in events:
                yield replace(event, work=work) if isinstance(event, AudioTally) else event


class _Track:
    """One track, from its decoder to its tally."""

    def __init__(
        self,
        path: Path,
        info: MediaInfo,
        track: AudioTrack,
        *,
        pool: DecoderPool,
        specs: tuple[AudioSpec, ...],
        limits: MediaLimits,
    ) -> None:
        self._pool = pool
        self._path = path
        self._info = info
        self._track = track
        self._limits = limits
        self._rate_hz = max(spec.sample_rate_hz for spec in specs)
        self._channels = channels_kept(track.channels, track.codec)
        self._timeline = Timeline(self._rate_hz)
        self._late = ""
        self._buffer = SoundBuffer(self._rate_hz)
        self._seen = SoundRead(self._rate_hz)
        self._takers = [
            Taker(
                spec,
                track,
                declared_s=self.declared_s,
                read=self._seen,
                timeline=self._timeline,
                buffer=self._buffer,
                limits=limits,
            )
            for spec in specs
        ]

    @property
    def declared_s(self) -> float | None:
        """Declared length of the track."""
        begins_s = max(0.0, self._timeline.start_s - self._seen.unheard_before_s)
        return declared_length_s(self._info, self._track, begins_s)

    async def read(self) -> AsyncGenerator[Event, None]:
        """Yield all that is to be said of the track."""
        async with AsyncExitStack() as encoders:
            for taker in self._takers:
                await encoders.enter_async_context(taker)
            async with aclosing(self._decoded()) as batches:
                async for windows in batches:
                    for taker in self._takers:
                        async for event in taker.take(windows):
                            yield event
                    self._buffer.drop_before(min(taker.needed_from for taker in self._takers))
            for taker in self._takers:
                async for event in taker.finish():
                    yield event
        if self._info.container == "ogg":
            self._note_ogg_end()
        shortfalls, tally = judge(self._seen, self._timeline, self._track.index, self.declared_s)
        for shortfall in shortfalls:
            yield shortfall
        if self._late and self._info.main_video is not None and self._track is self._info.audio[0]:
            yield Shortfall(Reason.DAMAGED, self._late)  # once per file; of one without a film the probe has said so
        yield tally

    async def _decoded(self) -> AsyncGenerator[list[Window], None]:
        """Yield the windows of one block after the other; their samples are in the buffer by then."""
        allowed_s = wall_limit(self._path, self._track.duration_s or self._info.duration_s, self._limits)
        is_closed = False
        try:
            async with aclosing(self._pool.ask(self._request(), allowed_s, Lane.SOUND)) as messages:
                async for kind, body in messages:
                    if kind is wire.Kind.END:
                        parse_end(body)
                    elif kind is wire.Kind.SOUND and not is_closed:
                        yield self._place(self._frames(body))
                    elif kind is wire.Kind.TALLY and not is_closed:
                        is_closed = True
                        self._note_tally(body)
                    else:
                        raise _malformed()
                    if self._seen.too_long:
                        return
            if not is_closed:
                raise _malformed()
        except MediaError as error:
            self._seen.stopped = error

    def _frames(self, body: bytes) -> npt.NDArray[np.int16]:
        """Return the samples of a block, of shape (time, channels), and note its times. Raises MediaError."""
        try:
            sound = wire.unpack_sound(body)
            frames = np.frombuffer(sound.pcm, "<i2").reshape(-1, self._channels)
        except ValueError:
            raise _malformed() from None
        for stamp in sound.stamps:
            self._timeline.show(stamp.at, stamp.samples, complained=stamp.complained)
        if self._timeline.shown < self._seen.decoded + len(frames):
            raise _malformed()
        return frames

    def _note_tally(self, body: bytes) -> None:
        try:
            tally = _Tally.model_validate(wire.unpack_json(body))
        except (wire.WireError, ValidationError):
            raise _malformed() from None
        self._seen.frames, self._seen.refused, self._seen.unheard_s = tally.frames, tally.refused, tally.unheard_s
        if tally.unheard_before_s > TOLERANCE_S[0]:
            self._seen.unheard_before_s = tally.unheard_before_s
        self._seen.complaint, self._seen.unread = tally.complaint, tally.unread
        if self._info.container not in TELL_THEIR_END:
            self._seen.container_complaint = tally.container_complaint
        self._late = clean_text(tally.late)

    def _note_ogg_end(self) -> None:
        """Look at the end of an Ogg file: it declares no length that would show what is missing of it."""
        self._seen.is_length_found = True
        tail, size_bytes = _tail_of(self._path, OGG_PAGE_BYTES)
        behind = behind_last_ogg_page(tail)
        self._seen.cut = behind < 0
        if behind > 0 and self._seen.stopped is None and not self._seen.too_long:
            heard_s = self._seen.decoded / self._rate_hz
            length_s = behind * heard_s / max(1, size_bytes - behind)
            self._seen.unread = Unread(behind, length_s, self._timeline.start_s + heard_s)

    def _place(self, frames: npt.NDArray[np.int16]) -> list[Window]:
        """Put samples where they belong on the line of time, with the holes between them."""
        windows: list[Window] = []
        holes = self._timeline.holes
        while holes and holes[0].after < self._seen.decoded + len(frames):
            hole = holes[0]
            before = hole.after - self._seen.decoded
            windows += self._measured(frames[:before])
            frames = frames[before:]
            if self._seen.too_long or self._room < hole.length:
                self._seen.too_long = True
                return windows
            start = self._buffer.end
            self._buffer.append_hole(hole.length)
            windows.append(Window(start, self._buffer.end, Kind.HOLE))
            self._seen.add_hole(start, hole)
            holes.popleft()
        return windows + self._measured(frames)

    def _measured(self, frames: npt.NDArray[np.int16]) -> list[Window]:
        if len(frames) > self._room:
            frames = frames[: max(0, self._room)]
            self._seen.too_long = True
        pcm = mixed(frames, self._window, is_mono=self._track.channels == 1)
        windows = list(measure(pcm, self._buffer.end, self._window))
        self._buffer.append(pcm, windows)
        self._seen.decoded += len(pcm)
        return windows

    @property
    def _window(self) -> int:
        return round(WINDOW_S * self._rate_hz)

    @property
    def _room(self) -> int:
        """How many samples may come before the file is too long."""
        longest_s = self._limits.max_duration_s - self._timeline.start_s
        return int(longest_s * self._rate_hz) - self._buffer.end

    def _request(self) -> dict[str, Any]:
        windows = max(1, min(_BLOCK_WINDOWS, _BLOCK_WINDOWS * _BLOCK_CHANNELS // self._channels))
        return {
            "do": "sound",
            "path": str(self._path.absolute()),
            "container": self._info.container,
            "track": self._track.index,
            "rate_hz": self._rate_hz,
            "channels": self._channels,
            "pan": keep_channels(self._channels),
            "block_samples": windows * self._window,
            "max_streams": self._limits.max_streams,
            "max_pixels": self._limits.max_pixels,
        }


def _malformed() -> MediaError:
    return MediaError(Reason.DECODER_CRASHED, "the decoder process gave a malformed answer")


def _tail_of(path: Path, most_bytes: int) -> tuple[bytes, int]:
    """Return the end of a file and its size, both without the tags behind it; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            end = end_before_tags(file, file.seek(0, 2))
            tail_bytes = min(most_bytes, end)
            file.seek(end - tail_bytes)
            return file.read(tail_bytes), end
    except OSError:
        return b"", 0
