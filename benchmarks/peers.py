"""Other libraries on the same work: exact pictures of one film, and sound. Each in a process of its own.

What a process takes to import its library and to do the work on the film's first second is taken off, for all alike.
Libraries that are not installed are skipped: `pip install opencv-python-headless scenedetect decord pydub` has those
that need nothing else; torchcodec needs torch, video2dataset a tree of its own.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Cost, Ratio, in_turn, run, spread, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.options import Options

_FILMS = ("web", "480p")
_INTERVAL_S = 10.7
_LIBRARIES = {
    "opencv-seek": "cv2",
    "opencv-grab": "cv2",
    "decord": "decord",
    "torchcodec": "torchcodec",
    "scenedetect": "scenedetect",
}


def measure(options: Options) -> str:
    """Return pictures per film, then sound."""
    there = [name for name, package in _LIBRARIES.items() if find_spec(package)]
    missing = sorted({package for package in _LIBRARIES.values() if not find_spec(package)})
    told = f"\nNot installed, so not measured: {', '.join(missing)}.\n" if missing else ""
    return _pictures(there, options) + told + "\n" + _sound(options)


def _pictures(there: list[str], options: Options) -> str:
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if kind.name not in (options.films or _FILMS):
            continue
        whole, first = (media.film(options.media, kind, length_s) for length_s in (options.length_s, 1))
        ours, *others = _costs([_bare, *map(_peer, there)], whole, first, options.runs)
        rows.append([kind.name, "batch-scan, exact", spread(ours[0]), f"{ours[1] / 1e6:.0f}", ""])
        for name, (cpu_s, peak) in zip(there, others, strict=True):
            rows.append([kind.name, name, spread(cpu_s), f"{peak / 1e6:.0f}", Ratio.of(ours[0], cpu_s)])
    return table(("film", f"a picture every {_INTERVAL_S} s by", "CPU, s", "memory, MB", "ours / it"), rows)


def _sound(options: Options) -> str:
    if not find_spec("pydub") or not which("ffprobe"):
        return "Not installed, so not measured: pydub, and ffprobe, without which it opens no such file.\n"
    whole, first = (media.sound(options.media, length_s) for length_s in (options.length_s, 1))
    costs = _costs([_scanned, _peer("pydub-load"), _peer("pydub-silence")], whole, first, options.runs)
    names = ("batch-scan: FLAC cut at silence, a whole scan", "pydub: load", "pydub: load, find silence, FLAC")
    rows = [
        [name, spread(cpu_s), f"{peak / 1e6:.0f}", Ratio.of(costs[0][0], cpu_s)]
        for name, (cpu_s, peak) in zip(names, costs, strict=True)
    ]
    return table((f"{options.length_s} s of speech by", "CPU, s", "memory, MB", "ours / it"), rows)


def _costs(
    ways_of_it: list[Callable[[Path], Cost]], whole: Path, first: Path, runs: int
) -> list[tuple[list[float], int]]:
    """Return CPU beyond the film's first second, run by run, and peak memory, for each way."""
    full = in_turn(runs, *(lambda way=way: way(whole) for way in ways_of_it))
    start = in_turn(runs, *(lambda way=way: way(first) for way in ways_of_it))
    beyond = [
        [max(one.cpu_s - least.cpu_s, 0.001) for one, least in zip(costs, least_costs, strict=True)]
        for costs, least_costs in zip(full, start, strict=True)
    ]
    return [(cpu_s, max(cost.peak_bytes for cost in costs)) for cpu_s, costs in zip(beyond, full, strict=True)]


def _bare(path: Path) -> Cost:
    return ways.bare(path, _INTERVAL_S, "exact")


def _scanned(path: Path) -> Cost:
    return ways.scan(path, "--no-pictures")


def _peer(name: str) -> Callable[[Path], Cost]:
    return lambda path: run([sys.executable, "-m", "benchmarks.peer", name, path, str(_INTERVAL_S)])
