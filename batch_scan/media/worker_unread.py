"""Bytes of a bare sound file that are in none of its packets, in a decoder worker.

A format without a container has no length and no list: its demuxer and parser look for the next frame, and what they
pass over on the way is gone without a word, from the declared length too, as that is counted from what is left. But
every packet has a size, and the file has one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batch_scan.media.tags import begin_behind_tags, end_before_tags, is_tag

if TYPE_CHECKING:
    from typing import BinaryIO

    from av.packet import Packet

_MOST_FRAME_BYTES: Final = {
    "aac": 8191,
    "ac3": 8192,
    "amr": 62,
    "dts": 65_536,
    "eac3": 16_384,
    "loas": 8194,
    "mlp": 8190,
    "mp3": 2881,
    "truehd": 8190,
}
"""Formats that are looked at, by libav's names, and what no packet of them exceeds: parsers make one packet of a frame
and of all that follows it and is none. MPEG layer II at 8 kHz; the 13 bits of ADTS (and the header of LOAS); AC-3 with
what goes along with it (3840 and 4096), E-AC-3 with three such; DTS-HD of 24.5 Mbit/s, doubled; the 12 bits of MLP."""

_SPARE_PACKETS: Final = 2
_SPARE_BEFORE_BYTES: Final = 8192
"""Before the first packet may lie a frame that describes the others (Xing), and the padding of careless taggers."""

_XING: Final = re.compile(rb"(?:Xing|Info)\0\0\0[\1\3\5\7\x09\x0b\x0d\x0f](.{4})", re.DOTALL)
"""In the first frame of an MP3, where it tells how many others there are: 0x1 of the flags."""
_XING_WITHIN_BYTES: Final = 4 + 2 + 32 + 12

_MARK_EVERY: Final = 64
_MARK_BYTES: Final = 8


class Unread:
    """Counts what lies between the packets of one file. Use once; costs nothing where the format has a container.

    Args:
        path: the file.
        format_name: libav's name of its format.
    """

    def __init__(self, path: str, format_name: str) -> None:
        self._path = path
        self._most_bytes = _MOST_FRAME_BYTES.get(format_name, 0)
        self._first = -1
        self._next = 0
        self._packets = self._all_bytes = self._largest = 0
        self._odd_packets = self._odd_bytes = 0
        self._heard_s = 0.0
        self._at_s: float | None = None
        self._marks: list[tuple[int, bytes, float]] = []

    def note(self, packet: Packet[Any]) -> None:
        """Take the next packet."""
        size, at = packet.size, packet.pos
        if not self._most_bytes or at is None:
            return
        if self._first < 0:
            self._first = self._next = at
        is_odd = size > self._most_bytes
        if self._at_s is None and (is_odd or at - self._next > self._most_bytes):
            self._at_s = self._heard_s
        if is_odd:
            self._odd_packets += 1
            self._odd_bytes += size
        else:
            self._largest = max(self._largest, size)
        if not self._packets % _MARK_EVERY:
            self._marks.append((at, bytes(memoryview(packet)[:_MARK_BYTES]), self._heard_s))
        self._packets += 1
        self._all_bytes += size
        self._next = at + size
        if packet.duration and packet.time_base:
            self._heard_s += float(packet.duration * packet.time_base)

    def tally(self) -> dict[str, Any] | None:
        """Return how much was passed over: bytes, how long as much sound lasts, when it was; None where nothing was."""
        usual = self._packets - self._odd_packets
        if self._first < 0 or not usual:
            return None
        per_packet = (self._all_bytes - self._odd_bytes) / usual
        odd_bytes = self._odd_bytes - round(per_packet * self._odd_packets)
        try:
            with Path(self._path).open("rb") as file:
                end = end_before_tags(file, file.seek(0, 2))
                if is_tag(file, self._next):
                    end = min(end, self._next)
                begin = begin_behind_tags(file)
                if self._is_all_there(file, begin):
                    return None
                before = self._first - begin
                before = before if before > _SPARE_BEFORE_BYTES else 0
                passed = max(0, before + end - self._first - self._all_bytes + odd_bytes)
                if passed <= _SPARE_PACKETS * self._largest:
                    return None
                at_s = 0.0 if before else self._passed_at_s(file)
        except OSError:
            return None
        return {"size_bytes": passed, "length_s": passed * self._heard_s / self._packets / per_packet, "at_s": at_s}

    def _is_all_there(self, file: BinaryIO, begin: int) -> bool:
        """Say whether an MP3's own description counts as many frames as came: what else there is was never sound."""
        file.seek(begin)
        found = _XING.search(file.read(_XING_WITHIN_BYTES))
        return found is not None and abs(int.from_bytes(found[1]) - self._packets) <= _SPARE_PACKETS

    def _passed_at_s(self, file: BinaryIO) -> float:
        """Return when the first of it was; some parsers count places on as if they had passed over nothing."""
        if self._at_s is not None:
            return self._at_s
        for at, untrusted_bytes, heard_s in self._marks:
            file.seek(at)
            if file.read(_MARK_BYTES)[: len(untrusted_bytes)] != untrusted_bytes:
                return heard_s
        return self._heard_s
