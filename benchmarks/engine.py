"""The embedded engine in a scan against its bare models in a loop over the same pictures and the same sound.

A scan with the embedded models, less the same scan with an endpoint that answers at once, is what judging cost in it.
The bare models are asked one picture, one chunk of sound after the other on one thread, preparation included.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.bare import pictures
from benchmarks.measure import Cost, Ratio, in_turn, run, spread, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.options import Options

_INTERVAL_S = "0.2"
_FILM_S = 20
"""The films repeat after that, and a picture that was judged once is not judged again."""
_SPEECH_S = 600
_PICTURES = ("--interval", _INTERVAL_S, "--no-sound")
_SOUND = ("--no-pictures",)


def measure(options: Options) -> str:
    """Return CPU per picture, and per second of speech."""
    kind = next(kind for kind in media.FILMS if kind.name == "480p")
    films = [media.film(options.media, kind, length_s) for length_s in (_FILM_S, 1)]
    count = sum(1 for _ in pictures(str(films[0]), interval_s=float(_INTERVAL_S)))
    speech = [media.sound(options.media, length_s) for length_s in (_SPEECH_S, 1)]
    rows = [
        _row(options.runs, f"{count} pictures", count - 1, films, ("local", *_PICTURES), (_INTERVAL_S,)),
        _row(options.runs, f"{_SPEECH_S} s of speech", _SPEECH_S - 1, speech, ("speech", *_SOUND), ("--speech",)),
    ]
    head = (
        "what",
        "scan, ms of CPU each",
        "scan without judging, ms",
        "judging in it, ms",
        "bare models, ms",
        "judging / bare",
        f"cores in use, of {os.cpu_count()}",
    )
    return table(head, rows)


def _row(  # noqa: PLR0917
    runs: int, what: str, count: int, files: Sequence[Path], embedded: Sequence[str], bare: Sequence[str]
) -> list[object]:
    """Measure the long file of two less the short one, in every way, with all cores at work."""
    endpoint, *words = embedded
    workers = ("--workers", str(os.cpu_count()))
    costs = in_turn(
        runs,
        *(lambda file=file: ways.scan(file, *words, *workers, "--endpoint", endpoint) for file in files),
        *(lambda file=file: ways.scan(file, *words, *workers) for file in files),
        *(lambda file=file: _models(file, bare) for file in files),
    )
    scan, null, models = (
        [(long.cpu_s - short.cpu_s) / count for long, short in zip(costs[at], costs[at + 1], strict=True)]
        for at in (0, 2, 4)
    )
    judging = [whole - without for whole, without in zip(scan, null, strict=True)]
    busy = [(one.cpu_s - least.cpu_s) / (one.wall_s - least.wall_s) for one, least in zip(*costs[:2], strict=True)]
    shown = (spread([1000 * each for each in way]) for way in (scan, null, judging, models))
    return [what, *shown, Ratio.of(judging, models), spread(busy)]


def _models(path: Path, words: Sequence[str]) -> Cost:
    """Ask the bare models, in a process of their own, of which taking the samples out is part: it is taken off."""
    asked = run([sys.executable, "-m", "benchmarks.bare_models", path, *words])
    unasked = run([sys.executable, "-m", "benchmarks.bare_models", path, *words, "--unasked"])
    return Cost(asked.cpu_s - unasked.cpu_s, asked.wall_s - unasked.wall_s, asked.peak_bytes)
