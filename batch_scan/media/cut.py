"""Tells of a container that it ends before it says it does, where its demuxer keeps that to itself.

libavformat replaces the declared length of an AVI file by what is there, so half of one passes as a shorter film; the
sizes of its RIFF chunks still tell.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final

from batch_scan.model import Reason, Shortfall

if TYPE_CHECKING:
    from pathlib import Path

_HEADER: Final = struct.Struct("<4sI")
_MOST_CHUNKS: Final = 10_000  # a RIFF chunk of an AVI file holds about a gigabyte
_UNKNOWN_SIZES: Final = frozenset({0, 0xFFFFFFFF})  # written by recorders that never came back to fill it in


def cut_off(path: Path, container: str) -> Shortfall | None:
    """Return what is missing at the end of a file; None where it is whole or its container does not say."""
    if container != "avi":
        return None
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            end = _riff_end(file, size_bytes)
    except OSError:
        return None  # whoever reads it next says so
    if end <= size_bytes:
        return None
    detail = f"the file is cut off: its header speaks of {end:,} bytes, there are {size_bytes:,}"
    return Shortfall(Reason.DAMAGED, detail)


def _riff_end(file: BinaryIO, size_bytes: int) -> int:
    """Return where the last of the file's top-level RIFF chunks says it ends."""
    end = 0
    for _ in range(_MOST_CHUNKS):
        file.seek(end)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            break
        name, length = _HEADER.unpack(header)
        if name != b"RIFF" or length in _UNKNOWN_SIZES:
            break
        end += _HEADER.size + length + length % 2
        if end >= size_bytes:
            break
    # The padding of the last chunk is left out by some writers.
    return end - 1 if end == size_bytes + 1 else end
