"""What a scan with an endpoint that answers at once costs, against naive and bare ways, for every kind of film.

CPU is counted beyond start-up: from every program's CPU that of the same program on one second of the same film is
taken. Sound is made too (16 kHz mono FLAC), by all of them.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Cost, Ratio, in_turn, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.options import Options

_MODES = ("exact", "fast", "keyframe")
_HOUR_S = 3600.0
_DECODED_S = 60
"""What decodes everything does so on a shorter film: it costs the same per hour, whatever the length."""
_HEAD = (
    "film",
    "every, s",
    "mode",
    "naive, CPU s per hour",
    "one ffmpeg for pictures, one for sound",
    "bare",
    "scan",
    "scan / bare",
    "naive / scan",
)


def measure(options: Options) -> str:
    """Return one row per film, interval and mode."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if options.films and kind.name not in options.films:
            continue
        for interval_s in options.intervals:
            rows += _rows(kind, interval_s, options)
    return table(_HEAD, rows)


def _rows(kind: media.Film, interval_s: float, options: Options) -> list[list[object]]:
    films = {length_s: media.film(options.media, kind, length_s) for length_s in (1, _DECODED_S, options.length_s)}
    decoding = [
        lambda path: ways.naive(path, interval_s, options.scratch),
        *(_program(mode, interval_s, options.scratch) for mode in ("exact", "keyframe")),
    ]
    choosing = [way for mode in _MODES for way in _of_mode(mode, interval_s, options.scratch)]
    lengths_s = [_DECODED_S] * len(decoding) + [options.length_s] * len(choosing)
    works = list(zip([*decoding, *choosing], lengths_s, strict=True))
    costs = in_turn(options.runs, *(lambda way=way, at_s=at_s: way(films[at_s]) for way, at_s in works))
    starts = in_turn(options.runs, *(lambda way=way: way(films[1]) for way, _ in works))
    naive, program_exact, program_keys, *of_modes = (
        _per_hour(whole, start, length_s) for whole, start, length_s in zip(costs, starts, lengths_s, strict=True)
    )
    programs = {"exact": program_exact, "keyframe": program_keys}
    rows: list[list[object]] = []
    for mode, scan, bare in zip(_MODES, of_modes[::2], of_modes[1::2], strict=True):
        program = f"{median(programs[mode]):.1f}" if mode in programs else ""
        shown = (f"{median(each):.1f}" for each in (bare, scan))
        ratios = (Ratio.of(scan, bare), Ratio.of(naive, scan))
        rows.append([kind.name, interval_s, mode, f"{median(naive):.1f}", program, *shown, *ratios])
    return rows


def _of_mode(mode: str, interval_s: float, scratch: Path) -> list[Callable[[Path], Cost]]:
    """Return a scan and the bare way."""
    words = ("--interval", str(interval_s), "--mode", mode)
    return [
        lambda path: ways.scan(path, *words),
        lambda path: ways.bare(path, interval_s, mode) + ways.flac(path, scratch),
    ]


def _program(mode: str, interval_s: float, scratch: Path) -> Callable[[Path], Cost]:
    return lambda path: ways.program(path, interval_s, mode, scratch) + ways.flac(path, scratch)


def _per_hour(costs: Sequence[Cost], starts: Sequence[Cost], length_s: int) -> list[float]:
    """Return CPU beyond start-up, seconds per hour of film, run by run."""
    start_s = median([start.cpu_s for start in starts])
    return [max(cost.cpu_s - start_s, 0.001) / (length_s - 1) * _HOUR_S for cost in costs]
