from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media import wire

SECONDS = st.floats(0, 1e6)


@given(st.integers(0, 1 << 31), SECONDS, SECONDS, st.integers(1, 1 << 31), st.binary(min_size=1, max_size=100))
def test_a_picture_comes_as_it_went(track: int, start_s: float, length_s: float, stands_for: int, jpeg: bytes) -> None:
    picture = wire.Picture(track, start_s, start_s + length_s, stands_for, jpeg)
    message = wire.pack_picture(picture)
    kind, length = wire.unpack_header(message[: wire.HEADER.size])
    assert (kind, length) == (wire.Kind.PICTURE, len(message) - wire.HEADER.size)
    assert wire.unpack_picture(message[wire.HEADER.size :]) == picture


STAMP = st.builds(wire.Stamp, st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, (1 << 32) - 1), st.booleans())


@given(st.lists(STAMP, max_size=50), st.binary(min_size=1, max_size=100))
def test_sound_comes_as_it_went(stamps: list[wire.Stamp], pcm: bytes) -> None:
    message = wire.pack_sound(wire.Sound(tuple(stamps), pcm))
    kind, length = wire.unpack_header(message[: wire.HEADER.size])
    assert (kind, length) == (wire.Kind.SOUND, len(message) - wire.HEADER.size)
    assert wire.unpack_sound(message[wire.HEADER.size :]) == wire.Sound(tuple(stamps), pcm)


def test_a_name_that_is_not_text_comes_as_it_went() -> None:
    message = wire.pack_json(wire.Kind.REQUEST, {"path": "/a/\udcff\n:.mp4"})
    assert wire.unpack_json(message[wire.HEADER.size :]) == {"path": "/a/\udcff\n:.mp4"}


@given(
    st.builds(
        wire.Copied,
        *(st.integers(0, 9), st.integers(-9, 1 << 60), st.integers(0, 1 << 40), st.integers(1 + (1 << 40), 1 << 60)),
        *(st.booleans(), st.binary(min_size=1, max_size=99)),
    )
)
def test_copied_sound_comes_as_it_went(copied: wire.Copied) -> None:
    message = wire.pack_copied(copied)
    kind, length = wire.unpack_header(message[: wire.HEADER.size])
    assert (kind, length) == (wire.Kind.COPIED, len(message) - wire.HEADER.size)
    assert wire.unpack_copied(message[wire.HEADER.size :]) == copied


@pytest.mark.parametrize(("start", "end", "data"), [(-1, 5, b"x"), (5, 5, b"x"), (6, 5, b"x"), (0, 5, b"")])
def test_copied_sound_that_cannot_be_is_refused(start: int, end: int, data: bytes) -> None:
    message = wire.pack_copied(wire.Copied(0, 0, start, end, is_last=True, data=data))
    with pytest.raises(wire.WireError):
        wire.unpack_copied(message[wire.HEADER.size :])


@given(st.binary(max_size=64))
def test_garbage_is_refused_or_read_but_never_fails_otherwise(body: bytes) -> None:
    for read in (wire.unpack_header, wire.unpack_json, wire.unpack_picture, wire.unpack_sound, wire.unpack_copied):
        try:
            read(body)
        except wire.WireError:
            continue


@pytest.mark.parametrize("kind", list(wire.Kind))
def test_a_length_is_checked_before_a_buffer_of_it_is_made(kind: wire.Kind) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_header(wire.HEADER.pack(kind, 0xFFFFFFFF))


@pytest.mark.parametrize(("start_s", "end_s"), [(math.nan, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.0, math.inf)])
def test_impossible_times_are_refused(start_s: float, end_s: float) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_picture(struct.pack("<IIdd", 0, 1, start_s, end_s) + b"jpeg")


@pytest.mark.parametrize("value", [[], 1, "text", None])
def test_only_an_object_is_a_message(value: object) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_json(json.dumps(value).encode())
