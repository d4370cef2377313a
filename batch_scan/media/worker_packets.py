"""The packets of one picture track on the file's time line, in a decoder worker.

Whatever a demuxer does on a damaged file (errors in mid-stream, times that jump back) is absorbed here and counted, so
that what reads on sees packets in decoding order with a time line that only moves forward.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from av.stream import Discard

from batch_scan.media.worker_container import Marks
from batch_scan.media.worker_fields import FieldPairs
from batch_scan.media.worker_late import demuxed
from batch_scan.media.worker_open import LIBAV_TICKS_PER_S
from batch_scan.media.worker_voids import Voids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from batch_scan.media.worker_open import LibavLog

_FALLBACK_RATE: Final = 25.0
_MAX_RATE: Final = 1000.0
_JUMP_BACK_S: Final = 1.0
_MAX_REORDERED: Final = 17
"""Pictures between the decoding of one and its being shown: 16 (H.264 and HEVC, `max_num_reorder`), and itself."""
_LEAP_S: Final = 3600.0
"""A time beyond all that is looked at, and so far from the one before, is none; the film goes on where it was."""
_MAX_AHEAD: Final = 4
"""Times as many packets are read ahead, so that some with wrong times in a row do not vouch for one another."""
_HOLE_S: Final = 1.0
_DOUBT_S: Final = 2.0
"""A hole is damage where the demuxer complained that shortly before; without complaint the film is just so."""


@dataclass(frozen=True, slots=True)
class TrackPacket:
    """One packet of the track."""

    packet: Packet[Any]
    time_s: float | None
    """When its picture is shown, seconds on the file's time line; None where the container does not say."""
    decoded_s: float | None
    """When it is to be decoded: no later packet is shown before that."""
    shift_s: float
    """What its time line is shifted by against the container's, for the times of pictures decoded from it."""
    breaks: bool
    """The container's times jumped before this packet; the time line goes on, the decoder has to start afresh."""
    is_anew: bool = True
    """A keyframe from which on nothing names pictures before it; unknown of those of other codecs than H.264."""
    is_second: bool = False
    """It holds but the second field of the picture that the packet before it began, and has the times of that one."""

    @property
    def is_key(self) -> bool:
        """Say whether decoding can start here."""
        return bool(self.packet.is_keyframe) and not self.is_second


class TrackPackets:
    """Reads one track from its beginning. Iterate once.

    Attributes:
        end_s: the end of the last picture seen, seconds.
        file_end_s: the same over all tracks that were read along.
        count: packets of this track, those of second fields left out.
        keyframes: those of them that decoding can start at.
        first_decoded_ticks: decoding time of its first packet, in the track's own unit.
        tick_s: the track's own unit of time, seconds.
        frame_s: how long one picture is shown, as far as the container knows.
        jumps: how often the container's times jumped back, or to nowhere.
        first_s: when the first picture is shown, be it one that nothing can be decoded from; None before it.
        promised_s: when the first is shown that decoding can start at, or that follows such a one; None before it.
        has_corrupt_start: packets before that are known to be damaged.
        holes: stretches without packets where the demuxer met damage, as (start, end) seconds.
        too_long: reading stopped at the limit of duration.
        demux_failures: how often the demuxer could not read on.
        marks: which packets the demuxer marked as damaged.
        voids: zeros where pictures were.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, log: LibavLog, max_duration_s: float, *, all_tracks: bool
    ) -> None:
        self._container = container
        self._stream = stream
        self._pairs = FieldPairs(stream.codec_context.name, stream.codec_context.extradata)
        self._before: TrackPacket | None = None
        self._log = log
        self._max_duration_s = max_duration_s
        self.tick_s = float(stream.time_base or 1 / 90_000)
        self._start_s = (container.start_time or 0) / LIBAV_TICKS_PER_S
        self._shift_s = 0.0
        self._last_order_s: float | None = None
        self._was_by_showing = False
        self._packets_each = 1
        self._seen_doubts = 0
        self._doubted_at_s = math.inf if log.demuxer_errors else -math.inf  # what was met by then may be anywhere
        self.demux_failures = 0
        self.marks = Marks(container.format.name)
        self.voids = Voids(container.format.name)
        rate = float(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
        self.frame_s = 1 / rate if 0 < rate <= _MAX_RATE else 1 / _FALLBACK_RATE
        self.end_s = 0.0
        self.file_end_s = 0.0
        self.count = 0
        self.keyframes = 0
        self.first_s: float | None = None
        self.promised_s: float | None = None
        self.has_corrupt_start = False
        self._first_key_s: float | None = None
        self._last_key_s: float | None = None
        self._groups_s = 0.0
        self._groups_s2 = 0.0
        self.jumps = 0
        self.holes: list[tuple[float, float]] = []
        self.too_long = False
        self.first_decoded_ticks: int | None = None
        for other in container.streams:
            if other.index != stream.index and not all_tracks:
                other.discard = Discard.all

    @property
    def group_s(self) -> float:
        """Mean distance of keyframes, seconds; 0 where there are fewer than two."""
        return self._groups_s / (self.keyframes - 1) if self.keyframes > 1 else 0.0

    @property
    def behind_s(self) -> float:
        """How far a moment lies behind the keyframe before it on average, seconds; half the film without keyframes."""
        return self._groups_s2 / (2 * self._groups_s) if self._groups_s else self.end_s / 2

    def time_of(self, ticks: int, shift_s: float) -> float:
        """Return the seconds on the file's time line of a time in the track's own unit."""
        return ticks * self.tick_s - self._start_s + shift_s

    def __iter__(self) -> Iterator[TrackPacket]:
        packets = self._read()
        for packet in packets:
            if not self._may_be_cut(packet):
                yield packet
                continue
            following = next(packets, None)
            if following is not None and following.is_second:
                yield packet
                yield following
            elif following is not None:  # decoded, the field would show nothing and spoil the keyframe after it
                yield replace(following, breaks=following.breaks or packet.breaks)

    def _may_be_cut(self, packet: TrackPacket) -> bool:
        """Say whether a recording may begin with a packet between the two fields of a picture."""
        begins = packet.breaks or self.count == 1
        return begins and not packet.is_key and self._pairs.awaits_second

    def _read(self) -> Iterator[TrackPacket]:
        for packet in self._with_possible_times():
            if not packet.size:
                continue
            if packet.stream_index != self._stream.index:
                self._note_other(packet)
                continue
            if self.voids.is_bare:
                self.voids.note(packet)
            placed = self._before = self._placed(packet)
            if placed.time_s is not None and placed.time_s > self._max_duration_s:
                self.too_long = True
                return
            yield placed

    def _with_possible_times(self) -> Iterator[Packet[Any]]:
        """Yield what the demuxer gives; a picture that is said to be shown impossibly late has its time to decode.

        Taken at its word it would stand for all that is shown between, and that would not be looked at.
        """
        packets = demuxed(self._container, self._note_failure)
        ahead: deque[Packet[Any]] = deque()
        while (packet := ahead.popleft() if ahead else next(packets, None)) is not None:
            if self._is_late(packet) and not self._is_reached(packet, ahead, packets):
                packet.pts = packet.dts
            yield packet

    def _is_late(self, packet: Packet[Any]) -> bool:
        if packet.stream_index != self._stream.index or packet.pts is None or packet.dts is None:
            return False
        return (packet.pts - packet.dts) * self.tick_s > _MAX_REORDERED * self.frame_s

    def _is_reached(self, packet: Packet[Any], ahead: deque[Packet[Any]], packets: Iterator[Packet[Any]]) -> bool:
        """Say whether no more pictures are shown before one and decoded after it than can be reordered.

        Reads as far ahead as that takes. Where all are shown long after they are decoded, each is shown in its turn.
        """
        most = self._packets_each * _MAX_REORDERED
        passed = earlier = 0
        for following in chain(tuple(ahead), _kept(packets, ahead)):
            if following.stream_index != self._stream.index or following.dts is None:
                continue
            if packet.pts is None or following.dts >= packet.pts:
                return True
            passed += 1
            earlier += following.pts is None or following.pts < packet.pts
            if earlier > most or passed > _MAX_AHEAD * most:
                return earlier <= most
        return True

    def _note_failure(self) -> None:
        self.demux_failures += 1

    def _placed(self, packet: Packet[Any]) -> TrackPacket:
        breaks = self._follow_jump(packet)
        is_second = self._pairs.is_second(memoryview(packet), is_key=packet.is_keyframe)
        if is_second and not breaks and self._before is not None:
            self._packets_each = 2
            return self._second_field(packet, self._before)
        if not self.count:
            self.first_decoded_ticks = packet.dts
        self.count += 1
        if self.count == 1 and self._container.format.name == "avi":
            shown_after = 0 if packet.pts is None or packet.dts is None else packet.pts - packet.dts
            self._shift_s = -shown_after * self.tick_s  # AVI shows its first picture at once
        time_s = None if packet.pts is None else self.time_of(packet.pts, self._shift_s)
        decoded_s = None if packet.dts is None else self.time_of(packet.dts, self._shift_s)
        known_s = decoded_s if time_s is None else time_s
        if known_s is not None:
            self._note_hole(packet, known_s)
            length_s = (packet.duration or 0) * self.tick_s or self.frame_s
            self.end_s = max(self.end_s, known_s + length_s)
            self.file_end_s = max(self.file_end_s, self.end_s)
            if packet.is_keyframe:
                self._note_keyframe(known_s)
            self._note_promise(packet, known_s)
        if packet.is_corrupt or self.marks.waits:
            self.marks.note(packet, self._last_order_s, breaks=breaks, picture_s=self.frame_s)
        return TrackPacket(packet, time_s, decoded_s, self._shift_s, breaks, self._pairs.begins_anew)

    def _second_field(self, packet: Packet[Any], first: TrackPacket) -> TrackPacket:
        if packet.is_corrupt or self.marks.waits:
            self.marks.note(packet, self._last_order_s, breaks=False, picture_s=self.frame_s)
        if first.time_s is not None:
            self._note_hole(packet, first.time_s)
            length_s = sum(field.duration or 0 for field in (first.packet, packet)) * self.tick_s or self.frame_s
            self.end_s = max(self.end_s, first.time_s + length_s)
            self.file_end_s = max(self.file_end_s, self.end_s)
        return replace(first, packet=packet, breaks=False, is_second=True)

    def _note_keyframe(self, time_s: float) -> None:
        if self._last_key_s is not None:
            group_s = max(time_s - self._last_key_s, 0.0)
            self._groups_s += group_s
            self._groups_s2 += group_s * group_s
        self._last_key_s = time_s
        self.keyframes += 1

    def _note_promise(self, packet: Packet[Any], time_s: float) -> None:
        if self._first_key_s is None and (packet.is_keyframe or self._is_indexed(packet)):
            self._first_key_s = time_s
        if packet.is_discard:  # decoded for the sake of others, and not shown
            return
        self.first_s = time_s if self.first_s is None else min(self.first_s, time_s)
        if self._first_key_s is None:
            self.has_corrupt_start = packet.is_corrupt or self._seen_doubts > 0
        elif time_s >= self._first_key_s:  # what is shown before it leans on what is not there
            self.promised_s = time_s if self.promised_s is None else min(self.promised_s, time_s)

    def _is_indexed(self, packet: Packet[Any]) -> bool:
        """Say whether the container calls the first packet a keyframe: libav believes its parsers rather, if at all."""
        first = next(iter(self._stream.index_entries), None) if self.count == 1 else None
        return first is not None and first.is_keyframe and first.timestamp in {packet.pts, packet.dts}

    def _follow_jump(self, packet: Packet[Any]) -> bool:
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None:
            return False
        order_s = self.time_of(ticks, self._shift_s)
        by_showing, self._was_by_showing = self._was_by_showing or packet.dts is None, packet.dts is None
        slack_s = _JUMP_BACK_S + by_showing * _MAX_REORDERED * self.frame_s
        is_back = self._last_order_s is not None and order_s < self._last_order_s - slack_s
        is_nowhere = order_s > self._max_duration_s and order_s - self.end_s > _LEAP_S
        jumped = is_back or is_nowhere
        if jumped:
            self.jumps += 1
            self._shift_s += self.end_s - order_s
            order_s = self.end_s
        self._last_order_s = order_s
        return jumped

    def _note_hole(self, packet: Packet[Any], time_s: float) -> None:
        doubts = self._log.demuxer_complaints + self.demux_failures
        if packet.is_corrupt or doubts > self._seen_doubts:
            self._doubted_at_s = self.end_s
        self._seen_doubts = doubts
        if time_s > self.end_s + _HOLE_S and self.end_s - self._doubted_at_s <= _DOUBT_S:
            self.holes.append((self.end_s, time_s))

    @property
    def most_needed(self) -> int:
        """How many pictures decoders keep for the prediction of others, at most."""
        return self._pairs.most_needed

    def is_needed(self, packet: TrackPacket) -> bool:
        """Say whether other pictures may be predicted from the one in a packet."""
        return self._pairs.is_needed(memoryview(packet.packet))

    def _note_other(self, packet: Packet[Any]) -> None:
        if packet.pts is not None and packet.time_base:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._start_s
            self.file_end_s = max(self.file_end_s, end_s)


def _kept(packets: Iterator[Packet[Any]], ahead: deque[Packet[Any]]) -> Iterator[Packet[Any]]:
    for packet in packets:
        ahead.append(packet)
        yield packet
