"""One track's decoder, in a decoder worker: packets in, pictures with their times out, damage noted per picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from av.video.frame import PictureType

from batch_scan.media.interface import FrameMode
from batch_scan.media.worker_spoilt import Spoilt

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from batch_scan.media.worker_open import LibavLog
    from batch_scan.media.worker_packets import TrackPacket, TrackPackets

_MAX_SUSPECTS: Final = 4096
_MAX_DELAY: Final = 16
"""So many pictures a decoder may hold back (H.264 and HEVC, `max_dec_frame_buffering`); what comes later was lost."""
_PREDICTED: Final = frozenset({PictureType.P, PictureType.B, PictureType.S, PictureType.SP})
_UNFILTERED: Final = "bidir"
"""Pictures that fast mode decodes without the loop filter: those predicted from both sides.

Measured on four films with grain, a picture every 1 to 10.7 s, as CPU against exact mode and the lowest PSNR at 640 px:
all pictures 0.83 to 0.95 and 35.6 dB, all but keyframes 0.83 to 0.96 and 35.8 dB, these 0.81 to 0.96 and 40.8 dB, those
that no other picture needs 0.95 to 1.08 and 45.9 dB. What P-pictures lack stays in all that is predicted from them.
With VP9, AV1 and MPEG-2 the decoders skip nothing, and pictures are the exact ones."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded picture."""

    time_s: float
    frame: VideoFrame
    is_damaged: bool
    """The decoder met errors in it or in what it was predicted from."""


class TrackDecoder:
    """Decodes on one thread, which is the cheapest per picture and keeps `skip_frame` in step with the packets.

    Args:
        stream: the track.
        packets: where its packets come from.
        log: libav's log.
        mode: whether the loop filter may be skipped.
        max_pixels: larger pictures are refused.
        as_they_come: pictures are shown one after the other as they come out, whatever times the container makes up.

    Attributes:
        sent: how many packets went in, those of second fields left out.
        decoded: how many pictures came out.
        errors: how many packets the decoder refused.
        last: the picture that came out last.
        is_misled: decoding was begun afresh at a packet that is no keyframe, whatever it is called.
    """

    def __init__(
        self,
        stream: VideoStream,
        packets: TrackPackets,
        log: LibavLog,
        mode: FrameMode,
        max_pixels: int,
        *,
        as_they_come: bool = False,
    ) -> None:
        context = stream.codec_context
        context.thread_count = 1
        context.thread_type = "NONE"
        context.options = {"max_pixels": str(max_pixels)}
        if mode is FrameMode.FAST:
            context.options = {**context.options, "skip_loop_filter": _UNFILTERED}
        self._context = context
        self._packets = packets
        self._log = log
        self._suspect_ticks: set[int] = set()
        self._suspicious = False
        self._spoilt = Spoilt()
        self._may_lean: float = math.inf
        self._drained = False
        self._is_fresh = False
        self._begins_ticks: int | None = None
        self._as_they_come = as_they_come
        self._shift_s = 0.0
        self._delay_ticks: int | None = None
        self._key_ticks: int | None = None
        self._picture_ticks: int | None = None
        self.sent = 0
        self.decoded = 0
        self.errors = 0
        self.last: Shown | None = None
        self.is_misled = False

    def send(self, packet: TrackPacket, *, whole: bool, blame: bool = True) -> list[Shown]:
        """Decode one packet and return the pictures that are ready, in order of showing.

        Args:
            packet: the next packet in decoding order.
            whole: decode it whatever it is; otherwise it is skipped where no other picture needs it.
            blame: errors count against this picture and those predicted from it.
        """
        if self._drained:
            self.restart()
        self.sent += not packet.is_second
        self._shift_s = packet.shift_s
        if self._is_fresh:
            self._is_fresh, self._begins_ticks = False, packet.packet.pts if packet.is_key else None
        if packet.is_key:
            self._suspicious = False
            self._key_ticks = packet.packet.dts
        if self._may_lean or packet.is_key:
            self._may_lean = self._leaning(packet)
        if not packet.is_second:  # it goes the way of its first
            self._picture_ticks = packet.packet.pts
            self._spoilt.note(packet, blame=blame)
            self._context.skip_frame = "DEFAULT" if whole else "NONREF"
        before = self._decoder_errors()
        try:
            frames = self._decoded(packet.packet)
        except Exception:  # noqa: BLE001 - PyAV raises builtins of any kind; what is missing is counted later
            frames = []
            self.errors += 1
            self._suspicious = self._suspicious or blame
        if blame and (packet.packet.is_corrupt or self._decoder_errors() > before):
            self._suspicious = True
        if self._suspicious and self._picture_ticks is not None and len(self._suspect_ticks) < _MAX_SUSPECTS:
            self._suspect_ticks.add(self._picture_ticks)
        return [self._shown(frame) for frame in frames]

    def drain(self) -> list[Shown]:
        """Return the pictures that the decoder still holds; the next packet must be one that decoding can start at."""
        self._drained = True
        try:
            frames = self._decoded(None)
        except Exception:  # noqa: BLE001 - as above
            frames = []
            self.errors += 1
        return [self._shown(frame) for frame in frames]

    def restart(self) -> None:
        """Forget everything sent so far: decoding starts afresh."""
        self._drained = False
        self._is_fresh = True
        self._suspicious = False
        self._suspect_ticks.clear()
        self._spoilt.clear()
        self._may_lean = math.inf
        if self._context.is_open:
            self._context.flush_buffers()

    def _ticks(self, frame: VideoFrame) -> int | None:
        """Return when a picture is shown; where only decoding times are known, they less the decoder's own delay."""
        if frame.dts is None or (frame.pts is not None and not self._as_they_come):
            return frame.pts
        if self._delay_ticks is None:
            first_ticks = self._packets.first_decoded_ticks
            most_ticks = math.ceil(_MAX_DELAY * self._packets.frame_s / self._packets.tick_s)
            if first_ticks is not None and frame.dts - first_ticks > most_ticks:
                first_ticks = self._key_ticks
            self._delay_ticks = 0 if first_ticks is None else min(max(frame.dts - first_ticks, 0), most_ticks)
        return frame.dts - self._delay_ticks

    def _decoded(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        self._log.is_decoding = True
        try:
            return self._context.decode(packet)
        finally:
            self._log.is_decoding = False

    def _leaning(self, packet: TrackPacket) -> float:
        """Return how many pictures still to come, a packet's own among them, may name some from before the beginning.

        H.264 names pictures without showing anything of them until all that are kept for prediction are new ones.
        """
        if packet.is_key and packet.is_anew:
            return 0
        if packet.is_key and math.isinf(self._may_lean):
            return self._packets.most_needed + 1
        if math.isinf(self._may_lean) or packet.is_second:
            return self._may_lean
        return self._may_lean - self._packets.is_needed(packet)

    def _decoder_errors(self) -> int:
        missing = self._log.missing if self._may_lean <= 0 else 0
        return self._log.errors - self._log.demuxer_errors + missing

    def take_belated_s(self) -> list[float]:
        """Return the times of pictures that were given as whole and turned out since to lean on a damaged one."""
        return self._spoilt.take_belated_s()

    def _shown(self, frame: VideoFrame) -> Shown:
        ticks = self._ticks(frame)
        if ticks is not None:
            time_s = self._packets.time_of(ticks, self._shift_s)
        else:
            time_s = 0.0 if self.last is None else self.last.time_s + self._packets.frame_s
        self.decoded += 1
        if ticks is not None and ticks == self._begins_ticks:
            self.is_misled = frame.pict_type in _PREDICTED and not frame.key_frame
        is_spoilt = self._spoilt.show(ticks, time_s, is_key=bool(frame.key_frame), is_corrupt=bool(frame.is_corrupt))
        self.last = Shown(time_s, frame, is_spoilt or ticks in self._suspect_ticks)
        return self.last
