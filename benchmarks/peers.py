"""Other libraries on the same work: exact pictures of one film, and sound. Each in a process of its own.

Each does the work on one second first, and is measured from there on, so that imports do not count.
`pip install '.[bench]'` has what installs everywhere. Two do not come with it, and are measured where they are there:
torchcodec needs a build of torch (4 GB with CUDA, 0.2 GB without) that fits it, and FFmpeg's shared libraries;
video2dataset pins torch 2.1.2 and two dozen packages more; its subsampler needs none of them, so it comes without.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Cost, Ratio, in_turn, spread, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.options import Options

_FILMS = ("web", "480p")
_INTERVAL_S = 10.7
_SAID_CHARS = 2000
_OURS = "batch-scan"
_EXTRA = "pip install '.[bench]'"
_LIBRARIES = {
    "opencv-seek": ("cv2", _EXTRA),
    "opencv-grab": ("cv2", _EXTRA),
    "decord": ("decord", _EXTRA),
    "torchcodec": ("torchcodec", "pip install torch torchcodec, and FFmpeg's shared libraries"),
    "scenedetect": ("scenedetect", _EXTRA),
    "video2dataset-fps": ("video2dataset", "pip install --no-deps video2dataset"),
    "video2dataset-times": ("video2dataset", "pip install --no-deps video2dataset"),
}


def measure(options: Options) -> str:
    """Return pictures per film, then sound, then what was not measured and why."""
    kinds = [kind for kind in media.FILMS if kind.name in (options.films or _FILMS)]
    first = media.film(options.media, next(kind for kind in media.FILMS if kind.name == "480p"), 1)
    reasons = {name: _reason(name, first) for name in _LIBRARIES}
    there = [name for name, reason in reasons.items() if not reason]
    told = [f"Not measured: {name}: {reason}.\n" for name, reason in reasons.items() if reason]
    return "\n".join([_pictures(kinds, there, options), _sound(options), *told])


def _reason(name: str, first: Path) -> str:
    """Return why a peer cannot be measured, or nothing: being installed is not enough for those that load libraries."""
    package, command = _LIBRARIES[name]
    if not find_spec(package):
        return f"{package} is not installed: {command}"
    try:
        _peer(name, first, first)
    except SystemExit as ended:
        return f"{package} does not run here: {str(ended).strip().splitlines()[-1].strip()}"
    return ""


def _pictures(kinds: list[media.Film], there: list[str], options: Options) -> str:
    rows: list[list[object]] = []
    for kind in kinds:
        whole, first = (media.film(options.media, kind, length_s) for length_s in (options.length_s, 1))
        names = [_OURS, *there]
        costs = in_turn(options.runs, *(partial(_peer, name, whole, first) for name in names))
        rows += [[kind.name, *row] for row in _rows(names, costs)]
    head = ("film", "taken by", "CPU, s", "memory, MB", "ours / it")
    return f"A picture every {_INTERVAL_S} s, from {options.length_s} s of film:\n\n{table(head, rows)}"


def _sound(options: Options) -> str:
    whole, first = (media.sound(options.media, length_s) for length_s in (options.length_s, 1))
    names = ("batch-scan: FLAC cut at silence, a whole scan", "pydub: load", "pydub: load, find silence, FLAC")
    costs = in_turn(
        options.runs,
        partial(_scan, whole, first),
        partial(_peer, "pydub-load", whole, first),
        partial(_peer, "pydub-silence", whole, first),
    )
    return table((f"{options.length_s} s of speech by", "CPU, s", "memory, MB", "ours / it"), _rows(names, costs))


def _rows(names: Sequence[str], costs: Sequence[Sequence[Cost]]) -> list[list[object]]:
    """Return a row for each way, the first of which is ours."""
    cpu_s = [[cost.cpu_s for cost in of_one] for of_one in costs]
    ratios = ["", *(Ratio.of(cpu_s[0], each) for each in cpu_s[1:])]
    peaks = [max(cost.peak_bytes for cost in of_one) for of_one in costs]
    return [
        [name, spread(each), f"{peak / 1e6:.0f}", ratio]
        for name, each, peak, ratio in zip(names, cpu_s, peaks, ratios, strict=True)
    ]


def _scan(whole: Path, first: Path) -> Cost:
    """Scan a recording; what the command takes for one second of it is taken off."""
    cost, start = ways.scan(whole, "--no-pictures"), ways.scan(first, "--no-pictures")
    return Cost(max(cost.cpu_s - start.cpu_s, 0.001), cost.wall_s, cost.peak_bytes)


def _peer(name: str, whole: Path, first: Path) -> Cost:
    """Have a peer do its work in a process of its own. Raises SystemExit with its last words where it fails."""
    argv = [sys.executable, "-m", "benchmarks.peer", name, str(whole), str(first), str(_INTERVAL_S)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{name} on {whole} ended with {ended.returncode}:\n{ended.stderr[-_SAID_CHARS:]}")
    cpu_s, peak_bytes = ended.stdout.split()[-2:]
    return Cost(max(float(cpu_s), 0.001), 0.0, int(peak_bytes))
