"""Which pictures are near enough to be judged once.

A picture is reduced to a thumbnail of 96 by 96 cells in luma and both chroma planes and compared with the one that its
run began with (not with its neighbour: a slow drift must not carry a run away). It is a twin only if no single cell
differs by more than `MAX_CELL_DIFFERENCE` and the mean difference stays below `MAX_MEAN_DIFFERENCE`. The first bound is
what makes it safe: a cell of a 640 by 360 picture is 7 by 4 pixels, so a logo, a changed line of subtitles or a small
object moves at least one cell far beyond it, while grain and re-quantisation are averaged away.

Measured on a detailed 720p picture (H.264 and MPEG-2): held still, the largest cell difference is 3 to 8 at CRF 18 to
30 without grain and 5 to 10 with ffmpeg's noise filter at strength 8 (mean 0.3 to 1.3); one letter changed in a line of
14-pixel text makes 17, of 40-pixel text 40; a spot of 8 by 8 pixels makes 25 to 35. Heavier grain or coarser coding
than that makes twins look different, which costs requests and hides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

THUMBNAIL_SIDE: Final = 96
"""Cells per side of a thumbnail."""

MAX_CELL_DIFFERENCE: Final = 12
"""Levels of 255 that one cell of a twin may differ by."""

MAX_MEAN_DIFFERENCE: Final = 1.5
"""Levels of 255 that the cells of a twin may differ by on average."""

MAX_RUN_S: Final = 60.0
"""A run of twins ends after this many seconds, so that something is judged at least once a minute."""


def is_twin(thumbnail: NDArray[np.uint8], of: NDArray[np.uint8]) -> bool:
    """Say whether two thumbnails are of pictures that one judgement may stand for."""
    if thumbnail.shape != of.shape:
        return False
    difference = np.abs(thumbnail.astype(np.int16) - of)
    return bool(difference.max() <= MAX_CELL_DIFFERENCE and difference.mean() <= MAX_MEAN_DIFFERENCE)
