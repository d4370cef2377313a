"""Exact mode against one full decode, at intervals at which nearly everything has to be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Ratio, in_turn, table

if TYPE_CHECKING:
    from benchmarks.options import Options

_ASKED = ((0.04, 640), (0.04, 16), (0.5, 640), (1.0, 640))
"""Seconds and pixels: every picture, every one so small that scaling and JPEG weigh little, and few of each group."""
_LENGTH_S = 60


def measure(options: Options) -> str:
    """Return one row per film and interval; 1 is a full decode of every picture, none of them kept."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if options.films and kind.name not in options.films:
            continue
        path = media.film(options.media, kind, _LENGTH_S)
        full, *chosen = in_turn(
            options.runs,
            lambda path=path: ways.full(path),  # type: ignore[misc]
            *(
                lambda path=path, every_s=every_s, px=px: ways.bare(path, every_s, "exact", "--longest", str(px))
                for every_s, px in _ASKED
            ),
        )
        for asked, costs in zip(_ASKED, chosen, strict=True):
            rows.append([kind.name, *asked, Ratio.of([cost.cpu_s for cost in costs], [cost.cpu_s for cost in full])])
    return table(("film", "every, s", "longest side, pixels", "exact / full decode"), rows)
