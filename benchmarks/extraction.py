"""What a scan with an endpoint that answers at once costs, against naive and bare ways, for every kind of file.

CPU is counted beyond start-up: from every program's CPU that of the same program on one second of the same kind is
taken. Sound is made too (16 kHz mono FLAC), by all of them; that of recordings in a further row as it lies in the file
(`[extract] copy_sound`), against one ffmpeg that copies it. The best bare way is the cheaper of one ffmpeg for pictures
and one for sound, and this package's own decoding in a bare process with that ffmpeg for sound.

The two-hour film is the 480p one, and as much longer than `--length` as two hours are than five minutes; recordings
without pictures are in proportion as long as an hour.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from batch_scan.digest import digest_file
from benchmarks import media, ways
from benchmarks.measure import Cost, Ratio, in_turn, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.options import Options

    Way = Callable[[Path], Cost]

TWO_HOURS = "two-hours"
_TIMES_TWO_HOURS = 24
_TIMES_HOUR = 12
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
    "scan / best bare",
    "naive / scan",
)


def measure(options: Options) -> str:
    """Return one row per film, interval and mode, and one per recording."""
    films = {kind.name: (kind.name, kind, options.length_s) for kind in media.FILMS}
    long_s = _TIMES_TWO_HOURS * options.length_s
    films[TWO_HOURS] = (f"480p, {long_s} s", films["480p"][1], long_s)
    chosen = options.films or (*films, *(kind.name for kind in media.SOUNDS))
    rows: list[list[object]] = []
    for name, film in films.items():
        for interval_s in options.intervals if name in chosen else ():
            rows += _of_film(*film, interval_s, options)
    for kind in media.SOUNDS:
        rows += _of_recording(kind, options) if kind.name in chosen else []
    return table(_HEAD, rows)


def _of_film(name: str, kind: media.Film, length_s: int, interval_s: float, options: Options) -> list[list[object]]:
    decoded_s = min(_DECODED_S, length_s)
    films = {each_s: media.film(options.media, kind, each_s) for each_s in (1, decoded_s, length_s)}
    decoding: list[Way] = [
        lambda path: ways.naive(path, interval_s, options.scratch),
        *(_program(mode, interval_s, options.scratch) for mode in ("exact", "keyframe")),
    ]
    choosing = [way for mode in _MODES for way in _of_mode(mode, interval_s, options.scratch)]
    works = [*((way, decoded_s) for way in decoding), *((way, length_s) for way in choosing)]
    naive, program_exact, program_keys, *of_modes = _per_hour(works, films, options.runs)
    programs = {"exact": program_exact, "keyframe": program_keys}
    rows: list[list[object]] = []
    for mode, scan, bare in zip(_MODES, of_modes[::2], of_modes[1::2], strict=True):
        figures = _figures(naive, programs.get(mode), bare, scan)
        rows.append([name, interval_s, mode, *figures])
    return rows


def _of_recording(kind: media.Sound, options: Options) -> list[list[object]]:
    length_s = _TIMES_HOUR * options.length_s
    files = {each_s: media.recording(options.media, kind, each_s) for each_s in (1, length_s)}
    compared: list[Way] = [
        lambda path: ways.naive(path, 1.0, options.scratch, pictures=False),
        lambda path: ways.flac(path, options.scratch),
        lambda path: ways.scan(path, "--no-pictures"),
        lambda path: ways.copied(path, options.scratch),
        lambda path: ways.scan(path, "--no-pictures", "--copy-sound"),
    ]
    naive, bare, scan, bare_copy, scan_copy = _per_hour([(way, length_s) for way in compared], files, options.runs)
    name = f"{kind.name}, {length_s} s"
    return [
        [name, "", "sound", *_figures(naive, None, bare, scan)],
        [name, "", "copied", *_figures(naive, None, bare_copy, scan_copy)],
    ]


def _figures(
    naive: Sequence[float], program: Sequence[float] | None, bare: Sequence[float], scan: Sequence[float]
) -> list[object]:
    """Return the cells after a row's name: medians, and the ratios of a scan to the best bare way and to naive."""
    best = min(program or bare, bare, key=median)
    shown = [f"{median(each):.1f}" if each else "" for each in (naive, program, bare, scan)]
    return [*shown, Ratio.of(scan, best), Ratio.of(naive, scan)]


def _of_mode(mode: str, interval_s: float, scratch: Path) -> list[Way]:
    """Return a scan and the bare way."""
    words = ("--interval", str(interval_s), "--mode", mode)
    return [
        lambda path: ways.scan(path, *words),
        lambda path: ways.bare(path, interval_s, mode) + ways.flac(path, scratch),
    ]


def _program(mode: str, interval_s: float, scratch: Path) -> Way:
    return lambda path: ways.program(path, interval_s, mode, scratch) + ways.flac(path, scratch)


def _per_hour(works: Sequence[tuple[Way, int]], files: dict[int, Path], runs: int) -> list[list[float]]:
    """Return, for ways and the lengths they work on, CPU beyond start-up in seconds per hour of media, run by run."""
    for path in files.values():  # else the first way pays for bringing it from the disk
        digest_file(path)
    costs = in_turn(runs, *(lambda way=way, at_s=at_s: way(files[at_s]) for way, at_s in works))
    starts = in_turn(runs, *(lambda way=way: way(files[1]) for way, _ in works))
    started_s = [median([start.cpu_s for start in each]) for each in starts]
    return [
        [max(cost.cpu_s - start_s, 0.001) / (length_s - 1) * _HOUR_S for cost in of_one]
        for of_one, start_s, (_, length_s) in zip(costs, started_s, works, strict=True)
    ]
