"""What the outermost structure of a file tells that its demuxer keeps to itself.

libavformat replaces the declared length of an AVI or WMV file by what is there, so half of one passes as a shorter
film; it ends a fragmented MP4 without a word where a fragment's header is none; and of two files that were joined end
to end it reads, in most containers, the first and says nothing of the other. The sizes of the outermost parts still
tell (`walks`). Only their headers are read, and none of them is believed further than the file's end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from batch_scan.media import walks
from batch_scan.media.second_files import is_second_behind_first
from batch_scan.media.tags import end_before_tags
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batch_scan.media.walks import Part

_SPARE_BYTES: Final = 4096
"""What may lie behind everything else, or be missing of a last part: padding, a tag nobody knows, a careless size."""

_TS_TAIL_BYTES: Final = 8192
_TS_PACKETS: Final = re.compile(
    b"|".join(b"(?:G.{%d}){7}G" % (packet_bytes - 1) for packet_bytes in (188, 192, 204)), re.DOTALL
)
"""Eight packets in a row, each with its first byte (ISO/IEC 13818-1, 2.4.3.2), bare or with times or checksums."""


@dataclass(frozen=True, slots=True)
class _Container:
    walk: Callable[[BinaryIO, int], Iterator[Part]]
    first: frozenset[bytes | int] = frozenset()
    """What a file begins with; more of it is more files."""
    is_inside: bool = False
    """The walk begins behind the first."""
    spare_bytes: int = _SPARE_BYTES
    """By how much a part may exceed the file."""
    may_be_cut: frozenset[bytes | int] = frozenset()


_MP4: Final = _Container(
    walks.boxes, frozenset({b"moov"}), spare_bytes=0, may_be_cut=frozenset({b"free", b"skip", b"wide"})
)
_CONTAINERS: Final = {
    "aiff": _Container(walks.aiff_chunks, frozenset({b"FORM"}), is_inside=True),
    "apng": _Container(walks.png_chunks, spare_bytes=0),
    "asf": _Container(walks.asf_objects, frozenset({walks.ASF_HEADER})),
    "caf": _Container(walks.caf_chunks, frozenset({b"caff"}), is_inside=True),
    "w64": _Container(walks.w64_chunks, frozenset({walks.W64_RIFF}), is_inside=True),
    "wav": _Container(walks.wav_chunks, frozenset({b"RIFF", b"RIFX", b"RF64", b"BW64"}), is_inside=True),
    "wv": _Container(walks.wavpack_blocks, spare_bytes=0),
}

TELL_THEIR_END: Final = frozenset({"caf", "w64", "wav"})
"""Where these end too early is known from here; their demuxers complain of all that were written to a pipe."""


def structure_gap(path: Path, container: str) -> Shortfall | None:
    """Return what is missing of a file, or lies in it unread; None where nothing is, or its container does not say."""
    try:
        with path.open("rb") as file:
            return _gap(file, file.seek(0, 2), container)
    except OSError:
        return None  # whoever reads it next says so


def _gap(file: BinaryIO, size_bytes: int, container: str) -> Shortfall | None:
    if container == "avi":
        end = max((part.end for part in walks.riffs(file, size_bytes)), default=0)
        if end > size_bytes + 1:  # the padding of the last chunk is left out by some writers
            return _cut_off(end, size_bytes)
        return _joined() if sum(part.name == b"AVI " for part in walks.riffs(file, size_bytes)) > 1 else None
    if container.startswith("matroska"):
        segments = sum(part.name == walks.SEGMENT for part in walks.elements(file, size_bytes))
        return _joined() if segments > 1 else None
    if container == "mpegts":
        return _transport_gap(file, end_before_tags(file, size_bytes))
    if is_second_behind_first(file, size_bytes, container):
        return _joined()
    known = _MP4 if container.startswith("mov,") else _CONTAINERS.get(container)
    return None if known is None else _walked(known, file, end_before_tags(file, size_bytes))


def _walked(container: _Container, file: BinaryIO, size_bytes: int) -> Shortfall | None:
    firsts = int(container.is_inside)
    for part in container.walk(file, size_bytes):
        firsts += part.name in container.first
        if firsts > 1:
            return _joined()
        if part.end > size_bytes + container.spare_bytes and part.name not in container.may_be_cut:
            return _cut_off(part.end, size_bytes)
        if not part.is_one and size_bytes - part.start > _SPARE_BYTES:
            return _broken_off(part.start, size_bytes)
    return None


def _transport_gap(file: BinaryIO, size_bytes: int) -> Shortfall | None:
    """Look whether a transport stream goes on to the end of its file: no length is declared that would show it."""
    if size_bytes <= _TS_TAIL_BYTES or _TS_PACKETS.search(_read(file, size_bytes - _TS_TAIL_BYTES, _TS_TAIL_BYTES)):
        return None
    good, bad = 0, size_bytes - _TS_TAIL_BYTES
    while bad - good > _TS_TAIL_BYTES:
        middle = (good + bad) // 2
        if _TS_PACKETS.search(_read(file, middle, _TS_TAIL_BYTES)):
            good = middle
        else:
            bad = middle
    return _broken_off(bad, size_bytes)


def _broken_off(at: int, size_bytes: int) -> Shortfall:
    detail = (
        f"the file's structure breaks off at byte {at:,}: what lies behind it, {size_bytes - at:,} bytes, may hold "
        "more than was read"
    )
    return Shortfall(Reason.DAMAGED, detail)


def _cut_off(end: int, size_bytes: int) -> Shortfall:
    detail = f"the file is cut off: its header speaks of {end:,} bytes, there are {size_bytes:,}"
    return Shortfall(Reason.DAMAGED, detail)


def _joined() -> Shortfall:
    detail = "the file holds several recordings joined end to end, and those behind the first may be unread"
    return Shortfall(Reason.DAMAGED, detail)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
