from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from batch_scan.media.interface import FrameSpec
from batch_scan.media.reader import MediaReader
from batch_scan.model import Shortfall
from tests.corpus_media import make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOISE = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=6,noise=alls=40:allf=t")
CODECS = {
    "a.h264": ("-c:v", "libx264", "-preset", "ultrafast"),
    "a.hevc": ("-c:v", "libx265", "-preset", "ultrafast"),
    "a.m2v": ("-c:v", "mpeg2video", "-q:v", "6"),
    "a.m4v": ("-c:v", "mpeg4", "-q:v", "6"),
}


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[MediaReader]:
    async with MediaReader(1) as made:
        yield made


async def told(reader: MediaReader, path: Path) -> list[str]:
    events = [event async for event in reader.frames(path, await reader.probe(path), FrameSpec(interval_s=2.0))]
    return [event.detail for event in events if isinstance(event, Shortfall)]


@pytest.mark.parametrize("name", CODECS)
async def test_zeros_where_a_part_of_a_bare_film_was_are_told(reader: MediaReader, tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, *NOISE, *CODECS[name])
    assert await told(reader, path) == []
    film = bytearray(path.read_bytes())
    begin, end = len(film) * 3 // 10, len(film) * 7 // 10
    film[begin:end] = bytes(end - begin)
    path.write_bytes(film)
    assert [detail for detail in await told(reader, path) if "of the file are zeros" in detail or "damaged" in detail]


async def test_padding_that_keeps_a_rate_is_no_hole(reader: MediaReader, tmp_path: Path) -> None:
    rate = ("-b:v", "20M", "-minrate", "20M", "-maxrate", "20M", "-bufsize", "2M")
    source = ("-f", "lavfi", "-i", "color=gray:s=320x240:r=25:d=6")
    path = make(tmp_path / "steady.m2v", *source, "-c:v", "mpeg2video", *rate)
    assert bytes(64 << 10) in path.read_bytes()
    assert await told(reader, path) == []
