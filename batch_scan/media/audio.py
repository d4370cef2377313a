"""Sound of a file, as chunks for those who asked for it.

One guarded ffmpeg decodes a track to samples, which are mixed, measured, planned and encoded as they come; of a track
nothing but the end of the chunk that is being filled is held. ffmpeg exits with 0 on truncated files, so what was
decoded is compared with what the container declares, and the presentation times of the samples with their number.

Channels are mixed here (`mix`): ffmpeg's own downmix cancels sound of opposite phase, leaves out channels that it has
no place for and refuses unknown layouts.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

import ffmpeg
import numpy as np

from batch_scan.errors import MediaError
from batch_scan.media.chunks import WINDOW_S, Kind, Window, measure
from batch_scan.media.coverage import OGG_PAGE_BYTES, SoundRead, ends_within_ogg_page, judge
from batch_scan.media.decoder import wall_limit
from batch_scan.media.encode import SAMPLE_BYTES
from batch_scan.media.interface import AudioTally, Chunk, Silence
from batch_scan.media.mix import channels_kept, keep_channels, mixed
from batch_scan.media.runner import ChildLimits, compile_args, input_args, start_child
from batch_scan.media.soundbuffer import SoundBuffer
from batch_scan.media.taker import Taker
from batch_scan.media.timeline import Timeline
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import numpy.typing as npt

    from batch_scan.media.interface import AudioSpec, MediaLimits
    from batch_scan.media.runner import Child
    from batch_scan.model import AudioTrack, MediaInfo


Event: TypeAlias = Chunk | Silence | Shortfall | AudioTally

_BLOCK_WINDOWS: Final = 100
"""Sound is read and measured in blocks of this many windows (10 s), ..."""

_BLOCK_CHANNELS: Final = 8
"""... and of fewer where there are more channels than these."""

_STAMP_S: Final = 0.25
"""How often ffmpeg logs a presentation time. A hole is placed this exactly; a line costs some 50 µs on both sides."""

_STAMP_TIMEOUT_S: Final = 30.0
"""A time is logged before its sound is written; if it does not come through in this time, it never will."""


async def read_audio(
    path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...], limits: MediaLimits
) -> AsyncGenerator[Event, None]:
    """Yield the sound of every sound track for each taker, in order of time per track.

    Every track is decoded once and ends with its `AudioTally`. Close the iterator to end the decoder early.

    Args:
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
        async with aclosing(_Track(path, info, track, wanted, limits).read()) as events:
            async for event in events:
                yield event


class _Stamps:
    """Hands the decoder's log to a timeline and waits for it to have got somewhere."""

    def __init__(self, timeline: Timeline) -> None:
        self.lost = False
        self._timeline = timeline
        self._awaited = 0
        self._reached = asyncio.Event()

    def take(self, untrusted_line: str) -> None:
        self._timeline.take(untrusted_line)
        if self._timeline.shown >= self._awaited:
            self._reached.set()

    async def reach(self, samples: int) -> None:
        """Wait until the time of so many samples is known."""
        if self._timeline.shown >= samples or self.lost:
            return
        self._awaited = samples
        self._reached.clear()
        try:
            async with asyncio.timeout(_STAMP_TIMEOUT_S):
                await self._reached.wait()
        except TimeoutError:
            self.lost = True


class _Track:
    """One track, from its decoder to its tally."""

    def __init__(
        self, path: Path, info: MediaInfo, track: AudioTrack, specs: tuple[AudioSpec, ...], limits: MediaLimits
    ) -> None:
        self._path = path
        self._info = info
        self._track = track
        self._limits = limits
        self._rate_hz = max(spec.sample_rate_hz for spec in specs)
        self._channels = channels_kept(track.channels, track.codec)
        self._timeline = Timeline(self._rate_hz, info.container)
        self._stamps = _Stamps(self._timeline)
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
        """Declared length of the track.

        Matroska and FLV count from the start of the file, also for a track that starts later, and may state only how
        long the file is, which a lone track fills.
        """
        declared_s = self._track.duration_s
        if not self._info.container.startswith(("matroska", "flv")):
            return declared_s
        if declared_s is None and self._info.main_video is None and len(self._info.audio) == 1:
            declared_s = self._info.duration_s
        return None if declared_s is None else max(0.0, declared_s - self._timeline.start_s)

    async def read(self) -> AsyncGenerator[Event, None]:
        """Yield all that is to be said of the track."""
        limits = self._child_limits()
        async with AsyncExitStack() as encoders:
            for taker in self._takers:
                await encoders.enter_async_context(taker)
            async with start_child(self._argv(), limits, on_stderr_line=self._stamps.take) as child:
                async with aclosing(self._decoded(child)) as batches:
                    async for windows in batches:
                        for taker in self._takers:
                            async for event in taker.take(windows):
                                yield event
                        self._buffer.drop_before(min(taker.needed_from for taker in self._takers))
                if not self._seen.too_long:
                    self._seen.end = await child.wait()
            for taker in self._takers:
                async for event in taker.finish():
                    yield event
        self._seen.stamps_lost = self._stamps.lost
        self._seen.cut = self._info.container == "ogg" and ends_within_ogg_page(_tail_of(self._path, OGG_PAGE_BYTES))
        shortfalls, tally = judge(self._seen, self._timeline, self._track.index, self.declared_s)
        for shortfall in shortfalls:
            yield shortfall
        if (late := self._late_track()) is not None:
            yield late
        yield tally

    def _late_track(self) -> Shortfall | None:
        """Say once per file what came to light on the way; of a file without a film the probe has said so."""
        late_s = self._timeline.late_sound_s
        if late_s is None or self._info.main_video is None or self._track is not self._info.audio[0]:
            return None
        detail = f"a sound track begins at {late_s:.1f} s that the file's beginning says nothing of"
        return Shortfall(Reason.DAMAGED, f"{detail}; it is not examined")

    async def _decoded(self, child: Child) -> AsyncGenerator[list[Window], None]:
        """Yield the windows of one block after the other; their samples are in the buffer by then."""
        windows = max(1, min(_BLOCK_WINDOWS, _BLOCK_WINDOWS * _BLOCK_CHANNELS // self._channels))
        frame_bytes = SAMPLE_BYTES * self._channels
        size = windows * self._window * frame_bytes
        while not self._seen.too_long:
            try:
                block = await child.read_exactly(size)
            except MediaError as error:
                self._seen.stopped = error
                await child.stop(error.reason)
                return
            frames = np.frombuffer(block, "<i2", len(block) // frame_bytes * self._channels).reshape(-1, self._channels)
            if not len(frames):
                return
            await self._stamps.reach(self._seen.decoded + len(frames))
            yield self._place(frames)

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

    def _argv(self) -> list[str]:
        source = ffmpeg.input(**input_args(self._path, self._limits, threads=1))
        filters = ",".join(
            (
                "aformat=sample_fmts=fltp",
                keep_channels(self._channels),
                f"aresample={self._rate_hz}",
                "aformat=sample_fmts=s16",
                f"asetnsamples=n={round(_STAMP_S * self._rate_hz)}:p=0",
                "ashowinfo",
            )
        )
        decoded = ffmpeg.output(source, "pipe:1", map=f"0:{self._track.index}", af=filters, format="s16le")
        # With times as they stand in the file: ffmpeg would move the first sound of a transport stream to zero.
        return compile_args(decoded.global_args("-copyts", "-nostats"), loglevel="level+info")

    def _child_limits(self) -> ChildLimits:
        allowed_s = wall_limit(self._path, self._track.duration_s or self._info.duration_s, self._limits)
        return ChildLimits(self._limits.memory_bytes, allowed_s, 1 << 20, allowed_s)


def _tail_of(path: Path, size_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size_bytes))
            return file.read(size_bytes)
    except OSError:
        return b""
