"""The pictures of a track that PyAV has no decoder for, through the ffmpeg program: dearer, and without twins merged.

Every picture is decoded and the wanted ones are picked by a filter that counts as `wanted.WantedTimes` does. They come
as JPEGs one after another on a pipe; when each is shown stands on standard error, in the same order.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import ffmpeg

from batch_scan.digest import digest_bytes
from batch_scan.errors import MediaError
from batch_scan.media.interface import FrameTally
from batch_scan.media.runner import ChildLimits, compile_args, input_args, start_child
from batch_scan.media.wanted import WantedTimes, spread
from batch_scan.media.ways import FrameWork, Whole
from batch_scan.model import Digest, Sample, Shortfall
from batch_scan.vocabulary import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from batch_scan.media.interface import FrameSpec, MediaLimits
    from batch_scan.media.runner import Child
    from batch_scan.model import VideoTrack

_READ_BYTES: Final = 1 << 16
_MAX_PICTURE_BYTES: Final = 64 << 20
_END_OF_IMAGE: Final = b"\xff\xd9"  # cannot stand inside a JPEG that ffmpeg wrote: it is escaped there
_SHOWN_AT: Final = re.compile(r"\bpts_time:(-?[0-9.]+)")
_TIME_WAIT_S: Final = 10.0


async def program_frames(
    path: Path, track: VideoTrack, duration_s: float | None, spec: FrameSpec, limits: MediaLimits, *, wall_s: float
) -> AsyncGenerator[Sample | Shortfall | FrameTally, None]:
    """Yield the wanted pictures of one track, then what is missing of it, then its tally.

    Args:
        path: the file.
        track: the track.
        duration_s: declared duration; None where there is none.
        spec: what is wanted; mode and tolerance do not apply, nothing is merged.
        limits: bounds of the file and of the child.
        wall_s: how long the child may keep us waiting.
    """
    interval_s = spread(spec.interval_s, duration_s, spec.max_frames)
    most = 1 if track.is_cover else min(spec.max_frames or limits.max_wanted_frames, limits.max_wanted_frames)
    course = _Course(WantedTimes(interval_s), most, limits.max_duration_s)
    bounds = ChildLimits(memory_bytes=limits.memory_bytes, cpu_s=wall_s, file_bytes=0, wall_s=wall_s)
    times = _Times()
    failure: tuple[Reason, str] | None = None
    try:
        argv = _argv(path, track, course, spec.longest_px, limits)
        async with start_child(argv, bounds, on_stderr_line=times.take_line) as child, aclosing(_jpegs(child)) as jpegs:
            async for jpeg in jpegs:
                start_s = 0.0 if track.is_cover else await times.next_s()
                if not course.takes(start_s):
                    break
                yield _sample(track, start_s, jpeg)
            else:
                end = await child.wait()
                if end.reason is not None or end.returncode != 0:
                    failure = end.reason or Reason.DAMAGED, f"ffmpeg ended with status {end.returncode}"
    except MediaError as error:
        failure = error.reason, error.detail
    missing = 0 if track.is_cover else course.missing_before(duration_s or 0.0)
    failure = failure or course.stopped
    if not course.taken:
        failure, missing = failure or (Reason.CODEC_UNSUPPORTED, "no decoder for it"), max(missing, 1)
    elif missing and failure is None:
        failure = Reason.DAMAGED, f"{missing} pictures before its declared end are missing"
    if failure is not None:
        reason, detail = failure
        yield Shortfall(reason, f"picture track {track.index}: {detail}")
    whole = Whole.COVER if track.is_cover else Whole.NO_DECODER
    work = FrameWork(track.index, interval_s, taken=course.taken, whole=whole)
    yield FrameTally(track.index, course.taken + min(missing, limits.max_wanted_frames), course.taken, 0, work)


@dataclass(slots=True)
class _Course:
    """How far the pictures of a track got, and why no more of them were taken."""

    wanted: WantedTimes
    most: int
    """Pictures that may be taken."""
    until_s: float
    """What is shown later is not looked at."""
    taken: int = 0
    last_s: float = 0.0
    stopped: tuple[Reason, str] | None = None

    def takes(self, start_s: float) -> bool:
        """Note a wanted picture shown at `start_s`; False where it is beyond what may be looked at."""
        if start_s > self.until_s:
            told = f"pictures examined to {self.until_s:.0f} s; what is shown later is not looked at"
            self.stopped = Reason.TOO_LONG, told
        elif self.taken >= self.most:
            told = f"{self.taken} pictures taken, to {self.last_s:.1f} s; more are wanted after"
            self.stopped = Reason.FRAME_CAP, told
        else:
            self.wanted.answer(start_s)
            self.taken += 1
            self.last_s = start_s
        return self.stopped is None

    def missing_before(self, duration_s: float) -> int:
        """Count the wanted times before a declared end that nothing answers, but for those behind a cap."""
        if self.stopped is not None and self.stopped[0] is Reason.FRAME_CAP:
            return 0
        return self.wanted.left_before(duration_s - min(1.0, 0.1 * duration_s))


class _Times:
    """When the pictures are shown, as ffmpeg tells it line by line."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[float] = asyncio.Queue()

    def take_line(self, line: str) -> None:
        """Take one line of standard error."""
        match = _SHOWN_AT.search(line)
        if match is not None and "showinfo" in line:
            try:
                self._told.put_nowait(max(float(match.group(1)), 0.0))
            except ValueError:
                return

    async def next_s(self) -> float:
        """Return when the next picture is shown, seconds. Raises MediaError where it is not told."""
        try:
            async with asyncio.timeout(_TIME_WAIT_S):
                return await self._told.get()
        except TimeoutError:
            raise MediaError(Reason.DAMAGED, "a picture came without its time") from None


def _argv(path: Path, track: VideoTrack, course: _Course, longest: int, limits: MediaLimits) -> list[str]:
    """Return the arguments for at most one picture more than may be taken, by which it is known that there are more."""
    count = f"floor(({{}}+1e-6)/{course.wanted.interval_s!r})"
    chosen = f"isnan(prev_selected_t)+gt({count.format('t')},{count.format('prev_selected_t')})"
    picked: Any = ffmpeg.input(**input_args(path, limits))[str(track.index)]
    picked = picked.filter("select", chosen).filter("showinfo", checksum=0)
    picked = picked.filter(
        "scale",
        w=f"if(gte(iw,ih),min(iw,{longest}),-2)",
        h=f"if(gte(iw,ih),-2,min(ih,{longest}))",
        out_range="full",
        out_color_matrix="bt601",
    ).filter("format", "yuvj420p")
    output = picked.output(
        "pipe:1",
        format="image2pipe",
        vcodec="mjpeg",
        fps_mode="passthrough",
        threads=1,
        max_error_rate=0,  # the status tells of any picture that could not be decoded
        **{"q:v": 3, "frames:v": 1 if track.is_cover else course.most + 1},
    )
    return compile_args(output, loglevel="info")


async def _jpegs(child: Child) -> AsyncGenerator[bytes, None]:
    """Cut the stream of JPEGs at their ends. Raises MediaError."""
    held = bytearray()
    while block := await child.read(_READ_BYTES):
        searched = max(len(held) - 1, 0)
        held += block
        while (at := held.find(_END_OF_IMAGE, searched)) >= 0:
            cut = at + len(_END_OF_IMAGE)
            yield bytes(held[:cut])
            del held[:cut]
            searched = 0
        if len(held) > _MAX_PICTURE_BYTES:
            raise MediaError(Reason.DECODER_LIMIT, "a picture is larger than any that is wanted")


def _sample(track: VideoTrack, start_s: float, jpeg: bytes) -> Sample:
    return Sample(
        medium=Medium.FRAME,
        start_s=start_s,
        end_s=start_s,
        digest=Digest(digest_bytes(jpeg)),
        mime="image/jpeg",
        data=jpeg,
        track=track.index,
    )
