"""Whether transport packets of a sound track are lost where its times leave a hole, in a decoder worker.

libav compares the counters of MPEG-TS (ISO/IEC 13818-1, 2.4.3.3), and marks the piece at hand where they leap; a piece
of sound that tells its own length is complete by then, and the mark is forgotten with the next one. So where sound is
missing the counters on both sides of the hole are read from the file: where they go on, nothing was ever there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from batch_scan.media.timeline import HOLE_MIN_S

if TYPE_CHECKING:
    from av.packet import Packet

TRANSPORT_LOST: Final = "transport packets are missing"

_SYNC: Final = 0x47
_SIZES: Final = (188, 192, 204)
"""Of a packet: bare, behind its time (M2TS), before its checksum."""
_PACKETS_IN_ROW: Final = 5
_HEADER_BYTES: Final = 6
_PAYLOAD, _FIELD = 0x10, 0x20
_DISCONTINUITY: Final = 0x80
_BLOCK_PACKETS: Final = 4096


class LostTransport:
    """Follows the packets of one track; costs nothing outside MPEG-TS, nor where there is no hole.

    Args:
        path: the file.
        container: libav's name of its format.
    """

    def __init__(self, path: str, container: str) -> None:
        self._path = path
        self._is_transport = container == "mpegts"
        self._next_s: float | None = None
        self._before = -1

    def is_before(self, packet: Packet[Any]) -> bool:
        """Take the next packet; say whether some are lost between it and the one before."""
        if not self._is_transport or packet.pts is None or packet.time_base is None:
            return False
        at_s = float(packet.pts * packet.time_base)
        has_hole = self._next_s is not None and at_s - self._next_s >= HOLE_MIN_S
        before, self._before = self._before, self._before if packet.pos is None else packet.pos
        self._next_s = at_s + float((packet.duration or 0) * packet.time_base)
        if not has_hole or not 0 <= before < self._before:
            return False
        try:
            with Path(self._path).open("rb") as file:
                return counters_leap(file, before, self._before)
        except OSError:
            return False


def counters_leap(file: BinaryIO, begin: int, end: int) -> bool:
    """Say whether the transport packet at `end` does not follow the last one of its track behind `begin`."""
    file.seek(end)
    head = file.read(_SIZES[-1] * _PACKETS_IN_ROW)
    sync = next((at for at in (0, _SIZES[1] - _SIZES[0]) if _size(head[at:])), None)
    if sync is None:
        return False
    size, header = _size(head[sync:]), head[sync : sync + _HEADER_BYTES]
    if not header[3] & _PAYLOAD or (header[3] & _FIELD and header[4] and header[5] & _DISCONTINUITY):
        return False
    stop = end + sync
    while stop > begin:
        start = max(stop - size * _BLOCK_PACKETS, stop - (stop - begin) // size * size)
        if start == stop:
            break
        file.seek(start)
        block = file.read(stop - start)
        counter = _last_counter(block, size, header[1] & 0x1F, header[2])
        if counter is not None:
            return (counter + 1) & 0xF != header[3] & 0xF
        stop = start
    return False


def _size(data: bytes) -> int:
    """Return how large the transport packets are that data begins with; 0 where it begins with none."""
    for size in _SIZES:
        firsts = data[: size * _PACKETS_IN_ROW : size]
        if len(firsts) == _PACKETS_IN_ROW and set(firsts) == {_SYNC}:
            return size
    return 0


def _last_counter(block: bytes, size: int, untrusted_high: int, untrusted_low: int) -> int | None:
    """Return the counter of the last packet with a payload of one track; None where there is none."""
    for at in range(len(block) - size, -1, -size):
        is_ours = block[at + 2] == untrusted_low and block[at + 1] & 0x1F == untrusted_high and block[at] == _SYNC
        if is_ours and block[at + 3] & _PAYLOAD:
            return block[at + 3] & 0xF
    return None
