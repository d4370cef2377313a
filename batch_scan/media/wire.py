"""What passes between the scanner and a decoder worker: framed messages of plain data, checked on both sides.

A message is a kind (one byte), a length (four bytes) and a body. Bodies are JSON, except that of a picture, which is
a few numbers and a JPEG, that of sound, which is times and samples, and that of copied sound, which is times and a part
of a chunk. Nothing in a message can become code, and a length is checked before a buffer of it is made: the worker
parses hostile files, so what it says is untrusted.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

HEADER: Final = struct.Struct("<BI")
_PICTURE: Final = struct.Struct("<IIdd")
_STAMPS: Final = struct.Struct("<I")
_STAMP: Final = struct.Struct("<qI?")
_COPIED: Final = struct.Struct("<Iqqq?")

MAX_JSON_BYTES: Final = 1 << 20
MAX_PICTURE_BYTES: Final = 64 << 20
"""Above any JPEG that a frame size of ours can lead to; a worker that claims more is not ours."""
MAX_SOUND_BYTES: Final = 64 << 20
"""Above any block that a sample rate of ours can lead to: 10 s of 8 channels at 384 kHz."""
MAX_COPIED_BYTES: Final = 2 << 20
"""Above the parts in which a worker of ours sends what it copied."""


class Kind(IntEnum):
    """What the body of a message is."""

    REQUEST = 1
    """To the worker: a file and what to do with it."""
    PICTURE = 2
    SHORTFALL = 3
    TALLY = 4
    END = 5
    """The last message of a file: the result of a probe, or why it ended early."""
    SOUND = 6
    COPIED = 7


_MAX_BYTES: Final = {
    Kind.PICTURE: MAX_PICTURE_BYTES,
    Kind.SOUND: MAX_SOUND_BYTES,
    Kind.COPIED: MAX_COPIED_BYTES,
}


class WireError(ValueError):
    """A message that no worker of ours would send."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a track, with the times that it stands for."""

    track: int
    start_s: float
    end_s: float
    stands_for: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a stretch of samples is heard."""

    at: int
    """Of the first one: its place on the file's time line, in samples; before its beginning where negative."""
    samples: int
    complained: bool
    """Demuxer or decoder had complained by then."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Interleaved 16-bit samples, little-endian, and the times of all stretches that begin in them."""

    stamps: tuple[Stamp, ...]
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Copied:
    """A part of a chunk of sound that was not decoded; times are in flicks."""

    taker: int
    """Which of the bounds that were asked for it keeps."""
    begins: int
    """When the track begins; before the beginning of the file where negative."""
    start: int
    """Where the chunk begins, after the beginning of the track."""
    end: int
    is_last: bool
    """Nothing more of this chunk follows."""
    data: bytes


def pack(kind: Kind, body: bytes) -> bytes:
    """Return a message."""
    return HEADER.pack(kind, len(body)) + body


def pack_json(kind: Kind, value: dict[str, Any]) -> bytes:
    """Return a message with a JSON body; undecodable bytes of file names pass as escaped surrogates."""
    return pack(kind, json.dumps(value, separators=(",", ":")).encode("ascii"))


def pack_picture(picture: Picture) -> bytes:
    """Return a message that carries a picture."""
    numbers = _PICTURE.pack(picture.track, picture.stands_for, picture.start_s, picture.end_s)
    return pack(Kind.PICTURE, numbers + picture.jpeg)


def pack_sound(sound: Sound) -> bytes:
    """Return a message that carries sound."""
    stamps = b"".join(_STAMP.pack(stamp.at, stamp.samples, stamp.complained) for stamp in sound.stamps)
    return pack(Kind.SOUND, b"".join((_STAMPS.pack(len(sound.stamps)), stamps, sound.pcm)))


def pack_copied(copied: Copied) -> bytes:
    """Return a message that carries a part of a chunk."""
    numbers = _COPIED.pack(copied.taker, copied.begins, copied.start, copied.end, copied.is_last)
    return pack(Kind.COPIED, numbers + copied.data)


def unpack_header(header: bytes) -> tuple[Kind, int]:
    """Return kind and length of the message that begins with `header`. Raises WireError."""
    try:
        number, length = HEADER.unpack(header)
        kind = Kind(number)
    except (struct.error, ValueError):
        raise WireError("not a message") from None
    if length > _MAX_BYTES.get(kind, MAX_JSON_BYTES):
        raise WireError(f"a message of {length} bytes")
    return kind, length


def unpack_json(body: bytes) -> dict[str, Any]:
    """Return the object in a JSON body. Raises WireError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise WireError("a message that is not JSON") from None
    if not isinstance(value, dict):
        raise WireError("a message that is not an object")
    return value


def unpack_picture(body: bytes) -> Picture:
    """Return the picture in a body. Raises WireError."""
    if len(body) <= _PICTURE.size:
        raise WireError("a picture without content")
    track, stands_for, start_s, end_s = _PICTURE.unpack_from(body)
    if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s <= end_s and stands_for > 0):
        raise WireError("a picture with impossible times")
    return Picture(track, start_s, end_s, stands_for, body[_PICTURE.size :])


def unpack_sound(body: bytes) -> Sound:
    """Return the sound in a body. Raises WireError."""
    if len(body) < _STAMPS.size:
        raise WireError("sound without times")
    (count,) = _STAMPS.unpack_from(body)
    end = _STAMPS.size + count * _STAMP.size
    if end >= len(body):
        raise WireError("sound without samples")
    return Sound(tuple(Stamp(*told) for told in _STAMP.iter_unpack(body[_STAMPS.size : end])), body[end:])


def unpack_copied(body: bytes) -> Copied:
    """Return the part of a chunk in a body. Raises WireError."""
    if len(body) <= _COPIED.size:
        raise WireError("a chunk without content")
    taker, begins, start, end, is_last = _COPIED.unpack_from(body)
    if not 0 <= start < end:
        raise WireError("a chunk with impossible times")
    return Copied(taker, begins, start, end, is_last, body[_COPIED.size :])
