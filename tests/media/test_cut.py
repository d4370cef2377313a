from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from batch_scan.media.cut import cut_off
from batch_scan.media.interface import FrameSpec
from batch_scan.media.reader import MediaReader
from batch_scan.model import Reason
from tests.corpus_media import make

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "film.avi"
    source = "testsrc2=s=160x120:r=10:d=8"
    return make(path, "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-g", "10", "-f", "avi")


async def test_a_whole_film_is_whole(film: Path) -> None:
    assert cut_off(film, "avi") is None
    async with MediaReader(1) as reader:
        assert (await reader.probe(film)).shortfalls == ()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
async def test_half_a_film_does_not_pass_as_a_shorter_one(film: Path, tmp_path: Path, share: float) -> None:
    part = tmp_path / "part.avi"
    part.write_bytes(film.read_bytes()[: int(film.stat().st_size * share)])
    async with MediaReader(1) as reader:
        info = await reader.probe(part)
        seen = [event async for event in reader.frames(part, info, FrameSpec(interval_s=1.0))]
    assert seen
    (gap,) = info.shortfalls
    assert gap.reason is Reason.DAMAGED
    assert f"{part.stat().st_size:,}" in gap.detail


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_size_that_was_never_filled_in_says_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "recorded.avi"
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", length, b"AVI ") + bytes(1000))
    assert cut_off(path, "avi") is None


def test_every_part_of_a_long_film_counts(tmp_path: Path) -> None:
    path = tmp_path / "long.avi"
    first = struct.pack("<4sI", b"RIFF", 100) + bytes(100)
    path.write_bytes(first + struct.pack("<4sI", b"RIFF", 100) + bytes(100))
    assert cut_off(path, "avi") is None
    path.write_bytes(first + struct.pack("<4sI", b"RIFF", 100) + bytes(50))
    assert cut_off(path, "avi") is not None


def test_padding_at_the_very_end_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    path.write_bytes(struct.pack("<4sI", b"RIFF", 101) + bytes(101))
    assert cut_off(path, "avi") is None


def test_other_containers_are_not_looked_at(tmp_path: Path) -> None:
    assert cut_off(tmp_path / "not there", "mov,mp4,m4a,3gp,3g2,mj2") is None
