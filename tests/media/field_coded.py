"""H.264 whose pictures come as two fields each (PAFF), as broadcasts and camcorders have it, and no encoder at hand.

Written by hand: samples as they are (I_PCM) within I, P and B slices, so that there is next to nothing to code. The
lines of each field say in bars which picture it is of: the first four the number of its group, copied from picture to
picture within it (P_Skip), so that they also tell what it was predicted from; the other twelve its own. Bars of the
bottom field are the opposite of those of the top field, so that lines copied from one to the other are found out.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
import simplejpeg
from av.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

RATE: Final = 25
GROUP: Final = 12
"""Pictures from one keyframe to the next."""
STREAMS: Final[dict[str, dict[str, bool]]] = {
    "closed": {},
    "open": {"open_groups": True},
    "mixed": {"mixed": True, "open_groups": True},
    "without_b": {"b_pictures": False},
    "rich": {"rich": True},
}
"""Arguments of `field_coded`."""

_BLOCK: Final = 16
_COLUMNS: Final = 4
_BAR: Final = 4
_BARS: Final = _COLUMNS * _BLOCK // _BAR
_GROUP_BARS: Final = 4
_LIGHT, _DARK = 220, 30
_COUNTER_BITS: Final = 8
_PCM_IN: Final = {"I": 25, "P": 5 + 25, "B": 23 + 25}
_SLICE_TYPES: Final = {"P": 0, "B": 1, "I": 2}
_CLOCK: Final = Fraction(1, 90_000)
_FIELD_TICKS: Final = 90_000 // (2 * RATE)


class _Bits:
    """Writes a bit string of H.264 (7.2, 9.1)."""

    def __init__(self) -> None:
        self._bits = ""

    def u(self, value: int, length: int = 1) -> _Bits:
        """Append a number of so many bits."""
        self._bits += format(value, f"0{length}b") if length else ""
        return self

    def ue(self, *values: int) -> _Bits:
        """Append numbers in Exp-Golomb code."""
        for value in values:
            code = format(value + 1, "b")
            self._bits += "0" * (len(code) - 1) + code
        return self

    def samples(self, samples: bytes) -> _Bits:
        """Append bytes behind zeros up to the next full byte."""
        self._bits += "0" * (-len(self._bits) % 8) + "".join(format(sample, "08b") for sample in samples)
        return self

    def unit(self, header: int) -> bytes:
        """Return a NAL unit of what was written, with its start code, escaped."""
        bits = f"{self._bits}1"
        bits += "0" * (-len(bits) % 8)
        body = bytearray()
        for byte in int(bits, 2).to_bytes(len(bits) // 8, "big"):
            if byte <= 3 and body.endswith(b"\0\0"):
                body.append(3)
            body.append(byte)
        return b"\0\0\0\1" + bytes([header]) + bytes(body)


@dataclass(frozen=True, slots=True)
class Coded:
    """One picture.

    Attributes:
        number: its place in the order of showing.
        is_key: decoding can start here.
        parts: what is sent of its top field and of its bottom field, or of both in one.
    """

    number: int
    is_key: bool
    parts: tuple[bytes, ...]


def field_coded(
    count: int, *, open_groups: bool = False, b_pictures: bool = True, mixed: bool = False, rich: bool = False
) -> list[Coded]:
    """Return pictures in the order of decoding.

    Args:
        count: how many.
        open_groups: pictures shown before a keyframe follow it; keyframes say themselves that they are such.
        b_pictures: every second picture is needed by no other.
        mixed: some pictures are coded as frames.
        rich: the profile says more of colours, and pictures do not say their order; there are no `b_pictures` then.
    """
    kinds = [
        _kind(number, count, open_groups=open_groups, b_pictures=b_pictures and not rich) for number in range(count)
    ]
    order = sorted(range(count), key=lambda number: number + 1.5 * (kinds[number] == "B"))
    coded = []
    frame_number = idr = 0
    for number in order:
        kind = kinds[number]
        begins = b""
        is_idr = kind == "I" and (not open_groups or number == 0)
        if is_idr:
            frame_number, idr = 0, number
        if kind == "I":
            begins = _sequence(rich=rich) + _picture() + (b"" if is_idr else _recovery_point())
        counters = (frame_number, None if rich else 2 * (number - idr))
        fields = (None,) if mixed and number % GROUP in {3, 4, 8, 9} else (0, 1)
        parts = [_slice(kind, number, counters, field, is_idr=is_idr and not field) for field in fields]
        parts[0] = begins + parts[0]
        coded.append(Coded(number, kind == "I", tuple(_Bits().u(7, 3).unit(9) + part for part in parts)))
        frame_number += kind != "B"
    return coded


def _kind(number: int, count: int, *, open_groups: bool, b_pictures: bool) -> str:
    if number % GROUP == 0:
        return "I"
    is_last = number == count - 1 or (number % GROUP == GROUP - 1 and not open_groups)
    return "B" if b_pictures and number % 2 and not is_last else "P"


def _sequence(*, rich: bool) -> bytes:
    bits = _Bits().u(100 if rich else 77, 8).u(0, 8).u(30, 8).ue(0)
    if rich:
        flat, usual = [0] * 16, 16
        bits.ue(1, 0, 0).u(0).u(1).u(1).ue(*flat).u(1).ue(usual).u(0, 6)  # 4:2:0 of 8 bits; two matrices
        bits.ue(_COUNTER_BITS - 4, 1).u(1).ue(0, 1, 1, 3, 2).u(0)  # two apart, and fields one
    else:
        bits.ue(_COUNTER_BITS - 4, 0, _COUNTER_BITS - 4, 2).u(0)
    bits.ue(_COLUMNS - 1, 0).u(0).u(0).u(1).u(0)  # fields, alone or as frames; no MBAFF
    bits.u(1).u(0, 4).u(1).u(1, 32).u(2 * RATE, 32).u(1).u(0, 3)  # timing
    return bits.u(1).u(1).ue(0, 0, 10, 10, 1, 2).unit(0x67)


def _picture() -> bytes:
    return _Bits().ue(0, 0).u(0).u(0).ue(0, 0, 0).u(0).u(0, 2).ue(0, 0, 0).u(1).u(0).u(0).unit(0x68)


def _recovery_point() -> bytes:
    return _Bits().u(6, 8).u(1, 8).ue(0).u(1).u(0).u(0, 2).u(1).u(0, 4).unit(6)


def _slice(kind: str, number: int, counters: tuple[int, int | None], field: int | None, *, is_idr: bool) -> bytes:
    frame_number, order = counters
    bits = _Bits().ue(0, _SLICE_TYPES[kind], 0).u(frame_number % (1 << _COUNTER_BITS), _COUNTER_BITS)
    bits.u(0 if field is None else 2 + field, 1 if field is None else 2)
    if is_idr:
        bits.ue(number // GROUP % 2)
    if order is not None:
        bits.u((order + (field or 0)) % (1 << _COUNTER_BITS), _COUNTER_BITS)
    bits.u(*{"I": (0, 0), "P": (0, 2), "B": (8, 4)}[kind])  # references as they come
    bits.u(0, 0 if kind == "B" else 1 + is_idr)
    bits.ue(0, 1)  # no change of quality, no loop filter
    lines = np.stack([_line(number, one) for one in ((0, 1) if field is None else (field,))])
    skipped = 0
    for place in range(_COLUMNS * len(lines)):
        column = place % _COLUMNS
        if kind == "P" and not column:
            skipped += 1
            continue
        if kind != "I":
            bits.ue(skipped)
        skipped = 0
        block = np.resize(lines[:, column * _BLOCK : (column + 1) * _BLOCK], (_BLOCK, _BLOCK))
        bits.ue(_PCM_IN[kind]).samples(block.tobytes() + bytes([128]) * (_BLOCK * _BLOCK // 2))
    return bits.unit((5 if is_idr else 1) | (0 if kind == "B" else 0x60))


def _line(number: int, field: int) -> NDArray[np.uint8]:
    shown = number // GROUP % (1 << _GROUP_BARS) | number << _GROUP_BARS
    bits = (shown >> np.arange(_BARS) & 1) ^ field
    return np.repeat(np.where(bits, _LIGHT, _DARK).astype(np.uint8), _BAR)


def fields_of(jpeg: bytes) -> list[tuple[int, int]]:
    """Read off a JPEG, as good as can be, the numbers of the group and of the picture in its top and bottom field."""
    gray = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0]
    bars = [gray[field::2].mean(axis=0).reshape(_BARS, _BAR).mean(axis=1) > (_LIGHT + _DARK) / 2 for field in (0, 1)]
    shown = [sum(1 << at for at in np.flatnonzero(one).tolist()) for one in (bars[0], ~bars[1])]
    return [(one % (1 << _GROUP_BARS), one >> _GROUP_BARS) for one in shown]


def true_fields(number: int) -> list[tuple[int, int]]:
    """Return what `fields_of` reads off a picture that is as it was coded."""
    return [(number // GROUP, number)] * 2


def wrapped(path: Path, pictures: Iterable[Coded], *, timed: str = "pictures") -> Path:
    """Write pictures, in the order of decoding, into the container that `path` is named after.

    Args:
        path: of the file.
        pictures: what to write.
        timed: "pictures": each is a packet; "fields": each field is, with a time of its own.
    """
    pictures = list(pictures)
    first = io.BytesIO(b"".join(pictures[0].parts))
    with av.open(first, format="h264") as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for place, coded in enumerate(pictures):
            parts = coded.parts if timed == "fields" else (b"".join(coded.parts),)
            for field, part in enumerate(parts):
                packet = Packet(part)
                packet.stream, packet.time_base, packet.is_keyframe = stream, _CLOCK, coded.is_key and not field
                packet.dts = (2 * place + field) * _FIELD_TICKS
                packet.pts = (2 * coded.number + 2 + field) * _FIELD_TICKS
                container.mux(packet)
    return path
