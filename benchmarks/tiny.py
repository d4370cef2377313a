"""Many clips of a few seconds: what is left where start-up of a decoder must not dominate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Cost, Ratio, in_turn, spread, table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options

_CLIPS = 500
_NAIVE = 25
"""The naive way is measured on so many of them; each pays its own start, so they add up."""
_INTERVAL_S = 5.0


def measure(options: Options) -> str:
    """Return CPU per clip, beyond the start of the command, for the ways to go through the clips."""
    many = media.tiny(options.media, _CLIPS)
    some = sorted(many.iterdir())[:: _CLIPS // _NAIVE]
    none = options.scratch / "none"
    none.mkdir()
    long = media.film(options.media, next(kind for kind in media.FILMS if kind.name == "480p"), _CLIPS * 13 // 2)

    def naive() -> Cost:
        total = Cost(0.0, 0.0, 0)
        for path in some:
            total += ways.naive(path, _INTERVAL_S, options.scratch)
        return total

    def scan(source: Path, *words: str) -> Cost:
        return ways.scan(source, "--interval", str(_INTERVAL_S), *words)

    start, first, *scans, one_file = in_turn(
        options.runs,
        lambda: scan(none),
        naive,
        lambda: scan(many),
        lambda: scan(many, "--mode", "keyframe"),
        lambda: scan(many, "--no-sound"),
        lambda: scan(long),
    )
    naive_s = [cost.cpu_s / len(some) for cost in first]
    rows: list[list[object]] = [["naive, three processes a clip", spread([1000 * each for each in naive_s]), ""]]
    for name, costs, clips in (
        ("scan, exact, with sound", scans[0], _CLIPS),
        ("scan, keyframes, with sound", scans[1], _CLIPS),
        ("scan, exact, pictures only", scans[2], _CLIPS),
        ("scan of one file as long as all clips, exact, with sound", one_file, _CLIPS),
    ):
        each_s = [(cost.cpu_s - begun.cpu_s) / clips for cost, begun in zip(costs, start, strict=True)]
        rows.append([name, spread([1000 * one for one in each_s]), Ratio.of(naive_s, each_s)])
    return table(("what", "CPU per clip, ms", "naive / it"), rows)
