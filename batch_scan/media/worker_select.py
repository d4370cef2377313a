"""Choosing and decoding the wanted pictures of a track, in a decoder worker, for as little decoding as is safe.

One pass over the packets in file order, a group of pictures at a time. Groups that hold nothing wanted are dropped
undecoded; on the way to a wanted picture those that no other picture needs are skipped; behind the last one of a group
nothing is decoded: the decoder is told that this was all, so that it gives out what it holds back. The times of all
packets are known before their pictures, so every picture that comes is compared with the one that should have come.
Where they differ (damage, intra refresh, lying flags) or a container gives no times, `Mistrusted` is raised and the
track is decoded plainly, every packet of it, from where it got to. What this comes to for a whole track, and why
nothing is sought, says `ways`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from batch_scan.media.wanted import EPSILON_S
from batch_scan.media.ways import Whole
from batch_scan.media.worker_held import Held, Outlook, shown_s
from batch_scan.media.worker_progress import Mistrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.media.wanted import WantedTimes
    from batch_scan.media.worker_decode import Shown, TrackDecoder
    from batch_scan.media.worker_packets import TrackPacket, TrackPackets
    from batch_scan.media.worker_progress import Progress

_MAX_HELD_BYTES: Final = 64 << 20
"""Packets held back until it is known whether they are needed; beyond, they are decoded to be on the safe side."""

_MAX_WAITING_BYTES: Final = 16 << 20
"""Needed packets wait for the end of their group, so that nothing is decoded to get a picture out; beyond, they do not.
A group of 10 s at 12 Mbit/s is as large."""


class SelectivePass:
    """Decodes only what leads to wanted pictures. Iterate once.

    Attributes:
        alone: keyframes that were decoded for themselves.
    """

    def __init__(self, packets: TrackPackets, decoder: TrackDecoder, progress: Progress) -> None:
        self._packets = packets
        self._decoder = decoder
        self._progress = progress
        self._wanted = progress.wanted
        self._held = Held()
        self._key: TrackPacket | None = None
        """A held keyframe whose leading pictures (shown before it, decoded after it) may still follow."""
        self._fresh = True
        """The decoder has to start afresh at the first held packet."""
        self._sent_to_s = -math.inf
        self._group_s = 0.0
        self._last_key_s = -math.inf
        self._undecodable_from_s: float | None = None
        self._alone_works = True
        self.alone = 0

    def __iter__(self) -> Iterator[Shown]:
        self._progress.forget_expected()
        for packet in self._packets:
            if packet.time_s is None:
                raise Mistrusted(Whole.NO_TIMES)
            if packet.breaks:
                yield from self._finish()
                self._drop_held()
            if self._cannot_start_at(packet, packet.time_s):
                continue
            yield from self._accept(packet, packet.time_s)
            if self._progress.stop_if_full(packet.time_s):
                return
        yield from self._finish()
        if self._undecodable_from_s is not None and self._wanted.wants(self._packets.end_s):
            raise Mistrusted(Whole.NO_KEYFRAME)
        yield from self._last_picture()

    def _is_hungry(self) -> bool:
        """Say whether a wanted picture is inside the decoder and has to come out."""
        return math.isfinite(self._sent_to_s) and self._wanted.wants(self._sent_to_s)

    def _cannot_start_at(self, packet: TrackPacket, time_s: float) -> bool:
        """Say whether a packet is to be passed over because decoding has not begun and cannot begin there.

        It is tried, since what a container calls a keyframe is but a claim, and a few codecs begin anywhere.
        """
        if not self._fresh or self._held or packet.is_key:
            self._undecodable_from_s = None
            return False
        if self._undecodable_from_s is None:
            self._undecodable_from_s = time_s
            self._decoder.restart()
        is_long = time_s - self._undecodable_from_s > self._progress.lead_in_s
        if is_long or self._decoded(packet, whole=True, blame=False):
            raise Mistrusted(Whole.NO_KEYFRAME)
        return True

    def _accept(self, packet: TrackPacket, time_s: float) -> Iterator[Shown]:
        key = self._key
        if key is not None and (packet.is_key or time_s > shown_s(key)):
            self._key = None
            yield from self._resolve(key)
        self._progress.expect(time_s)
        if packet.is_key:
            self._group_s = time_s - self._last_key_s
            self._last_key_s = time_s
        if self._is_hungry():
            yield from self._send(packet)
            return
        if packet.is_key and (self._holds_wanted() or self._wanted.wants(time_s + self._progress.early_s)):
            self._key = packet
        elif packet.is_key:
            self._drop_held()
        self._held.append(packet)
        if self._held.size_bytes > _MAX_HELD_BYTES:
            self._key = None
        if self._key is None and self._is_due(packet, time_s):
            yield from self._send_held()

    def _is_due(self, packet: TrackPacket, time_s: float) -> bool:
        """Say whether the held packets have to be decoded before the end of their group is known."""
        if self._held.size_bytes <= _MAX_WAITING_BYTES:
            return False
        order_s = time_s if packet.decoded_s is None else packet.decoded_s
        is_late = order_s > self._wanted.next_s + self._progress.late_s and self._holds_wanted()
        return is_late or self._held.size_bytes > _MAX_HELD_BYTES

    def _resolve(self, key: TrackPacket) -> Iterator[Shown]:
        """Have what is wanted before a held keyframe, and decide about it; its leading pictures are held too."""
        key_s = shown_s(key)
        is_start = self._fresh and self._held.first is key  # its leading pictures lean on what is not there
        if not is_start and self._wants_before(key_s) and not self._is_near(key_s):
            yield from self._send_held(key)
            if not any(held is key for held in self._held):
                return  # it was decoded on the way to its leading pictures
        self._held.drop_before(key)
        self._start_afresh()
        is_needless = not self._is_near(key_s) or key_s <= self._progress.last_taken_s + EPSILON_S
        if not self._wanted.wants(key_s) and is_needless:
            return
        if self._progress.late_s and not self._alone_works:
            yield from self._send_held()
        elif self._progress.late_s and self._is_worth_alone(key_s):
            yield from self._take_alone(key)

    def _wants_before(self, key_s: float) -> bool:
        return any(shown_s(held) < key_s and self._wanted.wants(shown_s(held)) for held in self._held)

    def _is_near(self, key_s: float, wanted: WantedTimes | None = None) -> bool:
        """Say whether a keyframe is near enough to the next wanted time to stand in for what is shown then."""
        next_s = (wanted or self._wanted).next_s
        return next_s - self._progress.early_s - EPSILON_S <= key_s <= next_s + self._progress.late_s + EPSILON_S

    def _is_worth_alone(self, key_s: float) -> bool:
        """A keyframe is decoded alone where it stands in for another picture or its group holds nothing else wanted."""
        if not self._wanted.wants(key_s) or self._progress.missed_before(key_s) is not None:
            return True
        then = self._wanted.after(key_s)
        return not math.isfinite(self._group_s) or then.next_s + self._progress.late_s > key_s + self._group_s

    def _take_alone(self, key: TrackPacket) -> Iterator[Shown]:
        shown = self._decoded_alone(self._held.picture_of(key))
        if shown is not None:
            yield self._progress.take(shown)
            return
        self._alone_works = False
        yield from self._send_held()

    def _decoded_alone(self, packets: list[TrackPacket]) -> Shown | None:
        self._decoder.restart()
        shown = [one for packet in packets for one in self._decoded(packet, whole=True)] + self._rest()
        self.alone += 1
        return next((one for one in shown if abs(one.time_s - shown_s(packets[0])) <= EPSILON_S), None)

    def _send_held(self, restart: TrackPacket | None = None, *, is_end: bool = False) -> Iterator[Shown]:
        """Decode held packets until nothing wanted is among them or inside the decoder.

        Args:
            restart: a held keyframe behind all that is wanted now, where decoding can start afresh.
            is_end: nothing follows the held packets.
        """
        overfull = self._held.size_bytes > _MAX_HELD_BYTES
        packets = self._held.take()
        outlook = Outlook(packets, restart, self._packets.end_s if is_end else -math.inf)
        first_s = self._started(packets)
        at = 0
        while at < len(packets) and (overfull or self._is_open(outlook, at)):
            packet = packets[at]
            at += 1
            yield from self._send(packet, blame=shown_s(packet) >= first_s)
            if (restart is not None or is_end) and self._is_last_wanted(outlook, at):
                yield from self._drained()
                self._start_afresh()
                self.alone += packets[0].is_key and shown_s(packet) == shown_s(packets[0])
                at = outlook.restart_at
        self._held.replace(packets[at:])

    def _started(self, packets: list[TrackPacket]) -> float:
        """Have the decoder ready for packets, and return since when they lack nothing that they were predicted from."""
        if not self._fresh or not packets:
            return -math.inf
        self._decoder.restart()
        self._fresh = False
        return shown_s(packets[0])

    def _is_open(self, outlook: Outlook, at: int) -> bool:
        """Say whether something wanted is inside the decoder or in the packets from place `at` on."""
        stands_in = math.isfinite(outlook.restart_s) and self._is_near(outlook.restart_s)
        return not stands_in and (self._is_hungry() or self._wanted.wants(outlook.reach_s(at)))

    def _is_last_wanted(self, outlook: Outlook, at: int) -> bool:
        """Say whether the wanted picture inside the decoder is there wholly, and nothing else is until it restarts."""
        answer_s = self._progress.missed_before(math.inf) if self._is_hungry() else None
        if answer_s is None or not outlook.is_past(answer_s, at):
            return False
        then = self._wanted.after(answer_s)
        if then.next_s < outlook.end_s - EPSILON_S:
            return False  # the last picture answers it
        return not then.wants(outlook.reach_s(at)) or self._is_near(outlook.restart_s, then)

    def _drained(self) -> Iterator[Shown]:
        """Have the wanted picture that is inside the decoder."""
        yield from self._offer(self._rest())
        if self._is_hungry() and not self._progress.stopped:
            raise Mistrusted(Whole.OTHER_TIMES)

    def _send(self, packet: TrackPacket, *, blame: bool = True) -> Iterator[Shown]:
        whole = self._wanted.wants(shown_s(packet))
        self._sent_to_s = max(self._sent_to_s, shown_s(packet))
        yield from self._offer(self._decoded(packet, whole=whole, blame=blame))

    def _decoded(self, packet: TrackPacket, *, whole: bool, blame: bool = True) -> list[Shown]:
        return self._trusted(self._decoder.send(packet, whole=whole, blame=blame))

    def _rest(self) -> list[Shown]:
        return self._trusted(self._decoder.drain())

    def _trusted(self, pictures: list[Shown]) -> list[Shown]:
        if self._decoder.is_misled:
            raise Mistrusted(Whole.NO_KEYFRAME)
        return pictures

    def _offer(self, pictures: list[Shown]) -> Iterator[Shown]:
        for shown in pictures:
            if not self._wanted.wants(shown.time_s) or self._progress.stop_if_full(shown.time_s):
                continue
            missed_s = self._progress.missed_before(shown.time_s)
            is_first = self._wanted.next_index == 0 and shown.time_s <= self._progress.lead_in_s
            if missed_s is not None and not is_first:
                raise Mistrusted(Whole.OTHER_TIMES)
            yield self._progress.take(shown)

    def _finish(self) -> Iterator[Shown]:
        """Have all that is wanted of what was read so far; the decoder starts afresh afterwards."""
        key, self._key = self._key, None
        if key is not None:
            yield from self._resolve(key)
        if self._holds_wanted():
            yield from self._send_held(is_end=True)
        if self._is_hungry():
            yield from self._drained()
            self._held.clear()

    def _last_picture(self) -> Iterator[Shown]:
        """Answer the last wanted time before the end with the last picture, where none is shown at or after it."""
        if self._progress.stopped or self._wanted.next_s >= self._packets.end_s - EPSILON_S:
            return
        reach_s = max(self._held.reach_s, self._sent_to_s)
        if reach_s <= self._progress.last_taken_s + EPSILON_S:
            return
        if self._fresh and self._held:
            self._decoder.restart()
        for packet in self._held:
            self._decoded(packet, whole=shown_s(packet) >= reach_s - EPSILON_S)
        self._rest()
        last = self._decoder.last
        if last is None or abs(last.time_s - reach_s) > EPSILON_S:
            raise Mistrusted(Whole.OTHER_TIMES)
        yield self._progress.take(last)

    def _drop_held(self) -> None:
        self._held.clear()
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._fresh = True
        self._sent_to_s = -math.inf

    def _holds_wanted(self) -> bool:
        return bool(self._held) and self._wanted.wants(self._held.reach_s)
