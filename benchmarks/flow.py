"""A whole scan against the slowest of its stages alone: decoding on all cores, or the requests at their rate."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.bare import pictures
from benchmarks.measure import Ratio, in_turn, spread, table

if TYPE_CHECKING:
    from benchmarks.options import Options

_INTERVAL_S = "10.7"
_HOUR_S = 3600
_RATE_PER_MINUTE = 240.0
_LATENCY_S = "0.5"


def measure(options: Options) -> str:
    """Return wall times for an hour of film beyond start-up: decoder-bound without and with sound, and rate-bound."""
    cores, none = os.cpu_count() or 1, ways.nothing(options.scratch)
    name = options.films[0] if options.films else "480p"
    files = media.hour(options, name, _HOUR_S)
    hour = media.film(options.media, next(kind for kind in media.FILMS if kind.name == name), _HOUR_S)
    requests = len({one.jpeg for one in pictures(str(hour), interval_s=float(_INTERVAL_S))})  # no content twice
    words = ("--interval", _INTERVAL_S, "--workers", str(cores))
    paced = (*words, "--no-sound", "--batch", "1", "--rate", str(_RATE_PER_MINUTE), "--latency", _LATENCY_S)
    start, started, alone, scan, both_alone, both, at_rate = (
        [cost.wall_s for cost in costs]
        for costs in in_turn(
            options.runs,
            lambda: ways.scan(none, *words),
            ways.bare_start,
            lambda: ways.side_by_side(files, _INTERVAL_S, cores),
            lambda: ways.scan(files[0].parent, *words, "--no-sound"),
            lambda: ways.side_by_side(files, _INTERVAL_S, cores, sound=True),
            lambda: ways.scan(files[0].parent, *words),
            lambda: ways.scan(hour, *paced),
        )
    )
    least_s = [(requests - 1) / (_RATE_PER_MINUTE / 60) + float(_LATENCY_S)] * options.runs
    stages = {
        f"decoding {len(files)} films": (_beyond(alone, started), _beyond(scan, start)),
        "the same with sound": (_beyond(both_alone, started), _beyond(both, start)),
        f"{requests} requests at {_RATE_PER_MINUTE:.0f} a minute": (least_s, _beyond(at_rate, start)),
    }
    rows = [[what, spread(bare), spread(whole), Ratio.of(whole, bare)] for what, (bare, whole) in stages.items()]
    return table(("slowest stage", "alone, s", "scan, s", "scan / alone"), rows)


def _beyond(walls_s: list[float], least_s: list[float]) -> list[float]:
    return [wall_s - least for wall_s, least in zip(walls_s, least_s, strict=True)]
