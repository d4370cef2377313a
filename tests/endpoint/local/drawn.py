"""Pictures that are drawn, so that every machine has the same ones, and requests made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from batch_scan.digest import digest_bytes
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from numpy.typing import NDArray


def target(height: int = 360, width: int = 640) -> NDArray[np.uint8]:
    """Colour gradients with a red disc in the middle, [height, width, 3] RGB."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    levels = [rows * 255 / height, columns * 255 / width, (rows / height + columns / width) * 127]
    picture = np.stack(levels, axis=-1)
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 4) ** 2
    picture[inside] = (200, 40, 30)
    return picture.astype(np.uint8)


def stripes(height: int = 360, width: int = 640, period: int = 16) -> NDArray[np.uint8]:
    """Skin-coloured and dark stripes."""
    picture = np.full((height, width, 3), (224, 172, 140), np.uint8)
    picture[:, (np.arange(width) // period) % 2 == 0] = (60, 30, 20)
    return picture


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=85, colorsubsampling="420")
    return data


def frame(data: bytes | None, at_s: float = 0.0) -> Sample:
    return Sample(Medium.FRAME, at_s, at_s, Digest(digest_bytes(data or b"")), "image/jpeg", data)


def utterance(text: str, start_s: float = 0.0, language: str = "en") -> Sample:
    data = text.encode()
    return Sample(
        Medium.UTTERANCE, start_s, start_s + 2.0, Digest(digest_bytes(data)), "text/plain", data, language=language
    )


def request(*samples: Sample) -> Request:
    operation = "frame" if samples[0].medium is Medium.FRAME else "text"
    return Request(RequestId("r-1"), "local", operation, samples, 0)
