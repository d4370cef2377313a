"""What says that a container is damaged where the times of its packets do not, in a decoder worker.

Ogg, GIF and bare streams declare no length, and what a demuxer passes over leaves no hole where it was the end.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from batch_scan.media.ogg import OGG_PAGE_BYTES, behind_last_ogg_page, ends_ogg_stream
from batch_scan.media.tags import end_before_tags
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from av.packet import Packet

    from batch_scan.media.worker_open import LibavLog
    from batch_scan.media.worker_packets import TrackPackets

_MARKED_BEFORE_JOIN: Final = 2
"""The mark of a leap from one recording to the next is on one of so many packets before: libav's parser is as late."""
_STEP_PICTURES: Final = 2
"""A keyframe this soon after the picture before goes on where that one was; later, some are lost between."""

_COMPLAINT_CHARS: Final = 200
_SPARE_BYTES: Final = 4096
"""What may lie behind the last page: padding, a tag nobody knows; as much is left to other containers (`structure`)."""

_GIF_HEADER_BYTES: Final = 13
_GIF_IMAGE_BYTES: Final = 10
_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B
_GIF_COLOURS: Final = 0x80
_GIF_COLOURS_SIZE: Final = 7


class Marks:
    """Counts the packets of a track that the demuxer marked as damaged.

    Where recordings in MPEG-TS are joined, or cut for streaming and put together again, the counters of transport
    packets leap, and a picture before is marked that lacks nothing; such a place is a keyframe that goes on at once.

    Args:
        container: libav's name of the format.

    Attributes:
        waits: whether the last mark counts depends on the next packet.
    """

    def __init__(self, container: str) -> None:
        self.waits = False
        self._may_be_joined = container == "mpegts"
        self._last_s = 0.0
        self._counted = 0
        self._latest: deque[bool] = deque(maxlen=_MARKED_BEFORE_JOIN)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._counted + sum(self._latest)

    def note(self, packet: Packet[Any], decoded_s: float | None, *, breaks: bool, picture_s: float) -> None:
        """Take the next packet; one without a mark need not be told where nothing waits for it.

        Args:
            packet: it.
            decoded_s: when it is decoded, as far as that is known.
            breaks: the container's times jumped back before it.
            picture_s: how long one picture is shown.
        """
        before_s, self._last_s = self._last_s, self._last_s if decoded_s is None else decoded_s
        goes_on = breaks or (packet.is_keyframe and self._last_s - before_s <= _STEP_PICTURES * picture_s)
        if goes_on and self._may_be_joined:
            self._latest.clear()
        elif len(self._latest) == _MARKED_BEFORE_JOIN:
            self._counted += self._latest[0]
        self._latest.append(packet.is_corrupt)
        self.waits = any(self._latest)


def container_damage(path: str, container: str, packets: TrackPackets, log: LibavLog) -> str:
    """Say what shows that the container of a track is damaged.

    Args:
        path: the file.
        container: libav's name of its format.
        packets: the track, read as far as was wanted.
        log: what libav said of it.

    Returns:
        A phrase; empty where nothing does.
    """
    if log.demuxer_errors:
        words = clean_text(log.demuxer_error, _COMPLAINT_CHARS)
        return f"the container is damaged ({words}{_times(log.demuxer_errors)})"
    if packets.demux_failures:
        return f"the container is damaged (it could not be read on{_times(packets.demux_failures)})"
    if packets.marks.count:
        return f"packets of it are marked as damaged ({packets.marks.count})"
    if void := packets.voids.found(packets.count * packets.frame_s):
        return void
    return f"the file is not whole: {cut}" if (cut := _cut(path, container)) else ""


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""


def _cut(path: str, container: str) -> str:
    """Say how the end of a file shows that it is not the end; empty where it does not."""
    tells = {"ogg": _ogg_cut, "gif": _gif_cut}.get(container)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs a worker more than the read
            return "" if tells is None else tells(file)
    except (OSError, ValueError):  # gone, or empty by now
        return ""


def _ogg_cut(file: BinaryIO) -> str:
    end = end_before_tags(file, file.seek(0, os.SEEK_END))
    tail_bytes = min(end, OGG_PAGE_BYTES)
    file.seek(end - tail_bytes)
    tail = file.read(tail_bytes)
    behind = behind_last_ogg_page(tail)
    if behind < 0:
        return "it ends within a page"
    if behind > _SPARE_BYTES:
        return f"{behind:,} bytes behind its last page are none"
    return "" if ends_ogg_stream(tail) else "its last page is not called the last"


def _gif_cut(file: BinaryIO) -> str:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return "" if is_gif_whole(data) else "it has no end mark"


def is_gif_whole(untrusted_data: bytes | mmap.mmap) -> bool:
    """Say whether a GIF has its trailer (GIF89a, appendix B and section 27)."""
    if len(untrusted_data) < _GIF_HEADER_BYTES:
        return False
    at = _GIF_HEADER_BYTES + _colours_bytes(untrusted_data[_GIF_HEADER_BYTES - 3])
    while at < len(untrusted_data) and (kind := untrusted_data[at]) != _GIF_TRAILER:
        if kind == _GIF_EXTENSION:
            at += 2
        elif kind == _GIF_IMAGE and at + _GIF_IMAGE_BYTES <= len(untrusted_data):
            at += _GIF_IMAGE_BYTES + _colours_bytes(untrusted_data[at + _GIF_IMAGE_BYTES - 1]) + 1
        else:
            return False
        at = _behind_blocks(untrusted_data, at)
    return at < len(untrusted_data)


def _colours_bytes(flags: int) -> int:
    """Return the size of a table of colours."""
    return 3 << (flags & _GIF_COLOURS_SIZE) + 1 if flags & _GIF_COLOURS else 0


def _behind_blocks(untrusted_data: bytes | mmap.mmap, at: int) -> int:
    while at < len(untrusted_data) and (length := untrusted_data[at]):
        at += 1 + length
    return at + 1
