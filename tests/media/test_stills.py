from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batch_scan.media.interface import FrameSpec
from batch_scan.media.reader import MediaReader
from batch_scan.media.stills import further_pictures
from batch_scan.model import Sample
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from pathlib import Path


def in_one_file(kind: str) -> bytes:
    whole = io.BytesIO()
    first, *others = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    first.save(whole, kind, save_all=True, append_images=others)
    return whole.getvalue()


WHOLE = {"tiff_pipe": in_one_file("TIFF"), "jpeg_pipe": in_one_file("MPO")}
PICTURES = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    path = tmp_path / "pages.tif"
    PICTURES[0].save(path, save_all=True, append_images=PICTURES[1:])
    return path


async def test_pages_that_are_not_looked_at_are_told(pages: Path) -> None:
    async with MediaReader(1) as reader:
        (gap,) = (await reader.probe(pages)).shortfalls
    assert gap.reason is Reason.CODEC_UNSUPPORTED
    assert gap.detail == "the file holds 3 pictures, of which only the first is read"


def test_one_page_is_all_there_is(tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    PICTURES[0].save(path)
    assert further_pictures(path, "tiff_pipe") is None


@pytest.mark.parametrize("kind", [1, 4], ids=["a smaller copy", "a mask"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_no_page_does_not_count(tmp_path: Path, order: str, kind: int) -> None:
    def directory(what: int, following: int) -> bytes:
        return struct.pack(order + "HHHIII", 1, 254, 4, 1, what, following)

    path = tmp_path / "thumbnail.tif"
    mark = b"II*\0" if order == "<" else b"MM\0*"
    path.write_bytes(mark + struct.pack(order + "I", 8) + directory(0, 26) + directory(kind, 0))
    assert further_pictures(path, "tiff_pipe") is None
    path.write_bytes(mark + struct.pack(order + "I", 8) + directory(0, 26) + directory(0, 8))
    gap = further_pictures(path, "tiff_pipe")
    assert gap is not None
    assert "2 pictures" in gap.detail


def views(path: Path, second: Image.Image) -> Path:
    PICTURES[0].save(path, "MPO", save_all=True, append_images=[second])
    return path


async def test_the_first_view_of_a_stereo_picture_is_looked_at_and_the_other_told(tmp_path: Path) -> None:
    path = views(tmp_path / "both.mpo", PICTURES[1])
    async with MediaReader(1) as reader:
        info = await reader.probe(path)
        seen = [event async for event in reader.frames(path, info, FrameSpec())]
    assert sum(isinstance(event, Sample) for event in seen) == 1
    (gap,) = info.shortfalls
    assert "2 pictures" in gap.detail


@pytest.mark.parametrize("second", [Image.new("L", (64, 48)), Image.new("RGB", (32, 24))], ids=["depth", "preview"])
def test_what_a_camera_puts_behind_its_picture_is_no_other_picture(tmp_path: Path, second: Image.Image) -> None:
    assert further_pictures(views(tmp_path / "photo.jpg", second), "jpeg_pipe") is None


def test_a_gain_map_is_no_other_picture(tmp_path: Path) -> None:
    whole = views(tmp_path / "photo.jpg", PICTURES[1]).read_bytes()
    second = whole.index(b"\xff\xd8", 2)
    note = b"http://ns.adobe.com/xap/1.0/\0<hdrgm:Version>"
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(note)) + note
    path = tmp_path / "bright.jpg"
    path.write_bytes(whole[: second + 2] + segment + whole[second + 2 :])
    assert further_pictures(path, "jpeg_pipe") is None


@given(st.data())
def test_whatever_stands_in_a_file_is_counted_to_an_end(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    container = data.draw(st.sampled_from(["tiff_pipe", "jpeg_pipe"]))
    spoilt = bytearray(WHOLE[container])
    for _ in range(data.draw(st.integers(0, 6))):
        spoilt[data.draw(st.integers(0, min(len(spoilt), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "spoilt"
    path.write_bytes(spoilt[: data.draw(st.integers(0, len(spoilt)))])
    further_pictures(path, container)
