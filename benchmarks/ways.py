"""The ways of doing the same work that a scan is compared with, as argument lists of programs.

*Naive* is what a first script does: three processes a file, one that looks what it is, one that decodes all of it to
JPEGs at the interval, one that makes FLAC of its sound. *Bare* is the cheapest known without anything around it: the
media room's own decoding in one process that throws its pictures away, and one ffmpeg for the sound.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from batch_scan.media.program import ffmpeg_exe
from benchmarks.measure import Cost, run
from benchmarks.null import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_QUIET = ("-nostdin", "-v", "error", "-y")
_JPEG = ("-strict", "unofficial", "-q:v", "3")  # JPEG of the range that videos have


def scan(source: Path, *words: str) -> Cost:
    """Scan a file or a directory of them with an endpoint that answers at once; see `null`."""
    return run([sys.executable, "-m", "benchmarks.null", source, *words])


def nothing(scratch: Path) -> Path:
    """Make a source of which `scan` opens nothing: its one file is left out."""
    source = scratch / "nothing"
    source.mkdir()
    (source / LEFT_OUT).touch()
    return source


def naive(path: Path, interval_s: float, scratch: Path, *, sound: bool = True, pictures: bool = True) -> Cost:
    """Look at, decode and encode a file in three processes."""
    total = run([ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", path], allowed=(1,))  # it says what it is, and leaves
    if pictures:
        total += run([*_input(path), "-an", "-vf", f"fps=1/{interval_s}", *_JPEG, scratch / "%06d.jpg"])
    if sound:
        total += flac(path, scratch)
    return total


def flac(path: Path, scratch: Path) -> Cost:
    """Make 16 kHz mono FLAC of a file's sound: the best bare command for it."""
    return run([*_input(path), "-vn", "-ac", "1", "-ar", "16000", scratch / "sound.flac"])


def copied(path: Path, scratch: Path) -> Cost:
    """Take a file's sound out as it lies in it: the best bare command for it."""
    name = "sound.mp3" if path.suffix == ".mp3" else "sound.aac"
    return run([*_input(path), "-vn", "-c:a", "copy", scratch / name])


def bare(path: Path, interval_s: float, mode: str, *words: str) -> Cost:
    """Take the pictures out in one process that does nothing else; see `bare`."""
    return run([sys.executable, "-m", "benchmarks.bare", path, "--interval", str(interval_s), "--mode", mode, *words])


def program(path: Path, interval_s: float, mode: str, scratch: Path) -> Cost:
    """Take the pictures out with one ffmpeg: the best command that gives the wanted ones at the wanted size.

    In exact mode that decodes everything: the program has no option that spares what no wanted picture needs. In
    keyframe mode it decodes every keyframe.
    """
    before = ("-skip_frame", "nokey") if mode == "keyframe" else ()
    size = "scale=w='min(640,iw)':h=-2:flags=area"
    chosen = f"fps=1/{interval_s}:round=up,{size}"
    words = [*_input(path, *before), "-an", "-vf", chosen, *_JPEG, scratch / "%06d.jpg"]
    return run(words)


def full(path: Path) -> Cost:
    """Decode every picture of a file and drop it."""
    return run([sys.executable, "-m", "benchmarks.bare", path, "--all"])


def kept(path: Path, interval_s: float, longest_px: int) -> Cost:
    """Decode every picture of a file, and make JPEGs of the wanted ones."""
    words = ["--keep", "--interval", str(interval_s), "--longest", str(longest_px)]
    return run([sys.executable, "-m", "benchmarks.bare", path, *words])


def read(path: Path) -> Cost:
    """Read the packets of a file's pictures, and decode nothing."""
    return run([sys.executable, "-m", "benchmarks.bare", path, "--read"])


def bare_start() -> Cost:
    """Start the process that decodes with nothing around it, and do nothing."""
    return run([sys.executable, "-c", "import benchmarks.bare"])


def side_by_side(files: Sequence[Path], interval_s: str, processes: int, *, sound: bool = False) -> Cost:
    """Decode files with nothing around it in so many processes, the files dealt out evenly: what a machine can do.

    Sound comes after the pictures, by the best bare command for it, thrown away. Only the wall time is told.
    """
    began_s = time.perf_counter()
    dealt = [list(files[at::processes]) for at in range(processes)]
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(lambda own: _decode(own, interval_s, sound=sound), dealt))
    return Cost(0.0, time.perf_counter() - began_s, 0)


def _decode(files: Sequence[Path], interval_s: str, *, sound: bool) -> None:
    run([sys.executable, "-m", "benchmarks.bare", "--interval", interval_s, *files])
    for path in files if sound else ():
        run([*_input(path), "-vn", "-ac", "1", "-ar", "16000", "-f", "flac", os.devnull])


def _input(path: Path, *before: str) -> Sequence[str | Path]:
    return [ffmpeg_exe(), *_QUIET, "-threads", "1", *before, "-i", path]
