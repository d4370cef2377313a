"""Packets of a track that are held back until it is known which have to be decoded, in a decoder worker. Pure."""

from __future__ import annotations

import math
from collections import deque
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batch_scan.media.worker_packets import TrackPacket

_PACKET_BYTES: Final = 1024
"""What a packet takes besides what is in it: 336 MB for the 360,000 of a still film of two hours at 50 a second, which
hold 5 MB."""


class Held:
    """Packets in decoding order, none of them decoded yet."""

    def __init__(self) -> None:
        self._packets: deque[TrackPacket] = deque()
        self.size_bytes = 0
        """What they take in memory."""
        self.reach_s = -math.inf
        """When the last of their pictures is shown."""

    def __bool__(self) -> bool:
        return bool(self._packets)

    def __iter__(self) -> Iterator[TrackPacket]:
        return iter(self._packets)

    @property
    def first(self) -> TrackPacket | None:
        """The one to be decoded first."""
        return self._packets[0] if self._packets else None

    def append(self, packet: TrackPacket) -> None:
        """Hold one more."""
        self._packets.append(packet)
        self.size_bytes += packet.packet.size + _PACKET_BYTES
        self.reach_s = max(self.reach_s, shown_s(packet))

    def take(self) -> list[TrackPacket]:
        """Hand all of them over."""
        packets = list(self._packets)
        self.clear()
        return packets

    def replace(self, packets: Iterable[TrackPacket]) -> None:
        """Hold these, and nothing else."""
        self.clear()
        for packet in packets:
            self.append(packet)

    def drop_before(self, key: TrackPacket) -> None:
        """Let go of what comes before one of them, and of all where it is not among them."""
        kept = self.take()
        self.replace(kept[next((at for at, held in enumerate(kept) if held is key), len(kept)) :])

    def picture_of(self, first: TrackPacket) -> list[TrackPacket]:
        """Return one of them with that of the second field of its picture, where that one is a packet of its own."""
        second = (held for before, held in pairwise(self._packets) if before is first and held.is_second)
        return [first, *second]

    def clear(self) -> None:
        """Let go of all."""
        self._packets.clear()
        self.size_bytes = 0
        self.reach_s = -math.inf


class Outlook:
    """What pictures are still to come of packets that are decoded one after the other.

    Args:
        packets: in decoding order.
        restart: one of them that decoding can start at afresh; it and what is shown behind it need none of the others.
        end_s: the end of the track, where nothing follows these packets.

    Attributes:
        restart_at: its place; behind the last where there is none.
        restart_s: when it is shown; infinite where there is none.
    """

    def __init__(self, packets: list[TrackPacket], restart: TrackPacket | None, end_s: float = -math.inf) -> None:
        self.restart_s = math.inf if restart is None else shown_s(restart)
        self.end_s = end_s
        self.restart_at = next((at for at, packet in enumerate(packets) if packet is restart), len(packets))
        self._times_s = [
            -math.inf if at >= self.restart_at and shown_s(packet) >= self.restart_s else shown_s(packet)
            for at, packet in enumerate(packets)
        ]
        self._last_at = {time_s: at for at, time_s in enumerate(self._times_s)}
        self._reach_s = [*accumulate(reversed(self._times_s), max, initial=-math.inf)]

    def reach_s(self, at: int) -> float:
        """Return when the last picture is shown of the packets from place `at` on that need some before the restart."""
        return self._reach_s[-1 - at]

    def is_past(self, time_s: float, at: int) -> bool:
        """Say whether all packets of a picture come before place `at`, and the one to restart at does not."""
        return at <= self.restart_at and self._last_at.get(time_s, -1) < at


def shown_s(packet: TrackPacket) -> float:
    """Return the time of a packet of a selective pass, where all have one."""
    return packet.time_s if packet.time_s is not None else math.nan
