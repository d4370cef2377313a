"""Whether another file begins where the first one of several, joined end to end, says that it ends. All is hostile.

For containers of which nothing but that tells: no walk through their parts leads there, or a chain of them ends before.
A length is believed where what stands at its end is the beginning of a file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final

from batch_scan.media import walks

if TYPE_CHECKING:
    from collections.abc import Callable

_FLV_HEAD_BYTES: Final = 16 << 10
_FLV_FILE_SIZE: Final = b"\x00\x08filesize\x00"
"""A name of a script's table, and that a double follows (Adobe's FLV specification 10.1, annex E.4.4)."""
_DOUBLE: Final = struct.Struct(">d")
_FLV: Final = b"FLV\x01"

_REAL: Final = b".RMF"
_REAL_CHUNK: Final = struct.Struct(">4sI")
_REAL_SLACK_BYTES: Final = 16
"""libavformat's writer counts the header of the sound itself twice."""
_FLASH: Final = (b"FWS", b"CWS", b"ZWS")
_VOICE: Final = b"Creative Voice File\x1a"
_VOICE_FIRST_AT: Final = 20
_WTV: Final = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")
_WTV_SECTORS_AT: Final = 0x5C
_WTV_SECTOR_BITS: Final = 12


def is_second_behind_first(file: BinaryIO, size_bytes: int, container: str) -> bool:
    """Say whether a file is followed by another of its kind.

    Args:
        file: it.
        size_bytes: how large it is.
        container: libav's name of its format; of those that are not known here nothing is read.
    """
    look = _LOOKS.get(container)
    return look is not None and look(file, size_bytes)


def _flash_video(file: BinaryIO, size_bytes: int) -> bool:
    head = _read(file, 0, _FLV_HEAD_BYTES)
    at = head.find(_FLV_FILE_SIZE) + len(_FLV_FILE_SIZE)
    if at < len(_FLV_FILE_SIZE) or len(head) < at + _DOUBLE.size:
        return False
    (untrusted_end,) = _DOUBLE.unpack_from(head, at)
    return 0 < untrusted_end < size_bytes and _read(file, int(untrusted_end), len(_FLV)) == _FLV


def _flash(file: BinaryIO, size_bytes: int) -> bool:
    """Bare films tell their length; of packed ones (CWS, ZWS) it is that of what is in them."""
    head = _read(file, 0, 8)
    end = int.from_bytes(head[4:], "little")
    return head.startswith(_FLASH[0]) and 0 < end < size_bytes and _read(file, end, 3) in _FLASH


def _real(file: BinaryIO, size_bytes: int) -> bool:
    at = 0
    for _ in range(walks.MOST_PARTS):
        header = _read(file, at, _REAL_CHUNK.size)
        if at >= size_bytes or len(header) < _REAL_CHUNK.size:
            return False
        _, length = _REAL_CHUNK.unpack(header)
        if length < _REAL_CHUNK.size:
            return False
        at += length
        around = max(at - _REAL_SLACK_BYTES, 1)
        if _REAL in _read(file, around, 2 * _REAL_SLACK_BYTES):
            return True
    return False


def _voice(file: BinaryIO, size_bytes: int) -> bool:
    at = int.from_bytes(_read(file, _VOICE_FIRST_AT, 2), "little")
    for _ in range(walks.MOST_PARTS):
        header = _read(file, at, 4)
        if at >= size_bytes or not header:
            return False
        if not header[0]:
            return _read(file, at + 1, len(_VOICE)) == _VOICE
        at += 4 + int.from_bytes(header[1:], "little")
    return False


def _wtv(file: BinaryIO, size_bytes: int) -> bool:
    end = int.from_bytes(_read(file, _WTV_SECTORS_AT, 4), "little") << _WTV_SECTOR_BITS
    return 0 < end < size_bytes and _read(file, end, len(_WTV)) == _WTV


def _webp(file: BinaryIO, size_bytes: int) -> bool:
    return sum(part.name == b"WEBP" for part in walks.riffs(file, size_bytes)) > 1


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


_LOOKS: Final[dict[str, Callable[[BinaryIO, int], bool]]] = {
    "flv": _flash_video,
    "rm": _real,
    "swf": _flash,
    "voc": _voice,
    "webp_anim": _webp,
    "webp_pipe": _webp,
    "wtv": _wtv,
}
