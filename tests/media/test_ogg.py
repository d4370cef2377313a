"""Where an Ogg file is cut, against pages made by the book."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.ogg import behind_last_ogg_page, ends_ogg_stream


def ogg_page(body: bytes, flags: int = 0) -> bytes:
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    return b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(lacing)]) + lacing + body


@given(st.binary(max_size=2000), st.integers(0, 2100))
def test_a_cut_within_an_ogg_page_shows(body: bytes, missing: int) -> None:
    body = body.replace(b"OggS", b"oggs")
    page = ogg_page(body)
    assert behind_last_ogg_page(b"\0" * 30 + page) == 0
    assert behind_last_ogg_page(page + b"a tag of another kind") == len(b"a tag of another kind")
    kept = page[: max(4, len(page) - missing)]
    assert (behind_last_ogg_page(b"\0" * 30 + kept) < 0) == (len(kept) < len(page))


def test_what_is_no_ogg_is_not_called_cut() -> None:
    assert behind_last_ogg_page(b"") == 0
    assert behind_last_ogg_page(bytes(1000)) == 1000
    assert not ends_ogg_stream(bytes(1000))


def test_the_last_page_of_a_stream_is_known_by_its_flag() -> None:
    assert ends_ogg_stream(ogg_page(b"a") + ogg_page(b"b", flags=4))
    assert not ends_ogg_stream(ogg_page(b"a", flags=4) + ogg_page(b"b"))
    assert not ends_ogg_stream(ogg_page(b"a", flags=4) + b"OggS")
