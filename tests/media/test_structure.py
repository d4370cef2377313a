from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.interface import FrameSpec
from batch_scan.media.reader import MediaReader
from batch_scan.media.structure import structure_gap
from batch_scan.vocabulary import Reason
from tests.corpus_media import make


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "film.avi"
    source = "testsrc2=s=160x120:r=10:d=8"
    return make(path, "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-g", "10", "-f", "avi")


async def test_a_whole_film_is_whole(film: Path) -> None:
    assert structure_gap(film, "avi") is None
    async with MediaReader(1) as reader:
        assert (await reader.probe(film)).shortfalls == ()


def first_part(film: Path, part: Path, share: float) -> Path:
    part.write_bytes(film.read_bytes()[: int(film.stat().st_size * share)])
    return part


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
async def test_half_a_film_does_not_pass_as_a_shorter_one(film: Path, tmp_path: Path, share: float) -> None:
    part = first_part(film, tmp_path / "part.avi", share)
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
    assert structure_gap(path, "avi") is None


def test_every_part_of_a_long_film_counts(tmp_path: Path) -> None:
    path = tmp_path / "long.avi"
    first = struct.pack("<4sI4s", b"RIFF", 100, b"AVIX") + bytes(96)
    path.write_bytes(first + struct.pack("<4sI4s", b"RIFF", 100, b"AVIX") + bytes(96))
    assert structure_gap(path, "avi") is None
    path.write_bytes(first + struct.pack("<4sI4s", b"RIFF", 100, b"AVIX") + bytes(46))
    assert structure_gap(path, "avi") is not None


def test_padding_at_the_very_end_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 101, b"AVI ") + bytes(97))
    assert structure_gap(path, "avi") is None


def test_other_containers_are_not_looked_at(tmp_path: Path) -> None:
    assert structure_gap(tmp_path / "not there", "mov,mp4,m4a,3gp,3g2,mj2") is None


FILMS = {
    "avi": ("mpeg4", "avi"),
    "mov,mp4,m4a,3gp,3g2,mj2": ("libx264", "mp4"),
    "matroska,webm": ("libx264", "matroska"),
}


@pytest.mark.parametrize("container", FILMS)
async def test_a_second_film_behind_the_first_is_told_of(tmp_path: Path, container: str) -> None:
    codec, muxer = FILMS[container]
    films = [
        make(tmp_path / f"{hue}.bin", "-f", "lavfi", "-i", f"color={hue}:s=64x64:r=5:d=2", "-c:v", codec, "-f", muxer)
        for hue in ("red", "blue")
    ]
    joined = tmp_path / "joined.bin"
    joined.write_bytes(b"".join(film.read_bytes() for film in films))
    async with MediaReader(1) as reader:
        for film in films:
            info = await reader.probe(film)
            assert (info.container, info.shortfalls) == (container, ())
        (gap,) = (await reader.probe(joined)).shortfalls
    assert gap.reason is Reason.DAMAGED
    assert "joined end to end" in gap.detail


@pytest.mark.parametrize("options", [("-movflags", "frag_keyframe+empty_moov"), ("-movflags", "+faststart"), ()])
def test_however_a_film_is_laid_out_it_is_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x64:r=5:d=3", "-c:v", "libx264", "-g", "5")
    film = make(tmp_path / "film.mp4", *source, *options)
    assert structure_gap(film, "mov,mp4,m4a,3gp,3g2,mj2") is None
    live = make(tmp_path / "live.mkv", *source, "-live", "1", "-f", "matroska")
    assert structure_gap(live, "matroska,webm") is None


@given(st.binary(max_size=200), st.sampled_from(list(FILMS)))
def test_no_bytes_make_it_stumble_or_run_on(data: bytes, container: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        gap = structure_gap(Path(file.name), container)
    assert gap is None or gap.reason is Reason.DAMAGED
