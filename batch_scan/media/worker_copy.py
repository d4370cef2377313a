"""The sound of one track as it lies in the file, in a decoder worker: packets, parted into chunks and never decoded.

What packets alone can tell of damage is counted: times with holes, marks of the demuxer, bytes that are no frames, and
frames of AAC that do not begin like any.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.cutting import FLICKS_PER_S, MAX_LEAD_FRAMES, RESERVOIR_BYTES, CutRules, Cutter, Frame
from batch_scan.media.soundframes import (
    ADTS_HEADER_BYTES,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    adts_body_at,
    adts_header,
    is_aac,
    mp3_header,
)
from batch_scan.media.timeline import HOLE_MIN_S, RESTART_S, Timeline
from batch_scan.media.worker_counters import TRANSPORT_LOST, LostTransport
from batch_scan.media.worker_late import GROWING_FORMATS, demuxed, late_sound
from batch_scan.media.worker_mux import MARGIN_BYTES, Muxer, written
from batch_scan.media.worker_open import LIBAV_TICKS_PER_S, TELLING_FORMATS, only_sound, open_media
from batch_scan.media.worker_unread import Unread
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

    from batch_scan.media.worker_open import LibavLog

_MAX_BREAKS: Final = 20
"""Every break is a request more; a track with more of them is no recording."""
_NOT_UNDECODED: Final = "so that the rest is not handed on undecoded (set copy_sound = false in [extract])"
_SETTINGS: Final = "new_extradata"
_PART_BYTES: Final = 1 << 20
_MAX_AT: Final = 1 << 58
"""A place beyond this many flicks is none: it would be thirteen years away."""
_JITTER: Final = round(HOLE_MIN_S * FLICKS_PER_S)
_FARTHEST_LAST: Final = round(RESTART_S * FLICKS_PER_S)
"""Of a last packet no other tells whether its time is right."""
_WARM_UP: Final = FLICKS_PER_S // 4
"""Packets that nobody is to hear are handed on where they end at the beginning and are no longer than this: decoders
warm up with them."""


class _Timed(NamedTuple):
    """A packet, its header, and when its own time says that it is heard."""

    packet: Packet[AudioStream]
    frame: Frame
    at: int


class _NotCopiedError(Exception):
    """The track cannot be handed on undecoded; the scanner has it decoded."""


class TrackCopy:
    """Copies one track of a file. Use once.

    Args:
        request: what the scanner asked for, as `copied` made it.
        log: libav's log.
        send: takes finished messages.
    """

    def __init__(self, request: dict[str, Any], log: LibavLog, send: Callable[[bytes], None]) -> None:
        self._request = request
        self._log = log
        self._send = send
        self._is_mp3 = request["codec"] == "mp3"
        self._timeline = Timeline(FLICKS_PER_S)
        self._recent: deque[tuple[Packet[AudioStream], int]] = deque(maxlen=MAX_LEAD_FRAMES)
        """Packets, and where they begin on the track's line."""
        self._takers: list[_Taker] = []
        self._held: _Timed | None = None
        self._fixed: Frame | None = None
        self._kind: tuple[int, int] | None = None
        self._begins = self._breaks = self._frames = 0
        self._end = self._next = 0
        """Where the track's line ends by now, and what the next time stamp says if it joins on."""
        self._heard = self._still = self._spoiled = 0
        self._good_bytes = self._stray_bytes = self._stray_after_bytes = 0
        """Bytes in frames, in what is none between them, and in what is none after the last one so far."""
        self._lost: list[tuple[int, int]] = []
        self._unread = Unread(request["path"], "")
        self._complaint = ""
        self._longest = round(request["max_s"] * FLICKS_PER_S)
        self._too_long = False

    def run(self) -> None:
        """Send the track's sound, then its tally. Raises MediaError where nothing more can come of it."""
        self._log.reset()
        blind = self._request["container"].startswith(TELLING_FORMATS)
        with open_media(self._request["path"], self._request, self._log, blind=blind) as container:
            try:
                self._copy(container, only_sound(container, self._request["track"]))
            except _NotCopiedError as error:
                tally: dict[str, Any] = {"not_copied": str(error)}
            except MediaError:
                self._end_chunks(self._end)
                raise
            else:
                self._end_chunks(self._end)
                tally = self._tally(container)
            self._send(wire.pack_json(wire.Kind.TALLY, tally))

    def _copy(self, container: InputContainer, stream: AudioStream) -> None:
        self._unread = Unread(self._request["path"], container.format.name)
        num, den = (stream.time_base or Fraction(1)).as_integer_ratio()
        num *= FLICKS_PER_S
        start = (container.start_time or 0) * FLICKS_PER_S // LIBAV_TICKS_PER_S
        index, frame_of = stream.index, self._mp3 if self._is_mp3 else self._aac
        lost = LostTransport(self._request["path"], container.format.name)
        for packet in demuxed(container, self._note_demuxer_failure):
            if not packet.size or packet.stream_index != index:
                continue
            self._unread.note(packet)
            if lost.is_before(packet):
                self._complaint = self._complaint or TRANSPORT_LOST
            pts = packet.pts
            at = self._joining if pts is None else pts * num // den - start
            frame = frame_of(stream, packet)
            if not self._takers:
                self._takers = self._begin(stream, frame)
            if frame is None:
                self._note_stray(packet.size)
            elif not packet.is_discard or (not self._frames and at >= -_WARM_UP):
                self._put(_Timed(packet, frame, at if abs(at) < _MAX_AT else self._joining))
                if self._too_long:
                    return
        if self._held is not None:
            is_wrong = abs(self._held.at - self._next) > _FARTHEST_LAST
            self._take(self._held._replace(at=self._next) if is_wrong else self._held)

    @property
    def _joining(self) -> int:
        """When a packet is heard that joins on to what came last."""
        return self._next if self._held is None else self._held.at + self._held.frame.length

    # ------------------------------------------------------------------------------------------------------- frames

    def _mp3(self, _: AudioStream, packet: Packet[AudioStream]) -> Frame | None:
        frame = mp3_header(bytes(memoryview(packet)[:HEADER_BYTES]))
        return frame if frame is not None and frame.size_bytes == packet.size else None

    def _aac(self, stream: AudioStream, packet: Packet[AudioStream]) -> Frame | None:
        """Read the header of a packet that has one; for those that have none, the one that the muxer gives them."""
        data, settings = bytes(packet), stream.codec_context.extradata
        if not settings:
            frame = adts_header(data[:ADTS_HEADER_BYTES])
            if frame is None or frame.size_bytes != len(data):
                return None
            return frame if is_aac(data[adts_body_at(data) :], frame.kind[1]) else frame._replace(is_spoiled=True)
        if packet.has_sidedata(_SETTINGS) and bytes(packet.get_sidedata(_SETTINGS)) != settings:
            if not self._takers:
                raise _NotCopiedError("its settings are not those that its container declares")
            raise MediaError(Reason.DAMAGED, f"the settings of its sound change in mid-track, {_NOT_UNDECODED}")
        if self._fixed is None:
            try:
                self._fixed = adts_header(written(stream, "aac", packet)[:ADTS_HEADER_BYTES])
            except Exception as error:
                raise _NotCopiedError("ADTS has no place for this kind of AAC") from error
        size_bytes = ADTS_HEADER_BYTES + len(data)
        if self._fixed is None or size_bytes > MAX_FRAME_BYTES:
            return None
        length, _, _, kind, _ = self._fixed
        return Frame(length, size_bytes, 0, kind, is_spoiled=not is_aac(data, kind[1]))

    def _begin(self, stream: AudioStream, frame: Frame | None) -> list[_Taker]:
        if frame is None or frame.is_spoiled or not frame.kind[1]:
            raise _NotCopiedError("it does not begin with a frame that is understood undecoded")
        try:
            Muxer(stream, self._request["codec"]).finish()
        except Exception as error:
            raise _NotCopiedError("its frames cannot stand in a file of their own") from error
        reservoir_bytes = RESERVOIR_BYTES if self._is_mp3 else 0
        rules = [
            CutRules(round(max_s * FLICKS_PER_S), max_bytes - MARGIN_BYTES, reservoir_bytes)
            for max_s, max_bytes in self._request["bounds"]
        ]
        return [_Taker(stream, self._request["codec"], each, frame.kind) for each in rules]

    def _put(self, timed: _Timed) -> None:
        """Take a packet, or hold one whose time leaps until the next one tells: one wrong time is no hole."""
        held, self._held = self._held, None
        if held is not None:
            as_if_none = self._next + held.frame.length
            is_wrong = abs(timed.at - as_if_none) < _JITTER
            self._take(held._replace(at=self._next) if is_wrong else held)
            if self._too_long:
                return
        if self._frames and abs(timed.at - self._next) >= _JITTER:
            self._held = timed
        else:
            self._take(timed)

    def _take(self, timed: _Timed) -> None:
        packet, frame, at = timed
        if packet.is_corrupt or frame.is_spoiled:
            self._complaint = self._complaint or "a packet is marked as corrupt, or holds no sound"
            self._spoiled += frame.length
        start = self._place(frame, at)
        if self._too_long:
            return
        self._frames += 1
        self._heard += frame.length
        self._good_bytes += frame.size_bytes
        self._stray_bytes += self._stray_after_bytes
        self._stray_after_bytes = 0
        for number, taker in enumerate(self._takers):
            lead = taker.cutter.feed(frame)
            if lead is not None:
                self._end_chunk(number, taker, start)
                self._begin_chunk(taker, frame, start, lead)
            taker.put(packet)
        self._recent.append((packet, start))

    def _place(self, frame: Frame, at: int) -> int:
        """Put a frame on the track's line, ending chunks where it does not join on; return where it begins."""
        timeline, before = self._timeline, self._end
        if -_JITTER < at - self._next < _JITTER and self._frames:
            timeline.go_on(frame.length)
            self._next += frame.length
            self._end += frame.length
        else:
            self._begins = self._begins if self._frames else at
            timeline.show(at, frame.length, complained=bool(self._complaint or self._log.complaint))
            self._next, self._end = timeline.expected, timeline.end
        if max(0, self._begins) + self._end > self._longest:
            self._too_long, self._end = True, before
            return before
        start = self._end - frame.length
        if timeline.holes:
            self._note_hole(before, start, damaged=timeline.holes.popleft().damaged)
            self._break(before)
        elif frame.kind != self._kind and self._frames:
            self._break(before)
        self._kind = frame.kind
        return start

    # ------------------------------------------------------------------------------------------------ what is missing

    def _note_hole(self, start: int, end: int, *, damaged: bool) -> None:
        if damaged:
            self._lost.append((start, end))
        else:
            self._still += end - start

    def _break(self, end: int) -> None:
        """End all chunks: what follows does not join on to what was before."""
        self._end_chunks(end)
        self._recent.clear()
        self._breaks += 1
        if self._breaks > _MAX_BREAKS:
            raise MediaError(
                Reason.DAMAGED,
                f"its sound breaks off more than {_MAX_BREAKS} times, {_NOT_UNDECODED}",
            )

    def _note_stray(self, size_bytes: int) -> None:
        self._stray_after_bytes += size_bytes
        self._complaint = self._complaint or "there are bytes between its frames that are none"

    def _note_demuxer_failure(self) -> None:
        self._complaint = self._complaint or "the container cannot be read on"

    def _tally(self, container: InputContainer) -> dict[str, Any]:
        name = container.format.name
        per_byte_s = self._heard / FLICKS_PER_S / self._good_bytes if self._good_bytes else 0.0
        return {
            "frames": self._frames,
            "heard": self._heard,
            "still": self._still,
            "lost": self._lost,
            "spoiled_s": self._spoiled / FLICKS_PER_S,
            "stray_s": self._stray_bytes * per_byte_s,
            "stray_after_s": self._stray_after_bytes * per_byte_s,
            "too_long": self._too_long,
            "complaint": self._log.complaint or self._complaint,
            "container_complaint": self._log.complaint_of(name),
            "unread": None if self._too_long else self._unread.tally(),
            "late": late_sound(container) if name in GROWING_FORMATS else "",
        }

    # --------------------------------------------------------------------------------------------------- what is sent

    def _begin_chunk(self, taker: _Taker, frame: Frame, start: int, lead: int) -> None:
        earlier = list(self._recent)[len(self._recent) - lead :]
        taker.begin(earlier[0][1] if earlier else start, frame.kind)
        for packet, _ in earlier:
            taker.put(packet)

    def _end_chunks(self, end: int) -> None:
        for number, taker in enumerate(self._takers):
            self._end_chunk(number, taker, end)
            taker.cutter.stop()

    def _end_chunk(self, number: int, taker: _Taker, end: int) -> None:
        data = taker.finish()
        for at in range(0, len(data), _PART_BYTES):
            is_last = at + _PART_BYTES >= len(data)
            part = bytes(data[at : at + _PART_BYTES])
            self._send(wire.pack_copied(wire.Copied(number, self._begins, taker.start, end, is_last, part)))


class _Taker:
    """Whoever is handed chunks of one size, and the chunk that is being filled."""

    def __init__(self, stream: AudioStream, codec: str, rules: CutRules, kind: tuple[int, int]) -> None:
        self.cutter = Cutter(rules)
        self.start = 0
        self.put: Callable[[Packet[AudioStream]], None] = _nowhere
        """Adds a packet to the chunk."""
        self._stream = stream
        self._codec = codec
        self._first_kind = kind
        self._muxer: Muxer | None = None

    def begin(self, start: int, kind: tuple[int, int]) -> None:
        """Begin a chunk with frames of a kind; the muxer knows of no other kind than the first frame's."""
        self.start = start
        self._muxer = Muxer(self._stream, self._codec, tells_length=kind == self._first_kind)
        self.put = self._muxer.put

    def finish(self) -> memoryview:
        """Return the chunk; nothing where none was begun."""
        muxer, self._muxer, self.put = self._muxer, None, _nowhere
        return muxer.finish() if muxer is not None else memoryview(b"")


def _nowhere(_: Packet[AudioStream]) -> None:
    """Stand in for a chunk that was not begun: a cutter begins one with the first frame."""
    raise AssertionError("a packet before its chunk")
