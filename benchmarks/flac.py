"""Sound to FLAC in this process against an ffmpeg program fed through a pipe: its cost, and whether bytes are equal."""

from __future__ import annotations

import resource
import subprocess
from typing import TYPE_CHECKING

from batch_scan.media.flac import FlacFile
from batch_scan.media.program import ffmpeg_exe
from benchmarks import media
from benchmarks.measure import Ratio, spread, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.options import Options

_RATE_HZ = 16_000
_RAW = ("-f", "s16le", "-ar", str(_RATE_HZ), "-ac", "1")
_EXACT = ("-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1")
_PART_BYTES = 1 << 17
_HEAD = ("sound, s", "in our process, ms", "ffmpeg program, ms", "program / ours", "bytes")


def measure(options: Options) -> str:
    """Return CPU for a clip and for a long recording."""
    path = media.sound(options.media, options.length_s)
    pcm = subprocess.run([ffmpeg_exe(), "-v", "error", "-i", path, *_RAW, "-"], capture_output=True, check=True).stdout
    rows: list[list[object]] = []
    for length_s in (6, options.length_s):
        part = pcm[: 2 * _RATE_HZ * length_s]
        made = options.scratch / f"{length_s}.flac"
        argv = [ffmpeg_exe(), "-v", "error", "-y", *_RAW, "-i", "pipe:0", *_EXACT, str(made)]
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(options.runs):
            ours.append(_cpu_ms(lambda part=part: _encoded(part)))  # type: ignore[misc]
            theirs.append(_cpu_ms(lambda argv=argv, part=part: subprocess.run(argv, input=part, check=True)))  # type: ignore[misc]
        same = "the same" if _encoded(part) == made.read_bytes() else "different"
        rows.append([length_s, spread(ours), spread(theirs), Ratio.of(theirs, ours), same])
    return table(_HEAD, rows)


def _encoded(pcm: bytes) -> bytes:
    file = FlacFile(_RATE_HZ)
    for at in range(0, len(pcm), _PART_BYTES):
        file.write(pcm[at : at + _PART_BYTES])
    return file.finish()


def _cpu_ms(work: Callable[[], object]) -> float:
    before = _used_s()
    work()
    return 1000 * (_used_s() - before)


def _used_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
