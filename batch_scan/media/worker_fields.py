"""Which packets of H.264 hold but the second field of a picture, and what others lean on, in a decoder worker. Pure.

H.264 may code a picture as two fields, one after the other, as broadcasts and camcorders do. MP4 and Matroska keep both
in one sample. Of MPEG-TS, libav makes a packet of each: with a time of its own where the multiplexer gave it one, with
none where not (a time for every picture is all that has to be there). What ffmpeg copied from there into MP4 has a
sample of each too, and where times lacked those of decoding. The decoder gives one picture for the two, under the time
of the first, and none for one field alone. No packet says that it is a second field, so what its first slice begins
with is read here (ITU-T H.264, 7.3.2.1.1, 7.3.2.2 and 7.3.3; "complementary field pair" in clause 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SLICES: Final = frozenset({1, 2, 5})
_ANEW: Final = 5
"""A slice of an instantaneous decoding refresh."""
_SEQUENCE: Final = 7
_PICTURE: Final = 8
_KIND_MASK: Final = 0x1F
_NEEDED_MASK: Final = 0x60
_RICH_PROFILES: Final = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
"""Those that say more of colours (7.3.2.1.1)."""
_FULL_COLOURS: Final = 3
"""chroma_format_idc of 4:4:4."""
_START: Final = b"\0\0\1"
_MAX_HEAD_BYTES: Final = 8192
"""What comes before the first slice of a packet is far less; one where it is more is taken for a picture of its own."""
_MAX_UNITS: Final = 64
_MAX_UNIT_BYTES: Final = 1024
_MAX_SLICE_BYTES: Final = 32
_MAX_SEQUENCE: Final = 31
_MAX_PICTURE: Final = 255
_MAX_COUNTER: Final = 12
_MAX_REFERENCES: Final = 16
_MOST: Final = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class _Sequence:
    has_fields: bool
    counter_bits: int
    references: int


@dataclass(frozen=True, slots=True)
class _Field:
    picture: tuple[int, bool]
    """Both fields of one have the same number, and both or none are needed by other pictures."""
    is_bottom: bool


class FieldPairs:
    """Tells second fields in a track. To be asked about each of its packets, in decoding order.

    Args:
        codec: libav's name; of all but H.264 no packet is a second field.
        untrusted_extradata: what the container says of the codec.
    """

    def __init__(self, codec: str, untrusted_extradata: bytes | None) -> None:
        self._is_known = codec == "h264"
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._has_fields = False
        self._first: _Field | None = None
        self._slice_kind = 0
        data = untrusted_extradata or b""
        self._length_bytes = (data[4] & 3) + 1 if len(data) > 6 and data[0] == 1 else 0  # noqa: PLR2004 - avcC
        if self._is_known:
            self._begun(_configured(data) if self._length_bytes else _between_start_codes(data))

    @property
    def awaits_second(self) -> bool:
        """Say whether the last packet asked about holds a field whose other one is still to come, if at all."""
        return self._first is not None

    @property
    def begins_anew(self) -> bool:
        """Say whether the last packet asked about, if it is a keyframe, has decoders forget all that came before it."""
        return not self._is_known or self._slice_kind == _ANEW

    def is_second(self, untrusted_packet: memoryview, *, is_key: bool) -> bool:
        """Say whether a packet holds the second field of the picture that the packet before it began.

        Args:
            untrusted_packet: what is in it.
            is_key: decoding can start there, so that it may say what is new of the sequence.
        """
        if not self._is_known or not (self._has_fields or is_key):
            return False
        first, field = self._first, self._begun(self._units(untrusted_packet))
        pairs = (
            first is not None
            and field is not None
            and (first.picture, first.is_bottom) == (field.picture, not field.is_bottom)
        )
        self._first = None if pairs else field
        return pairs

    @property
    def most_needed(self) -> int:
        """How many pictures are kept for the prediction of others, at most."""
        return max((known.references for known in self._sequences.values()), default=_MAX_REFERENCES)

    def is_needed(self, untrusted_packet: memoryview) -> bool:
        """Say whether others may be predicted from the picture in a packet; unknown, hence True, of other codecs."""
        if not self._is_known:
            return True
        slices = (unit[0] for unit in islice(self._units(untrusted_packet), _MAX_UNITS) if _is_slice(unit))
        return bool(next(slices, _NEEDED_MASK) & _NEEDED_MASK)

    def _units(self, untrusted_packet: memoryview) -> Iterator[bytes]:
        if self._length_bytes:
            return _by_length(untrusted_packet, self._length_bytes)
        return _between_start_codes(bytes(untrusted_packet[:_MAX_HEAD_BYTES]))

    def _begun(self, units: Iterable[bytes]) -> _Field | None:
        """Learn from what comes before the first slice, and return which field that is of; None of a whole picture."""
        for unit in islice(units, _MAX_UNITS):
            kind = unit[0] & _KIND_MASK if unit else 0
            try:
                if kind in _SLICES:
                    self._slice_kind = kind
                    return self._field(_Bits(unit[1:_MAX_SLICE_BYTES]), is_needed=bool(unit[0] & _NEEDED_MASK))
                if kind == _SEQUENCE:
                    self._learn_sequence(_Bits(unit[1:]))
                elif kind == _PICTURE:
                    self._learn_picture(_Bits(unit[1:]))
            except ValueError:  # too short, or no such thing
                continue
        return None

    def _learn_sequence(self, bits: _Bits) -> None:
        number, sequence = _sequence(bits)
        self._sequences[number] = sequence
        self._has_fields = any(known.has_fields for known in self._sequences.values())

    def _learn_picture(self, bits: _Bits) -> None:
        number = bits.ue(_MAX_PICTURE)
        self._sequence_of[number] = bits.ue(_MAX_SEQUENCE)

    def _field(self, bits: _Bits, *, is_needed: bool) -> _Field | None:
        bits.ue()  # first_mb_in_slice
        bits.ue()  # slice_type
        sequence = self._sequences.get(self._sequence_of.get(bits.ue(), -1))
        if sequence is None or not sequence.has_fields:
            return None
        number = bits.u(sequence.counter_bits)
        return _Field((number, is_needed), bool(bits.u(1))) if bits.u(1) else None


def _is_slice(unit: bytes) -> bool:
    return bool(unit) and unit[0] & _KIND_MASK in _SLICES


class _Bits:
    """Reads the bits of a NAL unit. Raises ValueError at its end."""

    def __init__(self, untrusted_unit: bytes) -> None:
        data = untrusted_unit.replace(b"\0\0\3", b"\0\0")
        self._bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self._at = 0

    def u(self, length: int) -> int:
        """Read a number of so many bits."""
        bits = self._bits[self._at : self._at + length]
        if len(bits) < length:
            raise ValueError
        self._at += length
        return int(bits, 2)

    def ue(self, most: int = _MOST) -> int:
        """Read a number in Exp-Golomb code, no greater than `most`."""
        one_at = self._bits.index("1", self._at)
        zeros = one_at - self._at
        self._at = one_at
        number = self.u(zeros + 1) - 1
        if number > most:
            raise ValueError
        return number

    def se(self) -> int:
        """Read a signed number in Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _sequence(bits: _Bits) -> tuple[int, _Sequence]:
    """Read a sequence parameter set as far as it tells how slices begin, and return its number too."""
    profile = bits.u(8)
    bits.u(16)  # constraints, level
    number = bits.ue(_MAX_SEQUENCE)
    if profile in _RICH_PROFILES:
        _skip_colours(bits)
    counter_bits = bits.ue(_MAX_COUNTER) + 4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.ue()
        bits.ue()
        for _ in range(bits.ue()):
            bits.ue()
    references = bits.ue(_MAX_REFERENCES)
    bits.u(1)
    bits.ue()  # width
    bits.ue()  # height
    return number, _Sequence(not bits.u(1), counter_bits, references)


def _skip_colours(bits: _Bits) -> None:
    colours = bits.ue()
    if colours == _FULL_COLOURS and bits.u(1):
        raise ValueError  # planes apart: their slices begin otherwise, and libav decodes none of them
    bits.ue()  # depths
    bits.ue()
    bits.u(1)
    if bits.u(1):
        for matrix in range(12 if colours == _FULL_COLOURS else 8):
            if bits.u(1):
                _skip_matrix(bits, 16 if matrix < 6 else 64)  # noqa: PLR2004 - 4x4, then 8x8


def _skip_matrix(bits: _Bits, size: int) -> None:
    last = 8
    for _ in range(size):
        following = (last + bits.se()) % 256
        if not following:
            return
        last = following


def _by_length(untrusted_data: memoryview, length_bytes: int) -> Iterator[bytes]:
    """Yield NAL units with their lengths before them, as MP4 and Matroska have them; the beginning of long ones."""
    at = 0
    while at + length_bytes < len(untrusted_data):
        begin = at + length_bytes
        size = int.from_bytes(untrusted_data[at:begin], "big")
        yield bytes(untrusted_data[begin : begin + min(size, _MAX_UNIT_BYTES)])
        at = begin + size


def _between_start_codes(untrusted_data: bytes) -> Iterator[bytes]:
    """Yield NAL units with start codes before them, as MPEG-TS has them, with what follows short ones."""
    at = 0
    while (at := untrusted_data.find(_START, at) + len(_START)) >= len(_START):
        yield untrusted_data[at : at + _MAX_UNIT_BYTES]


def _configured(untrusted_data: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of an AVC configuration record (ISO/IEC 14496-15, 5.3.3.1.2)."""
    at = 5
    for count_mask in (0x1F, 0xFF):  # of sequences, of pictures
        count = untrusted_data[at] & count_mask if at < len(untrusted_data) else 0
        at += 1
        for _ in range(count):
            begin = at + 2
            size = int.from_bytes(untrusted_data[at:begin], "big")
            yield untrusted_data[begin : begin + min(size, _MAX_UNIT_BYTES)]
            at = begin + size
