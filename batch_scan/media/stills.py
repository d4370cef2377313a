"""Pictures of a file that libav opens for its first one: pages of TIFF, views in a JPEG. All is hostile.

TIFF 6.0: a chain of directories, each one picture; `NewSubfileType` says which are but smaller copies or masks.
CIPA DC-007 (multi-picture format): a table in a JPEG's `MPF` segment tells of the pictures behind it. Cameras put
previews and maps of brightness or depth there too; those are smaller, have no colours or are called so.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_MOST_PICTURES: Final = 10_000
_TIFF_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_ENTRY_BYTES: Final = 12
_NEW_SUBFILE_TYPE: Final = 254
_NO_PAGE: Final = 0b101
"""Of `NewSubfileType`: a smaller copy of another picture, or a mask for one."""

_MOST_SEGMENTS: Final = 1000
_SCAN: Final = 0xDA
_APP2: Final = 0xE2
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MPF: Final = b"MPF\0"
_MP_ENTRIES: Final = 0xB002
_MP_ENTRY_BYTES: Final = 16
_MP_KIND: Final = 0xFF0000
_MP_PREVIEW: Final = 0x010000
_COLOURS: Final = 3
_GAIN_MAPS: Final = (b"hdrgm:", b"HDRGainMap", b"urn:iso:std:iso:ts:21496")
"""What names a picture's data for brighter screens: the same picture once more, by Adobe, Apple and ISO 21496-1."""
_GAIN_MAP_HEAD_BYTES: Final = 64 << 10


class _Frame(NamedTuple):
    height: int
    width: int
    colours: int


def further_pictures(path: Path, container: str) -> Shortfall | None:
    """Return that a picture file holds more pictures than the one that is looked at; None where it does not.

    Args:
        path: the file.
        container: libav's name of its format.
    """
    count = _COUNTS.get(container)
    if count is None:
        return None
    try:
        with path.open("rb") as file:
            pictures = count(file)
    except (OSError, struct.error):  # whoever reads it next says so; a table that ends too early tells of no more
        return None
    if pictures <= 1:
        return None
    return Shortfall(Reason.CODEC_UNSUPPORTED, f"the file holds {pictures} pictures, of which only the first is read")


def _tiff_pages(file: BinaryIO) -> int:
    order = _TIFF_ORDERS.get(_read(file, 0, 4))
    if order is None:
        return 1
    pages, seen = 0, set[int]()
    (at,) = struct.unpack(order + "I", _read(file, 4, 4))
    while at and at not in seen and len(seen) < _MOST_PICTURES:
        seen.add(at)
        (entries,) = struct.unpack(order + "H", _read(file, at, 2))
        tag, _, _, kind = struct.unpack(order + "HHII", _read(file, at + 2, _ENTRY_BYTES))
        pages += tag != _NEW_SUBFILE_TYPE or not kind & _NO_PAGE
        following = _read(file, at + 2 + entries * _ENTRY_BYTES, 4)
        if len(following) < 4:  # noqa: PLR2004 - the width of an offset
            break
        (at,) = struct.unpack(order + "I", following)
    return pages


def _jpeg_views(file: BinaryIO) -> int:
    first, table_at = _jpeg_head(file, 0)
    if first is None or not table_at:
        return 1
    views = 1
    for kind, start in _mp_entries(file, table_at):
        frame = None if kind == _MP_PREVIEW or _is_gain_map(file, start) else _jpeg_head(file, start)[0]
        is_large = frame is not None and frame.height * frame.width >= first.height * first.width
        views += frame is not None and is_large and frame.colours >= _COLOURS
    return views


def _is_gain_map(file: BinaryIO, start: int) -> bool:
    head = _read(file, start, _GAIN_MAP_HEAD_BYTES)
    return any(name in head for name in _GAIN_MAPS)


def _jpeg_head(file: BinaryIO, start: int) -> tuple[_Frame | None, int]:
    """Return what a JPEG says of its size, and where the table of its further pictures is; 0 where there is none."""
    at, table_at = start + 2, 0
    for _ in range(_MOST_SEGMENTS):
        header = _read(file, at, 10)
        if len(header) < 10 or header[0] != 0xFF or header[1] == _SCAN:  # noqa: PLR2004 - the length asked for; a marker
            break
        marker, length = header[1], int.from_bytes(header[2:4])
        if marker in _FRAMES:
            return _Frame(*struct.unpack(">HHB", header[5:10])), table_at
        if marker == _APP2 and header[4:8] == _MPF:
            table_at = at + 8
        at += 2 + length
    return None, table_at


def _mp_entries(file: BinaryIO, table_at: int) -> list[tuple[int, int]]:
    """Return of every picture but the first what kind it is, and where it begins."""
    order = _TIFF_ORDERS.get(_read(file, table_at, 4))
    if order is None:
        return []
    (at,) = struct.unpack(order + "I", _read(file, table_at + 4, 4))
    (entries,) = struct.unpack(order + "H", _read(file, table_at + at, 2))
    for entry_at in range(table_at + at + 2, table_at + at + 2 + entries * _ENTRY_BYTES, _ENTRY_BYTES):
        tag, _, size, where = struct.unpack(order + "HHII", _read(file, entry_at, _ENTRY_BYTES))
        if tag == _MP_ENTRIES:
            table = _read(file, table_at + where, min(size, _MOST_PICTURES * _MP_ENTRY_BYTES))
            told = struct.iter_unpack(order + "IIIHH", table[: len(table) // _MP_ENTRY_BYTES * _MP_ENTRY_BYTES])
            return [(kind & _MP_KIND, table_at + start) for kind, _, start, _, _ in told if start]
    return []


_COUNTS: Final = {"tiff_pipe": _tiff_pages, "jpeg_pipe": _jpeg_views, "mjpeg": _jpeg_views}
"""By libav's names; several small JPEGs in one file it takes for a film."""


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
