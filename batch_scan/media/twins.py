"""Which pictures are near enough to be judged once.

A picture is reduced to a thumbnail in luma and both chroma planes, of cells that are at most 7 by 4 pixels of the
picture as it is handed on, and compared with the one that its run began with (not with its neighbour: a slow drift must
not carry a run away). It is a twin only if no single cell differs by more than its bound and the mean difference stays
below `MAX_MEAN_DIFFERENCE`. The first is what makes it safe: a logo, a changed line of subtitles or a small object
moves at least one cell far beyond its bound, while grain and re-quantisation are averaged away. The bound is lower
where both cells are dark, as little light is much contrast there.

Measured on a detailed 720p picture, bright and dimmed to a tenth, as H.264 (CRF 18 to 30) and MPEG-2: held still, the
largest cell difference is 1 to 6 without grain and 3 to 8 with ffmpeg's noise filter at strength 8 (mean 0.2 to 1.2);
below luma 32, where the bound is 4 to 12, it is 1 to 4 in luma and 2 to 7 in chroma. One letter changed in a line of
14-pixel text makes 17, of 40-pixel text 40; a spot of 8 by 8 pixels makes 25 to 35, at any size of the picture. Heavier
grain or coarser coding than that makes twins look different, which costs requests and hides nothing.

Making a thumbnail takes a quarter of encoding a picture. So pictures are first compared at a glance: by the means of
short stretches of every sixteenth row of luma, which takes a fiftieth. Pictures that differ there by more than a cell
may are none, whatever their thumbnails say; a glance refuses and never accepts. Twins held still differ by 5 at most
(measured as above, grain up to strength 14); of 247 pairs of pictures 0.12 s apart in an animated film it lets 2
through, of pairs further apart none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_CELLS: Final = 96
"""Cells per side of a thumbnail, at least; a picture of 640 by 360 has no more."""

CELL_PX: Final = (7, 4)
"""Width and height of a cell, at most."""

MAX_CELL_DIFFERENCE: Final = 12
"""Levels of 255 that one cell of a twin may differ by, ..."""

DARK_LUMA_DIFFERENCE: Final = 4
"""... in luma where the darker of both cells is black, ..."""

DARK_CHROMA_DIFFERENCE: Final = 8
"""... in chroma there; both grow ..."""

_LEVELS_PER_DIFFERENCE: Final = 8
"""... by 1 with so many levels of its luma."""

MAX_MEAN_DIFFERENCE: Final = 1.5
"""Levels of 255 that the cells of a twin may differ by on average."""

_GLANCE_ROWS: Final = 16
"""A glance takes in one row of so many, ..."""

_GLANCE_COLUMNS: Final = 40
"""... in stretches of so many pixels."""

MAX_RUN_S: Final = 60.0
"""A run of twins ends after this many seconds, so that something is judged at least once a minute."""


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """Return how many cells wide and high the thumbnail of a picture is."""
    wide_px, high_px = CELL_PX
    return max(MIN_CELLS, -(-width // wide_px)), max(MIN_CELLS, -(-height // high_px))


def glance(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean levels of some stretches of a picture's rows, for `may_be_twin`.

    Args:
        luma: the picture as it is handed on, of shape (rows, columns).
    """
    height, width = luma.shape
    stretch = min(_GLANCE_COLUMNS, width)
    rows = luma[min(_GLANCE_ROWS, height) // 2 :: _GLANCE_ROWS, : width // stretch * stretch]
    sums = np.add.reduceat(rows, np.arange(0, rows.shape[1], stretch), axis=1, dtype=np.uint32)
    means: NDArray[np.float64] = sums / stretch
    return means


def may_be_twin(seen: NDArray[np.float64], of: NDArray[np.float64]) -> bool:
    """Say whether two glances leave it open that their pictures are twins."""
    return seen.shape == of.shape and bool((np.abs(seen - of) <= MAX_CELL_DIFFERENCE).all())


def is_twin(thumbnail: NDArray[np.uint8], of: NDArray[np.uint8]) -> bool:
    """Say whether two thumbnails, of shape (luma and both chroma planes, rows, columns), may share one judgement."""
    if thumbnail.shape != of.shape:
        return False
    difference = np.maximum(thumbnail, of) - np.minimum(thumbnail, of)
    light = np.minimum(thumbnail[0], of[0]) // _LEVELS_PER_DIFFERENCE
    if (difference[0] > np.minimum(light + DARK_LUMA_DIFFERENCE, MAX_CELL_DIFFERENCE)).any():
        return False
    if (difference[1:] > np.minimum(light + DARK_CHROMA_DIFFERENCE, MAX_CELL_DIFFERENCE)).any():
        return False
    return bool(difference.mean() <= MAX_MEAN_DIFFERENCE)
