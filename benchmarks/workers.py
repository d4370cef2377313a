"""Two decoder workers against one, on files enough for both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Ratio, in_turn, spread, table

if TYPE_CHECKING:
    from benchmarks.options import Options

_FILES = 6


def measure(options: Options) -> str:
    """Return wall time with one and with two workers."""
    path = media.film(options.media, next(kind for kind in media.FILMS if kind.name == "web"), options.length_s)
    manifest = options.scratch / "films"
    manifest.mkdir()
    for number in range(_FILES):  # contents that differ, as the same content is looked at once
        copied = manifest / f"{number}{path.suffix}"
        media.copy(path, copied, f"film {number}")
    empty = options.scratch / "none"
    empty.mkdir()
    words = ("--interval", "10.7", "--no-sound")
    start, one, two = in_turn(
        options.runs,
        lambda: ways.scan(empty, *words),
        lambda: ways.scan(manifest, *words, "--workers", "1"),
        lambda: ways.scan(manifest, *words, "--workers", "2"),
    )
    started_s = [cost.wall_s for cost in start]
    walls = [[cost.wall_s - begun for cost, begun in zip(costs, started_s, strict=True)] for costs in (one, two)]
    busy = [cost.cpu_s / cost.wall_s for cost in two]
    rows = [
        [f"{_FILES} films of {options.length_s} s", spread(walls[0]), spread(walls[1]), Ratio.of(*walls), spread(busy)]
    ]
    head = ("what", "one worker, s", "two workers, s", "one / two", f"cores in use with two, of {os.cpu_count()}")
    return table(head, rows)
