"""A whole scan against the slowest of its stages alone: decoding on all cores, or the requests at their rate."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.bare import pictures
from benchmarks.measure import Cost, Ratio, in_turn, run, spread, table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options

_INTERVAL_S = "10.7"
_HOUR_S = 3600
_RATE_PER_MINUTE = 240.0
_LATENCY_S = "0.5"


def measure(options: Options) -> str:
    """Return wall times for an hour of film, pictures only, beyond start-up: once decoder-bound, once rate-bound."""
    kind = next(kind for kind in media.FILMS if kind.name == "480p")
    corpus, none = options.scratch / "corpus", options.scratch / "none"
    corpus.mkdir()
    none.mkdir()
    film = media.film(options.media, kind, options.length_s)
    files = [corpus / f"{number}.{kind.suffix}" for number in range(_HOUR_S // options.length_s)]
    for path in files:
        media.copy(film, path, path.name)
    hour = media.film(options.media, kind, _HOUR_S)
    requests = len({one.jpeg for one in pictures(str(hour), interval_s=float(_INTERVAL_S))})  # no content twice
    words = ("--interval", _INTERVAL_S, "--no-sound", "--workers", str(os.cpu_count()))
    paced = (*words, "--batch", "1", "--rate", str(_RATE_PER_MINUTE), "--latency", _LATENCY_S)
    start, started, alone, scan, at_rate = (
        [cost.wall_s for cost in costs]
        for costs in in_turn(
            options.runs,
            lambda: ways.scan(none, *words),
            lambda: run([sys.executable, "-c", "import benchmarks.bare"]),
            lambda: _decode(files),
            lambda: ways.scan(corpus, *words),
            lambda: ways.scan(hour, *paced),
        )
    )
    decoding_s, scanning_s, pacing_s = _beyond(alone, started), _beyond(scan, start), _beyond(at_rate, start)
    least_s = [(requests - 1) / (_RATE_PER_MINUTE / 60) + float(_LATENCY_S)] * options.runs
    stages = {
        f"decoding {len(files)} films": (decoding_s, scanning_s),
        f"{requests} requests at {_RATE_PER_MINUTE:.0f} a minute": (least_s, pacing_s),
    }
    rows = [[name, spread(bare), spread(whole), Ratio.of(whole, bare)] for name, (bare, whole) in stages.items()]
    return table(("slowest stage", "alone, s", "scan, s", "scan / alone"), rows)


def _beyond(walls_s: list[float], least_s: list[float]) -> list[float]:
    return [wall_s - least for wall_s, least in zip(walls_s, least_s, strict=True)]


def _decode(files: list[Path]) -> Cost:
    """Decode the files with nothing around it, one process a core, the files dealt out evenly."""
    began_s = time.perf_counter()
    cores = os.cpu_count() or 1
    argv = [sys.executable, "-m", "benchmarks.bare", "--interval", _INTERVAL_S]
    children = [subprocess.Popen([*argv, *files[core::cores]], stdout=subprocess.DEVNULL) for core in range(cores)]
    for child in children:
        child.wait()
    return Cost(0.0, time.perf_counter() - began_s, 0)
