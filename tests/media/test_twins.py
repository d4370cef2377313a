from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from batch_scan.media.twins import (
    CELL_PX,
    DARK_CHROMA_DIFFERENCE,
    DARK_LUMA_DIFFERENCE,
    MAX_CELL_DIFFERENCE,
    MIN_CELLS,
    glance,
    is_twin,
    may_be_twin,
    thumbnail_size,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (3, MIN_CELLS, MIN_CELLS)


@pytest.fixture
def thumbnail() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(80, 220, SHAPE, dtype=np.uint8)


def test_the_same_picture_is_a_twin(thumbnail: NDArray[np.uint8]) -> None:
    assert is_twin(thumbnail.copy(), thumbnail)


def test_averaged_grain_is_a_twin(thumbnail: NDArray[np.uint8]) -> None:
    grain = np.random.default_rng(2).normal(0, 1.2, SHAPE).round().astype(np.int16)
    assert is_twin((thumbnail + grain).astype(np.uint8), thumbnail)


@pytest.mark.parametrize("plane", [0, 1, 2])
@pytest.mark.parametrize("change", [MAX_CELL_DIFFERENCE + 1, -MAX_CELL_DIFFERENCE - 1])
def test_one_changed_cell_is_enough_to_be_another_picture(
    thumbnail: NDArray[np.uint8], plane: int, change: int
) -> None:
    other = thumbnail.astype(np.int16)
    other[plane, 40, 40] += change
    assert not is_twin(other.astype(np.uint8), thumbnail)


def test_a_faint_change_everywhere_is_another_picture(thumbnail: NDArray[np.uint8]) -> None:
    assert not is_twin(thumbnail + np.uint8(2), thumbnail)


def test_black_against_white_does_not_wrap_around() -> None:
    assert not is_twin(np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8))


def test_pictures_of_different_shapes_are_no_twins(thumbnail: NDArray[np.uint8]) -> None:
    assert not is_twin(thumbnail[:1], thumbnail)


@pytest.mark.parametrize(
    ("plane", "allowed"), [(0, DARK_LUMA_DIFFERENCE), (1, DARK_CHROMA_DIFFERENCE), (2, DARK_CHROMA_DIFFERENCE)]
)
def test_little_light_on_black_is_another_picture(plane: int, allowed: int) -> None:
    black = np.zeros(SHAPE, np.uint8)
    black[1:] = 128
    lit = black.copy()
    lit[plane, 40, 40] += allowed
    assert is_twin(lit, black)
    lit[plane, 40, 40] += 1
    assert not is_twin(lit, black)
    assert not is_twin(black, lit)


@pytest.mark.parametrize("size", [(2, 2), (640, 360), (360, 640), (1920, 1080), (4096, 2304)])
def test_cells_are_as_small_whatever_the_size_of_the_picture(size: tuple[int, int]) -> None:
    columns, rows = thumbnail_size(*size)
    assert size[0] / columns <= CELL_PX[0]
    assert size[1] / rows <= CELL_PX[1]
    assert columns * rows <= max(MIN_CELLS**2, 2 * size[0] * size[1] / (CELL_PX[0] * CELL_PX[1]))


# ------------------------------------------------------------------------------------------------------ at a glance


@pytest.mark.parametrize("size", [(360, 640), (2, 2), (9, 41), (16, 39), (640, 360), (2304, 4096)])
def test_a_glance_sees_no_difference_in_grain_and_sees_another_picture(size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    picture = random.integers(60, 200, size, dtype=np.uint8)
    grain = random.normal(0, 2.0, size).round().astype(np.int16)
    assert may_be_twin(glance((picture + grain).astype(np.uint8)), glance(picture))
    assert not may_be_twin(glance(picture + np.uint8(MAX_CELL_DIFFERENCE + 1)), glance(picture))


def test_a_glance_at_pictures_of_different_shapes_tells_them_apart() -> None:
    assert not may_be_twin(glance(np.zeros((360, 640), np.uint8)), glance(np.zeros((640, 360), np.uint8)))


@pytest.mark.parametrize("change", [MAX_CELL_DIFFERENCE, -MAX_CELL_DIFFERENCE])
def test_a_glance_refuses_nothing_that_differs_by_what_cells_may(change: int) -> None:
    picture = np.full((360, 640), 100, np.int16)
    assert may_be_twin(*(glance(one.astype(np.uint8)) for one in (picture + change, picture)))
