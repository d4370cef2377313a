"""Tags at the ends of sound files: titles and covers that taggers put before or behind what is there. All is hostile.

ID3v1: 128 bytes from the very end, 227 more before them where there is an extension; APEv2: a footer of 32 bytes that
tells the length; Lyrics3: its length in digits before its last word; ID3v2: a header, at the end a footer of 10 bytes.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

_ID3V1_BYTES: Final = 128
_ID3V1_MORE_BYTES: Final = 227
_APE: Final = struct.Struct("<8sIIII")
_APE_BYTES: Final = 32
_APE_HAS_HEADER: Final = 1 << 31
_ID3V2: Final = struct.Struct(">3s3B4s")
_ID3V2_HAS_FOOTER: Final = 0x10
_LYRICS_DIGITS: Final = 6
_LYRICS_OLD_BYTES: Final = 5120
"""Lyrics3 v1.00: no longer than this, and its length is not told."""
_MOST_TAGS: Final = 16
_TAGS: Final = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")


def end_before_tags(file: BinaryIO, size_bytes: int) -> int:
    """Return where a file's content ends, the tags behind it left out."""
    end = size_bytes
    for _ in range(_MOST_TAGS):
        length = _last_tag_bytes(file, end)
        if not 0 < length <= end:
            break
        end -= length
    return end


def begin_behind_tags(file: BinaryIO, at: int = 0) -> int:
    """Return where that begins which lies behind the tags at a place; the place itself where there are none."""
    for _ in range(_MOST_TAGS):
        header = _read(file, at, _APE.size)
        if len(header) == _APE.size and header.startswith(b"APETAGEX"):
            at += _APE_BYTES + _APE.unpack(header)[2]
        elif len(header) >= _ID3V2.size and header.startswith(b"ID3"):
            at += _id3v2_bytes(header[: _ID3V2.size])
        else:
            break
    return at


def is_tag(file: BinaryIO, at: int) -> bool:
    """Say whether what begins at a place is called a tag, in whatever state it is."""
    return _read(file, at, len(_TAGS[-1])).startswith(_TAGS)


def _last_tag_bytes(file: BinaryIO, end: int) -> int:
    """Return the length of the tag that ends at a place; 0 where none does."""
    if _read(file, end - _ID3V1_BYTES, 3) == b"TAG":
        return _ID3V1_BYTES
    if _read(file, end - _ID3V1_MORE_BYTES, 4) == b"TAG+":
        return _ID3V1_MORE_BYTES
    footer = _read(file, end - _APE_BYTES, _APE_BYTES)
    if footer.startswith(b"APETAGEX"):
        _, _, length, _, flags = _APE.unpack_from(footer)
        return int(length) + (_APE_BYTES if flags & _APE_HAS_HEADER else 0)
    if footer[-_ID3V2.size :].startswith(b"3DI"):
        return _id3v2_bytes(footer[-_ID3V2.size :])
    return _lyrics_bytes(file, end, footer)


def _lyrics_bytes(file: BinaryIO, end: int, footer: bytes) -> int:
    if footer.endswith(b"LYRICS200"):
        digits = footer[-9 - _LYRICS_DIGITS : -9]
        return int(digits) + _LYRICS_DIGITS + 9 if digits.isdigit() else 0
    if not footer.endswith(b"LYRICSEND"):
        return 0
    most_bytes = min(end, _LYRICS_OLD_BYTES)
    start = _read(file, end - most_bytes, most_bytes).rfind(b"LYRICSBEGIN")
    return most_bytes - start if start >= 0 else 0


def _id3v2_bytes(header: bytes) -> int:
    _, _, _, flags, sizes = _ID3V2.unpack(header)
    length = sum((byte & 0x7F) << shift for byte, shift in zip(bytes(sizes), (21, 14, 7, 0), strict=True))
    return length + _ID3V2.size * (2 if flags & _ID3V2_HAS_FOOTER else 1)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    if at < 0:
        return b""
    file.seek(at)
    return file.read(count)
