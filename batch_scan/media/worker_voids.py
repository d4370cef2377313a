"""Zeros in a bare stream of pictures where a part of the film was, in a decoder worker.

Such a stream has no container whose times would show a hole, and zeros between pictures are lawful in all of them
(`trailing_zero_8bits` of H.264 and HEVC, `zero_byte` of MPEG-2): parsers make them a part of the picture before. As
padding they keep a rate constant, so no picture has more of them than a decoder's buffer holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from av.packet import Packet

_BARE_FORMATS: Final = frozenset({"avs2", "avs3", "cavsvideo", "evc", "h264", "hevc", "m4v", "mpegvideo", "vc1", "vvc"})
"""libav's names of those that part pictures by start codes."""

_BLOCK: Final = bytes(32 << 10)
_LEAST_BLOCKS: Final = 2
_LEAST_S: Final = 1.0
"""More zeros in one picture than so much of the film takes are no padding: the buffer of MPEG-2's main level holds
0.12 s at its full rate."""


class Voids:
    """Counts the zeros in the packets of one track. Use once; costs nothing where the format has a container.

    Args:
        container: libav's name of the format.
    """

    def __init__(self, container: str) -> None:
        self.is_bare = container in _BARE_FORMATS
        self._all_bytes = 0
        self._zeros_bytes: list[int] = []

    def note(self, packet: Packet[Any]) -> None:
        """Take the next packet."""
        self._all_bytes += packet.size
        if packet.size < _LEAST_BLOCKS * len(_BLOCK):
            return
        data = memoryview(packet)
        starts = range(0, packet.size - len(_BLOCK) + 1, len(_BLOCK))
        blocks = sum(data[at : at + len(_BLOCK)] == _BLOCK for at in starts)
        if blocks >= _LEAST_BLOCKS:
            self._zeros_bytes.append(blocks * len(_BLOCK))

    def found(self, length_s: float) -> str:
        """Say what is missing of a track whose pictures last `length_s`; empty where nothing is known to be."""
        per_s = (self._all_bytes - max(self._zeros_bytes, default=0)) / max(length_s, _LEAST_S)
        void_bytes = sum(zeros_bytes for zeros_bytes in self._zeros_bytes if zeros_bytes > _LEAST_S * per_s)
        if not void_bytes:
            return ""
        lost = f", as many as {void_bytes / per_s:.1f} s of pictures take" if per_s else ""
        return f"{void_bytes:,} bytes of the file are zeros{lost}"
