"""Decoded pictures to JPEG, in a decoder worker: scaled in swscale, encoded by libjpeg-turbo from the planes.

Upright (the display matrix's quarter turns are applied), with square pixels, never enlarged. Transparency is ignored:
the colours below it are judged, since a player may show them. Interlaced pictures keep both fields. The same picture
gives the same bytes on the same kind of processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from batch_scan.media.twins import thumbnail_size

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

_HD_LINES: Final = 720
"""From this height on, pictures that do not name their colour matrix are taken as BT.709, as players do."""

_UNSPECIFIED_SPACES: Final = frozenset({2, 3})  # AVCOL_SPC_UNSPECIFIED and _RESERVED
_MAX_PIXEL_ASPECT: Final = 4.0
_MAX_JPEG_SIDE: Final = 65_000


class PictureMaker:
    """Makes the JPEGs and thumbnails of one track; keeps the scaler between pictures of one size."""

    def __init__(self, longest_px: int, jpeg_quality: int, pixel_aspect: Fraction | None) -> None:
        self._longest_px = min(longest_px, _MAX_JPEG_SIDE)
        self._quality = jpeg_quality
        aspect = float(pixel_aspect) if pixel_aspect else 1.0
        self._pixel_aspect = aspect if 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT else 1.0
        self._scaler = VideoReformatter()
        self._thumbnailer = VideoReformatter()

    def scaled(self, frame: VideoFrame) -> VideoFrame:
        """Return the picture in JPEG's own colours (full-range BT.601, 4:2:0), at the size it is handed on in."""
        width, height = scaled_size(frame.width, frame.height, self._pixel_aspect, self._longest_px)
        return self._scaler.reformat(
            frame,
            width,
            height,
            "yuv420p",
            src_colorspace=_source_colorspace(frame),
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA,
            threads=1,
        )

    @staticmethod
    def luma(scaled: VideoFrame) -> NDArray[np.uint8]:
        """Return the brightness of a scaled picture, of shape (rows, columns)."""
        return _plane(scaled.planes[0])

    def thumbnail(self, scaled: VideoFrame) -> NDArray[np.uint8]:
        """Return the picture as planes of cells, for `twins.is_twin`."""
        columns, rows = thumbnail_size(scaled.width, scaled.height)
        small = self._thumbnailer.reformat(
            scaled, columns, rows, "yuv444p", interpolation=Interpolation.AREA, threads=1
        )
        return np.stack(_planes(small))

    def jpeg(self, scaled: VideoFrame, rotation: int) -> bytes:
        """Encode a scaled picture, turned upright by `rotation` degrees counter-clockwise."""
        quarters = round(rotation / 90) % 4
        planes = [np.ascontiguousarray(np.rot90(plane, quarters)) for plane in _planes(scaled)]
        data: bytes = simplejpeg.encode_jpeg_yuv_planes(*planes, quality=self._quality)
        return data


def scaled_size(width: int, height: int, pixel_aspect: float, longest_px: int) -> tuple[int, int]:
    """Return the size at which a picture is handed on: square pixels, longest side at most `longest_px`, never up.

    Sides are even: with an odd one simplejpeg 1.9 encodes a row of memory beyond its planes.
    """
    wide, high = (width * pixel_aspect, float(height)) if pixel_aspect > 1 else (float(width), height / pixel_aspect)
    factor = min(longest_px / max(wide, high), max(width, height) / max(wide, high), 1.0)
    return max(round(wide * factor) & ~1, 2), max(round(high * factor) & ~1, 2)


def _source_colorspace(frame: VideoFrame) -> Colorspace | None:
    if frame.colorspace not in _UNSPECIFIED_SPACES:
        return None
    return Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601


def _planes(frame: VideoFrame) -> list[NDArray[np.uint8]]:
    """Return the planes of an 8-bit planar picture, without the padding at the end of each row."""
    return [_plane(plane) for plane in frame.planes]


def _plane(plane: VideoPlane) -> NDArray[np.uint8]:
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
