"""Tags before and behind sound, as taggers write them."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.tags import begin_behind_tags, end_before_tags, is_tag

SOUND = bytes(range(1, 256)) * 40


def ape(body: bytes, *, has_header: bool) -> bytes:
    flags = 1 << 31 if has_header else 0
    header, footer = (
        struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(body) + 32, 1, flags | at_start) for at_start in (1 << 29, 0)
    )
    return (header if has_header else b"") + body + footer


def id3v2(body: bytes, *, has_footer: bool = False) -> bytes:
    sizes = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    rest = bytes([4, 0, 0x10 if has_footer else 0]) + sizes
    return b"ID3" + rest + body + (b"3DI" + rest if has_footer else b"")


TAGS = {
    "ID3v1": b"TAG" + bytes(125),
    "ID3v1 with its extension": b"TAG+" + bytes(223) + b"TAG" + bytes(125),
    "APE": ape(b"a cover" * 1000, has_header=True),
    "APE without a header": ape(b"a title", has_header=False),
    "ID3v2 at the end": id3v2(b"a title" * 50, has_footer=True),
    "Lyrics3": b"LYRICSBEGIN" + b"la" * 90 + b"000191" + b"LYRICS200",
    "Lyrics3 of old": b"LYRICSBEGIN" + b"la" * 90 + b"LYRICSEND",
}


@pytest.mark.parametrize("kind", TAGS)
def test_tags_at_the_end_are_left_out(kind: str) -> None:
    content = SOUND + TAGS[kind]
    assert end_before_tags(io.BytesIO(content), len(content)) == len(SOUND)
    assert is_tag(io.BytesIO(content), len(SOUND)) == (kind != "APE without a header")


def test_tags_behind_tags_are_left_out_too() -> None:
    content = SOUND + TAGS["APE"] + TAGS["Lyrics3"] + TAGS["ID3v1"]
    assert end_before_tags(io.BytesIO(content), len(content)) == len(SOUND)


def test_tags_at_the_beginning_are_left_out() -> None:
    tags = id3v2(b"a title" * 50) + id3v2(b"another", has_footer=True) + ape(b"one more", has_header=True)
    assert begin_behind_tags(io.BytesIO(tags + SOUND)) == len(tags)


def test_what_is_no_tag_stays() -> None:
    assert end_before_tags(io.BytesIO(SOUND), len(SOUND)) == len(SOUND)
    assert begin_behind_tags(io.BytesIO(SOUND)) == 0
    assert not is_tag(io.BytesIO(SOUND), 0)


@given(st.binary(max_size=300), st.sampled_from([b"", b"LYRICS200", b"LYRICSEND", ape(b"", has_header=True)]))
def test_no_bytes_make_it_leave_the_file(data: bytes, end: bytes) -> None:
    content = data + end
    assert 0 <= end_before_tags(io.BytesIO(content), len(content)) <= len(content)
    assert begin_behind_tags(io.BytesIO(content)) >= 0
