"""The outermost parts of a file, container by container: what their headers say of names and places. All is hostile.

Every walk reads headers alone and ends where the file does, or with the first header that cannot be one.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PARTS: Final = 1_000_000
"""A fragmented MP4 has two for every picture at worst."""

_NAME: Final = re.compile(rb"[\x20-\x7e\xa9][\x20-\x7e]{3}")
"""Four characters; those of QuickTime may begin with a copyright sign."""
_RIFF: Final = struct.Struct("<4sI4s")
_BOX: Final = struct.Struct(">I4s")
_LARGE: Final = struct.Struct(">Q")
_CHUNK: Final = {"little": struct.Struct("<4sI"), "big": struct.Struct(">4sI")}
_CAF: Final = struct.Struct(">4sq")
_PNG_END: Final = b"IEND"
_PNG: Final = struct.Struct(">I4s")
_GUID: Final = struct.Struct("<16sQ")
_SONIC_GUID: Final = bytes.fromhex("d38cd100c04f8edb8a")
_UNKNOWN_RIFF_SIZES: Final = frozenset({0, 0xFFFFFFFF})  # of recorders that never came back to fill them in
_UNKNOWN_DATA_SIZES: Final = _UNKNOWN_RIFF_SIZES | {0x7FFFF000, 0x7FFFFFFF, 0x80000000}
"""What programs write that cannot come back to fill it in: libav all ones, sox and espeak 0x7FFFF000, arecord 2 GiB."""
_DS64_DATA_AT: Final = 16
_WAVPACK_MORE_BYTES: Final = 8
_ASF_DATA_HEADER_BYTES: Final = 50
_ASF_FLAGS_AT: Final = 88
_ASF_BROADCAST: Final = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One box, chunk, object or element, as its header says."""

    name: bytes | int
    start: int
    end: int
    """Position after it; the file's end where its header leaves that open."""
    is_one: bool = True
    """False: what stands here is no header, and nobody knows what lies behind it."""


SEGMENT: Final = 0x18538067
"""Of Matroska: the film itself."""
ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
W64_RIFF: Final = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA: Final = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


def riffs(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """AVI: RIFF after RIFF."""
    at = 0
    for _ in range(MOST_PARTS):
        header = _read(file, at, _RIFF.size)
        if at >= size_bytes or len(header) < _RIFF.size:
            return
        tag, length, kind = _RIFF.unpack(header)
        if tag != b"RIFF" or length in _UNKNOWN_RIFF_SIZES:
            return
        start, at = at, at + 8 + length + length % 2
        yield Part(kind, start, at)


def boxes(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """MP4 (ISO/IEC 14496-12, section 4.2): a size of 1 stands for a large one behind the name, 0 for "to the end".

    Media data alone go on to the end: any other box of no size is one whose header was lost. What a fragment's box
    begins with is looked at too, as its header comes with it.
    """
    at = 0
    for _ in range(MOST_PARTS):
        header = _read(file, at, _BOX.size + _LARGE.size)
        if at >= size_bytes or len(header) < _BOX.size:
            return
        length, name = _BOX.unpack_from(header)
        is_one = bool(_NAME.fullmatch(name)) and (name != b"moof" or bool(_NAME.fullmatch(header[-4:])))
        if length == 1 and len(header) == _BOX.size + _LARGE.size:
            (length,) = _LARGE.unpack_from(header, _BOX.size)
        if is_one and name == b"mdat" and not length:
            length = size_bytes - at
        if not is_one or length < _BOX.size:
            yield Part(name, at, size_bytes, is_one=False)
            return
        yield Part(name, at, at + length)
        at += length


def elements(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """Matroska (RFC 8794, sections 4 to 6): the first byte's leading zero bits say how long an id or a size is."""
    at = 0
    for _ in range(MOST_PARTS):
        header = _read(file, at, 12)
        name, name_bytes = _vint(header, keep_marker=True)
        length, length_bytes = _vint(header[name_bytes:], keep_marker=False)
        if at >= size_bytes or not name_bytes or not length_bytes:
            return
        if length == (1 << 7 * length_bytes) - 1:  # unknown, as live recordings have it: it goes on to the end
            yield Part(name, at, size_bytes)
            return
        start, at = at, at + name_bytes + length_bytes + length
        yield Part(name, start, at)


def wav_chunks(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """WAV, and RF64 (EBU Tech 3306) with its sizes of 64 bits. The outermost size is not believed: few writers do."""
    order = "big" if _read(file, 0, 4) == b"RIFX" else "little"
    large = None
    for part in _chunks(file, size_bytes, order, 12):
        length = part.end - part.start - _BOX.size
        if part.name == b"ds64":
            sizes = _read(file, part.start, _BOX.size + _DS64_DATA_AT)
            large = struct.unpack_from("<Q", sizes, _DS64_DATA_AT)[0] if len(sizes) == _BOX.size + _DS64_DATA_AT else 0
        elif part.name == b"data" and length == 0xFFFFFFFF and large:  # noqa: PLR2004 - all ones
            at = part.start + _BOX.size + large
            yield Part(part.name, part.start, at)
            yield from _chunks(file, size_bytes, order, at + at % 2)
            return
        elif part.name == b"data" and length in _UNKNOWN_DATA_SIZES:
            yield Part(part.name, part.start, size_bytes)
            return
        yield part


def aiff_chunks(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """AIFF and AIFC."""
    for part in _chunks(file, size_bytes, "big", 12):
        if part.name == b"SSND" and part.end - part.start - _BOX.size in _UNKNOWN_DATA_SIZES:
            yield Part(part.name, part.start, size_bytes)
            return
        yield part


def _chunks(file: BinaryIO, size_bytes: int, order: str, at: int) -> Iterator[Part]:
    """Chunks of an even length; where the byte that makes it so was forgotten, it is not looked for."""
    was_odd = False
    for _ in range(MOST_PARTS):
        if was_odd and _fits(_read(file, at - 1, _BOX.size), order, size_bytes - at + 1):
            at -= 1
        header = _read(file, at, _BOX.size)
        if at >= size_bytes or len(header) < _BOX.size:
            return
        name, length = _CHUNK[order].unpack(header)
        if not _NAME.fullmatch(name):
            yield Part(name, at, size_bytes, is_one=False)
            return
        yield Part(name, at, at + _BOX.size + length)
        was_odd = bool(length % 2)
        at += _BOX.size + length + length % 2


def _fits(header: bytes, order: str, room_bytes: int) -> bool:
    if len(header) < _BOX.size:
        return False
    name, length = _CHUNK[order].unpack(header)
    return bool(_NAME.fullmatch(name)) and _BOX.size + length <= room_bytes


def caf_chunks(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """Core Audio: sizes of 64 bits, and -1 for sound that goes on to the end."""
    at = 8
    for _ in range(MOST_PARTS):
        header = _read(file, at, _CAF.size)
        if at >= size_bytes or len(header) < _CAF.size:
            return
        name, length = _CAF.unpack(header)
        if not _NAME.fullmatch(name) or length < -1:
            yield Part(name, at, size_bytes, is_one=False)
            return
        start, at = at, size_bytes if length < 0 else at + _CAF.size + length
        yield Part(name, start, at)


def w64_chunks(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """Sony's 64-bit WAV: names of 16 bytes, sizes that count their own header, places that 8 divides."""
    at = 40
    for _ in range(MOST_PARTS):
        header = _read(file, at, _GUID.size)
        if at >= size_bytes or len(header) < _GUID.size:
            return
        name, length = _GUID.unpack(header)
        if name == _W64_DATA and not _GUID.size < length < 1 << 63:
            yield Part(name, at, size_bytes)
            return
        if (name[-9:] != _SONIC_GUID and not _NAME.fullmatch(name[:4])) or length < _GUID.size:
            yield Part(name, at, size_bytes, is_one=False)
            return
        yield Part(name, at, at + length)
        at += length + -length % 8


def asf_objects(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """ASF (Microsoft's specification, revision 01.20.06, section 2): nothing where it was made to be broadcast."""
    at = 0
    for _ in range(MOST_PARTS):
        header = _read(file, at, _GUID.size)
        if at >= size_bytes or len(header) < _GUID.size:
            return
        name, length = _GUID.unpack(header)
        if name == ASF_HEADER and not at and _is_broadcast(file, length):
            return
        if name == ASF_DATA and length <= _ASF_DATA_HEADER_BYTES:  # never filled in
            return
        if length < _GUID.size:
            yield Part(name, at, size_bytes, is_one=False)
            return
        yield Part(name, at, at + length)
        at += length


def _is_broadcast(file: BinaryIO, header_bytes: int) -> bool:
    at, end = 30, header_bytes
    while at + _GUID.size <= end:
        header = _read(file, at, _ASF_FLAGS_AT + 4)
        if len(header) < _GUID.size:
            break
        name, length = _GUID.unpack_from(header)
        if name == _ASF_FILE_PROPERTIES and len(header) == _ASF_FLAGS_AT + 4:
            return bool(header[_ASF_FLAGS_AT] & _ASF_BROADCAST)
        if length < _GUID.size:
            break
        at += length
    return False


def png_chunks(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """Animated PNG; what follows its last chunk is given as one part that is none."""
    at = 8
    for _ in range(MOST_PARTS):
        header = _read(file, at, _PNG.size)
        if at >= size_bytes or len(header) < _PNG.size:
            return
        length, name = _PNG.unpack(header)
        if not _NAME.fullmatch(name):
            yield Part(name, at, size_bytes, is_one=False)
            return
        start, at = at, at + length + 12
        yield Part(name, start, at)
        if name == _PNG_END:
            if at < size_bytes:
                yield Part(b"", at, size_bytes, is_one=False)
            return


def wavpack_blocks(file: BinaryIO, size_bytes: int) -> Iterator[Part]:
    """WavPack: block after block, each with its length."""
    at = 0
    for _ in range(MOST_PARTS):
        header = _read(file, at, _BOX.size)
        if at >= size_bytes or len(header) < _BOX.size:
            return
        name, length = _CHUNK["little"].unpack(header)
        if name != b"wvpk":
            yield Part(name, at, size_bytes, is_one=False)
            return
        start, at = at, at + _WAVPACK_MORE_BYTES + length
        yield Part(name, start, at)


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
