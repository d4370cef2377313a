"""The pictures of a track that PyAV has no decoder for, through the ffmpeg program: dearer, and without twins merged.

Every picture is decoded and the wanted ones are picked by a filter that counts as `wanted.WantedTimes` does. They come
as JPEGs one after another on a pipe; when each is shown stands on standard error, in the same order.
"""

from __future__ import annotations

import asyncio
import re
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
    from collections.abc import AsyncIterator
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
) -> AsyncIterator[Sample | Shortfall | FrameTally]:
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
    wanted, taken, reason, detail = WantedTimes(interval_s), 0, None, ""
    bounds = ChildLimits(memory_bytes=limits.memory_bytes, cpu_s=wall_s, file_bytes=0, wall_s=wall_s)
    times = _Times()
    try:
        argv = _argv(path, track, interval_s, spec, limits)
        async with start_child(argv, bounds, on_stderr_line=times.take_line) as child:
            async for jpeg in _jpegs(child):
                start_s = 0.0 if track.is_cover else await times.next_s()
                wanted.answer(start_s)
                taken += 1
                yield _sample(track, start_s, jpeg)
            end = await child.wait()
        if end.reason is not None or end.returncode != 0:
            reason, detail = end.reason or Reason.DAMAGED, f"ffmpeg ended with status {end.returncode}"
    except MediaError as error:
        reason, detail = error.reason, error.detail
    missing = 0 if track.is_cover else wanted.left_before((duration_s or 0.0) - min(1.0, 0.1 * (duration_s or 0.0)))
    if not taken:
        reason, detail, missing = reason or Reason.CODEC_UNSUPPORTED, detail or "no decoder for it", max(missing, 1)
    elif missing and reason is None:
        reason, detail = Reason.DAMAGED, f"{missing} pictures before its declared end are missing"
    if reason is not None:
        yield Shortfall(reason, f"picture track {track.index}: {detail}")
    work = FrameWork(track.index, interval_s, taken=taken, whole=Whole.COVER if track.is_cover else Whole.NO_DECODER)
    yield FrameTally(track.index, taken + min(missing, limits.max_wanted_frames), taken, 0, work)


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


def _argv(path: Path, track: VideoTrack, interval_s: float, spec: FrameSpec, limits: MediaLimits) -> list[str]:
    count = f"floor(({{}}+1e-6)/{interval_s!r})"
    chosen = f"isnan(prev_selected_t)+gt({count.format('t')},{count.format('prev_selected_t')})"
    longest = spec.longest_px
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
        t=limits.max_duration_s,
        threads=1,
        max_error_rate=0,  # the status tells of any picture that could not be decoded
        **{"q:v": 3, "frames:v": 1 if track.is_cover else spec.max_frames or limits.max_wanted_frames},
    )
    return compile_args(output, loglevel="info")


async def _jpegs(child: Child) -> AsyncIterator[bytes]:
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
