"""Plays a file to a live service: pushes its pictures by RTMP at their own speed.

The guarded ffmpeg reads the file and pushes what it reads: as it is where it is H.264 as every player takes it, stands
upright and is not above the bit rate allowed, else encoded anew. What was played is told by ffmpeg's own progress;
`moment_in_file` maps moments of the session to moments of the file also where playing fell behind.

Trade-off: the target, stream key included, stands in ffmpeg's argument list, where other users of this machine can read
it while it plays; ffmpeg takes it from nowhere else. Such a key is good for one stream, which its owner closes after.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import ffmpeg

from batch_scan.errors import MediaError
from batch_scan.media.interface import MediaLimits
from batch_scan.media.runner import ChildLimits, compile_args, input_args, start_child
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.media.runner import Child, ChildEnd

_READ_BYTES: Final = 1 << 14
_LOOK_WALL_S: Final = 60.0
_PATIENCE_S: Final = 60.0
"""How long a push may take beyond `_SLOWEST` times its length, for connecting and for what lies in between."""
_SLOWEST: Final = 1.5
_BEAT_S: Final = 0.5
"""How far playing must have fallen behind, or caught up, for it to be noted."""
_MAX_BEATS: Final = 1000
_KEYFRAME_S: Final = 2
_CPUS: Final = 8
"""Processor seconds that encoding may take per second of wall time."""
_UNOPENED: Final = "Error opening input"
_MESSAGE_CHARS: Final = 300
_TRACK: Final = re.compile(r"Stream #0:(\d+)\S*: Video: (\w+)(.*)")
_LEASH: Final = (sys.executable, "-I", "-S", "-c", (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"  # PR_SET_PDEATHSIG
    "if os.getppid() == int(sys.argv[1]):\n"
    "    os.execv(sys.argv[2], sys.argv[2:])\n"
))  # fmt: skip
"""Has what follows end with this process, also where that is killed: nobody would hear of the rest of a play, and it
would be paid. ffmpeg itself goes on where nobody listens to its progress."""
_TIME: Final = re.compile(rb"out_time_us=(\d+)")
_PLAIN_PICTURES: Final = re.compile(r"\byuvj?420p\b")
_TURNED: Final = re.compile(r"\s*display ?matrix:", re.IGNORECASE)
"""How ffmpeg, older and newer, begins to tell that pictures are shown turned. FLV has no word for it: they are turned
here."""


@dataclass(frozen=True, slots=True)
class PlaySpec:
    """How a file is played."""

    longest_px: int = 1280
    """Longest side of pictures that are encoded anew; larger ones are scaled down."""
    max_kbps: int = 6000
    """Files above this are encoded anew, and then stay below it."""
    sound: bool = False
    """Push the first sound track too, as AAC."""
    max_s: float = 21_600.0
    """Playing ends here."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was played, and when."""

    seconds: float
    """Of the file, from its start."""
    beats: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    """Moments of the session and how far playing was behind the clock from there on, both in seconds."""
    copied: bool = True
    """Whether the pictures went out as they are in the file."""


def moment_in_file(beats: tuple[tuple[float, float], ...], played_s: float, session_s: float) -> float:
    """Return which second of a file was played at a moment of the session. Pure.

    Args:
        beats: see `Played.beats`; in order, the first at 0.
        played_s: how much of the file was played.
        session_s: seconds since the session began.
    """
    behind_s = 0.0
    for at_s, late_s in beats:
        if at_s > session_s:
            break
        behind_s = late_s
    return min(max(session_s - behind_s, 0.0), played_s)


async def play(
    path: Path, track: int, target: str, spec: PlaySpec, *, duration_s: float, limits: MediaLimits | None = None
) -> Played:
    """Push one picture track of a file by RTMP, from its start to its end, at its own speed.

    Args:
        path: the file; hostile, as every file.
        track: stream index of the pictures.
        target: ``rtmp://`` or ``rtmps://``, with the stream key; a secret, and taken out of what is told.
        spec: how it is played.
        duration_s: declared length of the file; 0 where it is not known.
        limits: bounds of the file.

    Raises:
        MediaError: `NOT_MEDIA` or `UNREADABLE` where the file cannot be opened; else the push broke off, was refused,
            or took far longer than the file. Says what ffmpeg said.
    """
    bounds = limits or MediaLimits()
    size_bytes = await asyncio.to_thread(_size_bytes, path)
    slim = duration_s > 0.0 and size_bytes * 8 / 1000 / duration_s <= spec.max_kbps
    copied = slim and await _can_copy(path, track, bounds)
    wall_s = _PATIENCE_S + _SLOWEST * min(duration_s or spec.max_s, spec.max_s)
    progress = Progress()
    child_limits = ChildLimits(bounds.memory_bytes, _CPUS * wall_s, 1 << 20, wall_s)
    argv = [*_LEASH, str(os.getpid()), *_argv(path, track, target, spec, bounds, copied=copied)]
    async with start_child(argv, child_limits) as child:
        await _follow(child, progress)
        end = await child.wait()
    if end.returncode != 0 or end.reason is not None:
        unopened = _UNOPENED in end.untrusted_stderr
        reason = Reason.NOT_MEDIA if unopened else end.reason or Reason.DAMAGED
        raise MediaError(reason, _what_broke(end, target, progress.played_s))
    return Played(progress.played_s, tuple(progress.beats), copied=copied)


@dataclass(slots=True)
class Progress:
    """Follows how much has been played."""

    played_s: float = 0.0
    beats: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    _began_s: float | None = None

    def take(self, played_s: float, now_s: float) -> None:
        """Note that this much had been played by then."""
        if played_s <= 0.0:
            return
        if self._began_s is None:
            self._began_s = now_s - played_s
        self.played_s = max(self.played_s, played_s)
        session_s = now_s - self._began_s
        behind_s = session_s - played_s
        if abs(behind_s - self.beats[-1][1]) >= _BEAT_S and len(self.beats) < _MAX_BEATS:
            self.beats.append((round(session_s, 3), round(behind_s, 3)))


async def _follow(child: Child, progress: Progress) -> None:
    rest = b""
    while block := await child.read(_READ_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            told = _TIME.match(line)
            if told is not None:
                progress.take(int(told.group(1)) / 1e6, time.monotonic())


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise MediaError(Reason.UNREADABLE, f"it cannot be read any more ({type(error).__name__})") from None


async def _can_copy(path: Path, track: int, limits: MediaLimits) -> bool:
    """Tell whether the pictures can go out as they are. What cannot be told is encoded anew, which always works."""
    found: dict[int, tuple[str, str]] = {}
    turned = False

    def take_line(line: str) -> None:
        nonlocal turned
        match = _TRACK.search(line)
        if match is not None:
            found.setdefault(int(match.group(1)), (match.group(2), match.group(3)))
        turned = turned or _TURNED.match(line) is not None

    look = ffmpeg.output(ffmpeg.input(**input_args(path, limits))[str(track)], "-", format="null", t=0, c="copy")
    child_limits = ChildLimits(limits.memory_bytes, _LOOK_WALL_S, 1 << 20, _LOOK_WALL_S)
    async with start_child(compile_args(look, loglevel="info"), child_limits, on_stderr_line=take_line) as child:
        while await child.read(_READ_BYTES):
            pass
        await child.wait()
    codec, rest = found.get(track, ("", ""))
    return codec == "h264" and not turned and _PLAIN_PICTURES.search(rest) is not None


def _argv(path: Path, track: int, target: str, spec: PlaySpec, limits: MediaLimits, *, copied: bool) -> list[str]:
    source = ffmpeg.input(re=None, **input_args(path, limits))
    sound: dict[str, Any] = {"c:a": "aac", "b:a": "64k", "ac": 1} if spec.sound else {"an": None}
    streams = [source[str(track)], source["a:0?"]] if spec.sound else [source[str(track)]]
    output = ffmpeg.output(
        *streams,
        target,
        format="flv",
        flvflags="no_duration_filesize",
        t=f"{spec.max_s:.3f}",
        **({"c:v": "copy"} if copied else _encoding(spec)),
        **sound,
    ).global_args("-progress", "pipe:1", "-nostats", "-stats_period", "0.5")
    return compile_args(output, loglevel="warning")


def _encoding(spec: PlaySpec) -> dict[str, Any]:
    longest = spec.longest_px
    size = (
        f"scale=w='if(gte(iw,ih),min(iw,{longest}),-2)':h='if(gte(iw,ih),-2,min(ih,{longest}))',"
        "crop=trunc(iw/2)*2:trunc(ih/2)*2"
    )
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "tune": "zerolatency",  # pictures leave when they are shown, so that the session's clock is the file's
        "crf": 23,
        "maxrate": f"{spec.max_kbps}k",
        "bufsize": f"{2 * spec.max_kbps}k",
        "pix_fmt": "yuv420p",
        "fps_mode": "vfr",
        "force_key_frames": f"expr:gte(t,n_forced*{_KEYFRAME_S})",
        "vf": size,
    }


def _what_broke(end: ChildEnd, target: str, played_s: float) -> str:
    key = target.rpartition("/")[2]
    said = end.untrusted_stderr.replace(target, "[target]")
    said = clean_text((said.replace(key, "[redacted]") if key else said)[-_MESSAGE_CHARS:])
    how = "took too long" if end.reason is Reason.DECODER_TIMEOUT else f"ended with status {end.returncode}"
    return f"pushing {how} after {played_s:.1f} s of the file were played" + (f": {said}" if said else "")
