"""The end of an Ogg file, which declares no duration that would show what is missing of it. Pure.

Layout of a page: RFC 3533, section 6.
"""

from __future__ import annotations

from typing import Final

OGG_PAGE_BYTES: Final = 27 + 255 + 255 * 255
"""The largest page there can be."""

_CAPTURE: Final = b"OggS"
_FLAGS_AT: Final = 5
_ENDS_STREAM: Final = 4
_SEGMENTS_AT: Final = 26


def behind_last_ogg_page(tail: bytes) -> int:
    """Return how many bytes lie behind the last page of an Ogg file, or, below 0, how many are missing of it.

    Args:
        tail: the end of the file, `OGG_PAGE_BYTES` or the whole of it. Where it holds no page all of it counts.
    """
    at = tail.rfind(_CAPTURE)
    if at < 0:
        return len(tail)
    page = tail[at:]
    segments = page[_SEGMENTS_AT] if len(page) > _SEGMENTS_AT else 255
    table = page[_SEGMENTS_AT + 1 : _SEGMENTS_AT + 1 + segments]
    return len(page) - (_SEGMENTS_AT + 1 + segments + sum(table))


def ends_ogg_stream(tail: bytes) -> bool:
    """Say whether the last page of an Ogg file is called the last of its stream."""
    at = tail.rfind(_CAPTURE)
    return at >= 0 and at + _FLAGS_AT < len(tail) and bool(tail[at + _FLAGS_AT] & _ENDS_STREAM)
