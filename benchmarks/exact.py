"""Exact mode against one full decode, at intervals at which nearly everything has to be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Ratio, in_turn, table

if TYPE_CHECKING:
    from benchmarks.options import Options

_INTERVALS_S = (0.04, 0.5, 1.0)
"""Every picture, and what is far below the distance of keyframes."""
_LENGTH_S = 60


def measure(options: Options) -> str:
    """Return one row per film; 1 is a full decode of every picture, none of them kept."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if options.films and kind.name not in options.films:
            continue
        path = media.film(options.media, kind, _LENGTH_S)
        full, small, *exact = in_turn(
            options.runs,
            lambda path=path: ways.full(path),  # type: ignore[misc]
            lambda path=path: ways.bare(path, _INTERVALS_S[0], "exact", "--longest", "16"),  # type: ignore[misc]
            *(lambda path=path, every_s=every_s: ways.bare(path, every_s, "exact") for every_s in _INTERVALS_S),
        )
        decoding_s = [cost.cpu_s for cost in full]
        rows.append([kind.name, *(Ratio.of([cost.cpu_s for cost in way], decoding_s) for way in (*exact, small))])
    head = ["film", *(f"every {every_s:g} s" for every_s in _INTERVALS_S), "every picture, as 16-pixel JPEGs"]
    return table(head, rows)
