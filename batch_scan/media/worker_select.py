"""Choosing and decoding the wanted pictures of a track, in a decoder worker, for as little decoding as is safe.

One pass over the packets in file order. Groups of pictures that hold nothing wanted are dropped undecoded; on the way
to a wanted picture those that no other picture needs are skipped; a wanted keyframe is decoded alone. The times of all
packets are known before their pictures, so every picture that comes is compared with the one that should have come.
Where they differ (damage, intra refresh, lying flags) or a container gives no times, `Mistrusted` is raised and the
track is decoded plainly, every packet of it, from where it got to. What this comes to for a whole track, and why
nothing is sought, says `ways`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from batch_scan.media.wanted import EPSILON_S, WantedTimes
from batch_scan.media.ways import Whole
from batch_scan.media.worker_progress import Mistrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.media.worker_decode import Shown, TrackDecoder
    from batch_scan.media.worker_packets import TrackPacket, TrackPackets
    from batch_scan.media.worker_progress import Progress

_MAX_HELD_BYTES: Final = 64 << 20
"""Packets held back until it is known whether they are needed; beyond, they are decoded to be on the safe side."""


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
        self._held: deque[TrackPacket] = deque()
        self._held_bytes = 0
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
        yield from self._last_picture()

    def _is_hungry(self) -> bool:
        """Say whether a wanted picture is inside the decoder and has to come out."""
        return math.isfinite(self._sent_to_s) and self._wanted.wants(self._sent_to_s)

    def _cannot_start_at(self, packet: TrackPacket, time_s: float) -> bool:
        """Say whether a packet is to be passed over because decoding has not begun and cannot begin there."""
        if not self._fresh or self._held or packet.is_key:
            self._undecodable_from_s = None
            return False
        if self._undecodable_from_s is None:
            self._undecodable_from_s = time_s
        if time_s - self._undecodable_from_s > self._progress.lead_in_s:
            raise Mistrusted(Whole.NO_KEYFRAME)
        return True

    def _accept(self, packet: TrackPacket, time_s: float) -> Iterator[Shown]:
        key = self._key
        if key is not None and (packet.is_key or time_s > _time(key)):
            self._key = None
            yield from self._resolve(key)
        self._progress.expect(time_s)
        if packet.is_key:
            self._group_s = time_s - self._last_key_s
            self._last_key_s = time_s
        if self._is_hungry():
            yield from self._send(packet)
            return
        if packet.is_key and not self._wanted.wants(time_s + self._progress.early_s):
            self._drop_held()
        elif packet.is_key:
            if self._holds_wanted() and time_s > self._wanted.next_s + self._progress.late_s + EPSILON_S:
                yield from self._send_held()
                if self._is_hungry():
                    yield from self._send(packet)
                    return
            self._key = packet
        self._hold(packet)
        if self._held_bytes > _MAX_HELD_BYTES:
            self._key = None
        if self._key is None and self._is_due(packet, time_s):
            yield from self._send_held()

    def _is_due(self, packet: TrackPacket, time_s: float) -> bool:
        """Say whether the held packets have to be decoded now."""
        if self._held_bytes > _MAX_HELD_BYTES:
            return True
        if not self._progress.late_s:
            return self._wanted.wants(time_s)
        latest_s = self._wanted.next_s + self._progress.late_s
        order_s = time_s if packet.decoded_s is None else packet.decoded_s
        return order_s > latest_s and self._holds_wanted()

    def _resolve(self, key: TrackPacket) -> Iterator[Shown]:
        """Decide about a keyframe once all its leading pictures are known."""
        key_s, next_s = _time(key), self._wanted.next_s
        is_near = next_s - self._progress.early_s - EPSILON_S <= key_s <= next_s + self._progress.late_s + EPSILON_S
        leads = any(_time(held) < key_s and self._wanted.wants(_time(held)) for held in self._held)
        is_first = self._wanted.next_index == 0
        if is_first or (leads and not is_near):
            yield from self._send_held()
            return
        if not self._wanted.wants(key_s) and (not is_near or key_s <= self._progress.last_taken_s + EPSILON_S):
            self._drop_before(key)
            return
        self._drop_before(key)
        if self._alone_works and self._is_worth_alone(key_s):
            shown = self._decode_alone(key)
            if shown is not None:
                yield self._progress.take(shown)
                return
            self._alone_works = False
        yield from self._send_held()

    def _is_worth_alone(self, key_s: float) -> bool:
        """A keyframe is decoded alone where it stands in for another picture or its group holds nothing else wanted."""
        if not self._wanted.wants(key_s) or self._progress.missed_before(key_s) is not None:
            return True
        wanted_after = WantedTimes(self._wanted.interval_s, self._wanted.next_index)
        wanted_after.answer(key_s)
        return wanted_after.next_s > key_s + self._group_s

    def _decode_alone(self, key: TrackPacket) -> Shown | None:
        self._decoder.restart()
        shown = [*self._decoder.send(key, whole=True), *self._decoder.drain()]
        self.alone += 1
        self._decoder.restart()
        self._sent_to_s = -math.inf
        return next((one for one in shown if abs(one.time_s - _time(key)) <= EPSILON_S), None)

    def _send_held(self) -> Iterator[Shown]:
        """Decode held packets until nothing wanted is among them or inside the decoder."""
        first_s = -math.inf
        if self._fresh and self._held:
            self._decoder.restart()
            self._fresh = False
            self._sent_to_s = -math.inf
            first_s = _time(self._held[0])  # what is shown before it lacks what it was predicted from
        overfull = self._held_bytes > _MAX_HELD_BYTES
        reach_s, next_s = self._reach_s(), self._wanted.next_s
        while self._held and (overfull or self._is_hungry() or self._wanted.wants(reach_s)):
            packet = self._held.popleft()
            self._held_bytes -= packet.packet.size
            yield from self._send(packet, blame=_time(packet) >= first_s)
            if self._wanted.next_s != next_s:
                reach_s, next_s = self._reach_s(), self._wanted.next_s

    def _send(self, packet: TrackPacket, *, blame: bool = True) -> Iterator[Shown]:
        whole = self._wanted.wants(_time(packet))
        self._sent_to_s = max(self._sent_to_s, _time(packet))
        yield from self._offer(self._decoder.send(packet, whole=whole, blame=blame))

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
            yield from self._send_held()
        if self._is_hungry():
            yield from self._offer(self._decoder.drain())
            if self._is_hungry() and not self._progress.stopped:
                raise Mistrusted(Whole.OTHER_TIMES)
            self._drop_held()

    def _last_picture(self) -> Iterator[Shown]:
        """Answer the last wanted time before the end with the last picture, where none is shown at or after it."""
        if self._progress.stopped or self._wanted.next_s >= self._packets.end_s - EPSILON_S:
            return
        reach_s = max(self._reach_s(), self._sent_to_s)
        if reach_s <= self._progress.last_taken_s + EPSILON_S:
            return
        if self._fresh and self._held:
            self._decoder.restart()
        for packet in self._held:
            self._decoder.send(packet, whole=_time(packet) >= reach_s - EPSILON_S)
        self._decoder.drain()
        last = self._decoder.last
        if last is None or abs(last.time_s - reach_s) > EPSILON_S:
            raise Mistrusted(Whole.OTHER_TIMES)
        yield self._progress.take(last)

    def _hold(self, packet: TrackPacket) -> None:
        self._held.append(packet)
        self._held_bytes += packet.packet.size

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self._fresh = True

    def _drop_before(self, key: TrackPacket) -> None:
        """Drop what was held before `key`: nothing wanted is in it. Without anything to drop the decoder goes on."""
        self._fresh = True
        while self._held and self._held[0] is not key:
            self._held_bytes -= self._held.popleft().packet.size

    def _holds_wanted(self) -> bool:
        return self._wanted.wants(self._reach_s()) if self._held else False

    def _reach_s(self) -> float:
        return max(map(_time, self._held), default=-math.inf)


def _time(packet: TrackPacket) -> float:
    """Return the time of a packet of a selective pass, where all have one."""
    return packet.time_s if packet.time_s is not None else math.nan
