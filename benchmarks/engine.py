"""The embedded engine in a scan against its bare models in a loop over the same pictures.

A scan with the embedded picture models, less the same scan with an endpoint that answers at once, is what judging cost
in it. The bare models are ONNX sessions asked picture by picture on one thread, preparation of pictures included.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.bare import pictures
from benchmarks.measure import Cost, Ratio, in_turn, run, spread, table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options

_INTERVAL_S = 0.2
_LENGTH_S = 20
"""The films repeat after that, and a picture that was judged once is not judged again."""
_WORDS = ("--interval", str(_INTERVAL_S), "--no-sound")


def measure(options: Options) -> str:
    """Return CPU per picture."""
    kind = next(kind for kind in media.FILMS if kind.name == "480p")
    path, first = (media.film(options.media, kind, length_s) for length_s in (_LENGTH_S, 1))
    count = sum(1 for _ in pictures(str(path), interval_s=_INTERVAL_S)) - 1
    costs = in_turn(
        options.runs,
        *(lambda file=file, way=way: way(file) for way in (_embedded, _null, _models) for file in (path, first)),
    )
    cpu_s = [[cost.cpu_s for cost in of_one] for of_one in costs]
    scan, null, models = (
        [(many - one) / count for many, one in zip(cpu_s[at], cpu_s[at + 1], strict=True)] for at in (0, 2, 4)
    )
    judging = [whole - without for whole, without in zip(scan, null, strict=True)]
    shown = (spread([1000 * each for each in way]) for way in (scan, null, judging, models))
    head = (
        "pictures",
        "scan, ms",
        "scan without judging, ms",
        "judging in it, ms",
        "bare models, ms",
        "judging / bare",
    )
    return table(head, [[count + 1, *shown, Ratio.of(judging, models)]])


def _embedded(path: Path) -> Cost:
    return ways.scan(path, *_WORDS, "--endpoint", "local")


def _null(path: Path) -> Cost:
    return ways.scan(path, *_WORDS)


def _models(path: Path) -> Cost:
    """Ask the bare models, in a process of their own, of which taking the pictures out is part: it is taken off."""
    words = [str(path), str(_INTERVAL_S)]
    asked = run([sys.executable, "-m", "benchmarks.bare_models", *words])
    unasked = run([sys.executable, "-m", "benchmarks.bare_models", *words, "--unasked"])
    return Cost(asked.cpu_s - unasked.cpu_s, asked.wall_s - unasked.wall_s, asked.peak_bytes)
