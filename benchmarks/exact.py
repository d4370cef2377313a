"""Exact mode against one full decode, at intervals at which nearly everything has to be decoded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Ratio, in_turn, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.measure import Cost
    from benchmarks.options import Options

_ASKED = ((0.04, 640), (0.04, 16), (0.5, 640), (1.0, 640))
"""Seconds and pixels: every picture, every one so small that scaling and JPEG weigh little, and few of each group."""
_LENGTH_S = 60
_HEAD = ("film", "every, s", "longest side, pixels", "exact / full decode", "exact / full decode with the same JPEGs")


def measure(options: Options) -> str:
    """Return one row per film and interval; 1 is a full decode, without keeping a picture and with the same JPEGs."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if options.films and kind.name not in options.films:
            continue
        path = media.film(options.media, kind, _LENGTH_S)
        full, *pairs = in_turn(
            options.runs, partial(ways.full, path), *(way for asked in _ASKED for way in _both(path, *asked))
        )
        for asked, exact, kept in zip(_ASKED, pairs[::2], pairs[1::2], strict=True):
            ours_s, full_s, kept_s = ([cost.cpu_s for cost in costs] for costs in (exact, full, kept))
            rows.append([kind.name, *asked, Ratio.of(ours_s, full_s), Ratio.of(ours_s, kept_s)])
    return table(_HEAD, rows)


def _both(path: Path, every_s: float, longest_px: int) -> tuple[Callable[[], Cost], Callable[[], Cost]]:
    exact = partial(ways.bare, path, every_s, "exact", "--longest", str(longest_px))
    return exact, partial(ways.kept, path, every_s, longest_px)
