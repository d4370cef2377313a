"""AMF0, the encoding of RTMP's commands, as far as a publisher needs it. Pure.

Numbers, booleans, texts, null and objects (maps of names to values); see the specification "AMF 0", Adobe 2007.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _ECMA_ARRAY = 0, 1, 2, 3, 5, 6, 8
_OBJECT_END: Final = b"\x00\x00\x09"
_MAX_DEPTH: Final = 8


class AmfError(ValueError):
    """Bytes that are no AMF0, or hold more of it than a publisher says."""


def encode(*values: Any) -> bytes:
    """Return values one after the other: numbers, booleans, texts, None, and mappings of those."""
    return b"".join(map(_encoded, values))


def decode(data: bytes) -> list[Any]:
    """Return the values that `data` holds, one after the other. Raises AmfError."""
    values, at = [], 0
    try:
        while at < len(data):
            value, at = _decoded(data, at, 0)
            values.append(value)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise AmfError(f"cut short or garbled ({type(error).__name__})") from None
    return values


def _encoded(value: Any) -> bytes:
    if value is None:
        return bytes([_NULL])
    if isinstance(value, bool):
        return bytes([_BOOLEAN, value])
    if isinstance(value, int | float):
        return struct.pack(">Bd", _NUMBER, value)
    if isinstance(value, str):
        return bytes([_STRING]) + _name(value)
    return _object(value)


def _object(members: Mapping[str, Any]) -> bytes:
    return bytes([_OBJECT]) + b"".join(_name(key) + _encoded(value) for key, value in members.items()) + _OBJECT_END


def _name(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _decoded(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _MAX_DEPTH:
        raise AmfError("nested too deeply")
    kind, at = data[at], at + 1
    if kind == _NUMBER:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if kind == _BOOLEAN:
        return bool(data[at]), at + 1
    if kind == _STRING:
        return _text(data, at)
    if kind in {_NULL, _UNDEFINED}:
        return None, at
    if kind in {_OBJECT, _ECMA_ARRAY}:
        return _members(data, at + (4 if kind == _ECMA_ARRAY else 0), depth)
    raise AmfError(f"a value of kind {kind} is not expected here")


def _members(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    members = {}
    while data[at : at + 3] != _OBJECT_END:
        key, at = _text(data, at)
        members[key], at = _decoded(data, at, depth + 1)
    return members, at + 3


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">H", data, at)
    end = at + 2 + length
    if end > len(data):
        raise AmfError("a text is cut short")
    return data[at + 2 : end].decode(), end
