"""What the outermost structure of a file tells that its demuxer keeps to itself.

libavformat replaces the declared length of an AVI file by what is there, so half of one passes as a shorter film; and
of two films that were joined end to end in one MP4, Matroska or AVI file it reads the first and says nothing of the
other. The sizes of the outermost boxes still tell. Only their headers are read, and none of them is believed further
than the file's end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_BOXES: Final = 100_000  # a fragmented MP4 has two for every few seconds
_RIFF: Final = struct.Struct("<4sI4s")
_BOX: Final = struct.Struct(">I4s")
_LARGE: Final = struct.Struct(">Q")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_UNKNOWN_RIFF_SIZES: Final = frozenset({0, 0xFFFFFFFF})  # of recorders that never came back to fill them in


@dataclass(frozen=True, slots=True)
class _Box:
    name: bytes | int
    end: int
    """Position after it, as its header says."""


def structure_gap(path: Path, container: str) -> Shortfall | None:
    """Return what is missing of a file, or lies in it unread; None where nothing is, or its container does not say."""
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            if container == "avi":
                return _cut_off(file, size_bytes) or _joined(_riffs(file, size_bytes), b"AVI ")
            if container.startswith("mov,"):
                return _joined(_boxes(file, size_bytes), b"moov")
            if container.startswith("matroska"):
                return _joined(_elements(file, size_bytes), _SEGMENT)
    except OSError:
        return None  # whoever reads it next says so
    return None


def _cut_off(file: BinaryIO, size_bytes: int) -> Shortfall | None:
    end = max((box.end for box in _riffs(file, size_bytes)), default=0)
    if end <= size_bytes + 1:  # the padding of the last chunk is left out by some writers
        return None
    detail = f"the file is cut off: its header speaks of {end:,} bytes, there are {size_bytes:,}"
    return Shortfall(Reason.DAMAGED, detail)


def _joined(boxes: Iterator[_Box], name: bytes | int) -> Shortfall | None:
    if sum(box.name == name for box in boxes) <= 1:
        return None
    detail = "the file holds several films joined end to end, of which only the first can be read; take them apart"
    return Shortfall(Reason.DAMAGED, detail)


def _riffs(file: BinaryIO, size_bytes: int) -> Iterator[_Box]:
    at = 0
    for _ in range(_MOST_BOXES):
        header = _read(file, at, _RIFF.size)
        if at >= size_bytes or len(header) < _RIFF.size:
            return
        tag, length, kind = _RIFF.unpack(header)
        if tag != b"RIFF" or length in _UNKNOWN_RIFF_SIZES:
            return
        at += 8 + length + length % 2
        yield _Box(kind, at)


def _boxes(file: BinaryIO, size_bytes: int) -> Iterator[_Box]:
    """ISO/IEC 14496-12, section 4.2: a size of 1 stands for a large one behind the name, 0 for "to the end"."""
    at = 0
    for _ in range(_MOST_BOXES):
        header = _read(file, at, _BOX.size + _LARGE.size)
        if at >= size_bytes or len(header) < _BOX.size:
            return
        length, name = _BOX.unpack_from(header)
        if length == 1 and len(header) == _BOX.size + _LARGE.size:
            (length,) = _LARGE.unpack_from(header, _BOX.size)
        if length < _BOX.size:
            yield _Box(name, size_bytes)
            return
        at += length
        yield _Box(name, at)


def _elements(file: BinaryIO, size_bytes: int) -> Iterator[_Box]:
    """RFC 8794, sections 4 to 6: the leading zero bits of the first byte say how long an id or a size is."""
    at = 0
    for _ in range(_MOST_BOXES):
        header = _read(file, at, 12)
        name, name_bytes = _vint(header, keep_marker=True)
        length, length_bytes = _vint(header[name_bytes:], keep_marker=False)
        if at >= size_bytes or not name_bytes or not length_bytes:
            return
        if length == (1 << 7 * length_bytes) - 1:  # unknown, as live recordings have it: it goes on to the end
            yield _Box(name, size_bytes)
            return
        at += name_bytes + length_bytes + length
        yield _Box(name, at)


def _vint(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """Return a number and how many bytes it takes; 0 bytes where there is none."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length])
    return (value if keep_marker else value & ~(1 << 7 * length)), length


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
