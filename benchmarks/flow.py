"""A whole scan against the slowest of its stages alone: decoding on all cores, or the requests at their rate."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Cost, Ratio, in_turn, run, spread, table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options

_INTERVAL_S = "10.7"
_HOUR_S = 3600
_FRAMES_PER_MINUTE = 600.0
_LATENCY_S = "0.5"


def measure(options: Options) -> str:
    """Return wall times for an hour of film, beyond start-up: pictures only, once decoder-bound, once rate-bound."""
    kind = next(kind for kind in media.FILMS if kind.name == "480p")
    corpus = options.scratch / "corpus"
    corpus.mkdir()
    for number in range(_HOUR_S // options.length_s):
        media.copy(
            media.film(options.media, kind, options.length_s), corpus / f"{number}.{kind.suffix}", f"film {number}"
        )
    files = sorted(corpus.iterdir())
    none = options.scratch / "none"
    none.mkdir()
    words = ("--interval", _INTERVAL_S, "--no-sound", "--workers", str(os.cpu_count()))
    paced = (*words, "--mode", "keyframe", "--batch", "1", "--rate", str(_FRAMES_PER_MINUTE), "--latency", _LATENCY_S)
    start, started, alone, scan, at_rate = in_turn(
        options.runs,
        lambda: ways.scan(none, *words),
        lambda: run([sys.executable, "-c", "import benchmarks.bare"]),
        lambda: _decode(files),
        lambda: ways.scan(corpus, *words),
        lambda: ways.scan(corpus, *paced),
    )
    start_s, import_s = ([cost.wall_s for cost in costs] for costs in (start, started))
    decoding_s = [cost.wall_s - least for cost, least in zip(alone, import_s, strict=True)]
    scanning_s = [cost.wall_s - least for cost, least in zip(scan, start_s, strict=True)]
    pacing_s = [cost.wall_s - least for cost, least in zip(at_rate, start_s, strict=True)]
    frames = len(files) * (int(options.length_s / float(_INTERVAL_S)) + 1)
    least_s = [(frames - 1) / (_FRAMES_PER_MINUTE / 60) + float(_LATENCY_S)] * options.runs
    rows = [
        ["decoding", spread(decoding_s), spread(scanning_s), Ratio.of(scanning_s, decoding_s)],
        [f"{frames} requests at {_FRAMES_PER_MINUTE:.0f} a minute", spread(least_s), spread(pacing_s),
         Ratio.of(pacing_s, least_s)],
    ]  # fmt: skip
    return table(("slowest stage", "alone, s", "scan, s", "scan / alone"), rows)


def _decode(files: list[Path]) -> Cost:
    """Decode the files with nothing around it, one process a core, each taking the next file that is left."""
    began_s = time.perf_counter()
    cores = os.cpu_count() or 1
    argv = [sys.executable, "-m", "benchmarks.bare", "--interval", _INTERVAL_S]
    children = [subprocess.Popen([*argv, *files[core::cores]], stdout=subprocess.DEVNULL) for core in range(cores)]
    for child in children:
        child.wait()
    return Cost(0.0, time.perf_counter() - began_s, 0)
