"""Two decoder workers against one, on an hour of film; beside it, what two bare decoders make of the same machine."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Ratio, in_turn, spread, table

if TYPE_CHECKING:
    from benchmarks.options import Options

_HOUR_S = 3600
_INTERVAL_S = "10.7"
_KINDS = {"pictures": ("--no-sound",), "pictures and sound": ()}


def measure(options: Options) -> str:
    """Return wall time beyond start-up with one and with two workers."""
    files = media.hour(options, options.films[0] if options.films else "480p", _HOUR_S)
    corpus, nothing = files[0].parent, ways.nothing(options.scratch)
    bare_start, *bare = (
        [cost.wall_s for cost in costs]
        for costs in in_turn(
            options.runs,
            ways.bare_start,
            lambda: ways.side_by_side(files, _INTERVAL_S, 1),
            lambda: ways.side_by_side(files, _INTERVAL_S, 2),
        )
    )
    of_machine = Ratio.of(*([wall_s - least for wall_s, least in zip(one, bare_start, strict=True)] for one in bare))
    rows = []
    for what, more in _KINDS.items():
        words = ("--interval", _INTERVAL_S, *more)
        start, one, two = in_turn(
            options.runs,
            partial(ways.scan, nothing, *words),
            partial(ways.scan, corpus, *words, "--workers", "1"),
            partial(ways.scan, corpus, *words, "--workers", "2"),
        )
        walls = [[cost.wall_s - least.wall_s for cost, least in zip(costs, start, strict=True)] for costs in (one, two)]
        busy = [cost.cpu_s / cost.wall_s for cost in two]
        films = f"{len(files)} films of {options.length_s} s, {what}"
        rows.append([films, spread(walls[0]), spread(walls[1]), Ratio.of(*walls), of_machine, spread(busy)])
    head = (
        "what",
        "one worker, s",
        "two workers, s",
        "one / two",
        "one / two bare decoders, pictures",
        f"cores in use with two, of {os.cpu_count()}",
    )
    return table(head, rows)
