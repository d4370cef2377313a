"""The sound of one track, in a decoder worker: blocks of interleaved samples, with the times they are heard at.

Whatever demuxer, decoder and filters do on a damaged file is absorbed here and counted, so that the rest of it is still
heard; the scanner compares what came with what was declared, and times with samples.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.worker_counters import TRANSPORT_LOST, LostTransport
from batch_scan.media.worker_late import GROWING_FORMATS, demuxed, late_sound
from batch_scan.media.worker_open import (
    LIBAV_TICKS_PER_S,
    TELLING_FORMATS,
    has_no_decoder,
    only_sound,
    open_media,
)
from batch_scan.media.worker_resample import SAMPLE_BYTES, Resampler, shape_of
from batch_scan.media.worker_unread import Unread
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

    from batch_scan.media.worker_open import LibavLog
    from batch_scan.media.worker_resample import Shape

_MAX_AT: Final = 1 << 52
"""A place beyond this many samples is none: at any rate it would be a hundred years away."""


class TrackSound:
    """Decodes one track of a file. Use once.

    Args:
        request: what the scanner asked for, as `audio` made it.
        log: libav's log.
        send: takes finished messages.
    """

    def __init__(self, request: dict[str, Any], log: LibavLog, send: Callable[[bytes], None]) -> None:
        self._request = request
        self._log = log
        self._blocks = _Blocks(request["block_samples"] * request["channels"] * SAMPLE_BYTES, send)
        self._send = send
        self._resampler: Resampler | None = None
        self._shape: Shape | None = None
        self._next = 0
        self._frames = 0
        self._refused = 0
        self._unheard = _Unheard()
        self._unread = Unread(request["path"], "")
        self._before_ticks: int | None = None
        self._start = 0
        self._tick_num = self._tick_den = 1
        self._complaint = ""

    def run(self) -> None:
        """Send the track's sound, then its tally. Raises MediaError where nothing can come of it."""
        self._log.reset()
        # Where the container says all there is to know, times of pictures among it, they are not looked at.
        blind = self._request["container"].startswith(TELLING_FORMATS)
        with open_media(self._request["path"], self._request, self._log, blind=blind) as container:
            stream = only_sound(container, self._request["track"])
            if has_no_decoder(stream):
                raise MediaError(Reason.CODEC_UNSUPPORTED, f"no decoder for sound track {stream.index}")
            stream.codec_context.thread_count = 1
            stream.codec_context.thread_type = "NONE"
            self._unread = Unread(self._request["path"], container.format.name)
            self._tick_num, self._tick_den = (stream.time_base or Fraction(1)).as_integer_ratio()
            rate_hz = self._request["rate_hz"]
            self._start = round((container.start_time or 0) * rate_hz / LIBAV_TICKS_PER_S)
            lost = LostTransport(self._request["path"], container.format.name)
            for packet in demuxed(container, self._note_demuxer_failure):
                if packet.size and packet.stream_index == stream.index:
                    if lost.is_before(packet):
                        self._complaint = self._complaint or TRANSPORT_LOST
                    self._unheard.note(packet)
                    self._unread.note(packet)
                    self._decode(stream, packet)
            unheard_ticks = self._unheard.ticks
            self._decode(stream, None)
            self._end_shape()
            self._blocks.send_rest()
            self._send(wire.pack_json(wire.Kind.TALLY, self._tally(container, unheard_ticks)))

    def _decode(self, stream: AudioStream, packet: Packet[AudioStream] | None) -> None:
        if packet is not None and packet.is_corrupt:
            self._complaint = self._complaint or "a packet is marked as corrupt"
        try:
            frames = stream.codec_context.decode(packet)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - PyAV raises builtins of any kind; what is missing is counted later
            self._refuse(f"a packet cannot be decoded ({type(error).__name__})")
            return
        for frame in frames:
            try:
                self._take(frame)
            except (MemoryError, BrokenPipeError):
                raise
            except Exception as error:  # noqa: BLE001 - libavfilter refuses hostile sound with any exception
                self._resampler = None
                self._refuse(f"its sound cannot be converted ({type(error).__name__})")

    def _take(self, frame: AudioFrame) -> None:
        shape = shape_of(frame)
        if shape != self._shape:
            self._end_shape()
            self._next = self._next * shape[0] // self._shape[0] if self._shape else 0
            self._shape = shape
            request = self._request
            self._resampler = Resampler(shape, request["pan"], request["channels"], request["rate_hz"])
        if self._resampler is None:  # what failed for this shape before would fail again
            self._refused += 1
            return
        at = self._next if frame.pts is None else frame.pts * self._tick_num * shape[0] // self._tick_den
        if abs(at) >= _MAX_AT:
            at = self._next
        self._next = at + frame.samples
        self._keep(self._resampler.put(frame, at))
        self._frames += 1
        if self._before_ticks is None:
            self._before_ticks = self._unheard.before_last
        self._unheard = _Unheard()

    def _end_shape(self) -> None:
        resampler, self._resampler = self._resampler, None
        if resampler is not None:
            self._keep(resampler.finish())

    def _keep(self, ready: Iterable[tuple[int, int, bytes]]) -> None:
        for at, samples, pcm in ready:
            complained = bool(self._complaint or self._log.complaint)
            self._blocks.add(wire.Stamp(at - self._start, samples, complained), pcm)

    def _note_demuxer_failure(self) -> None:
        self._complaint = self._complaint or "the container cannot be read on"

    def _refuse(self, what: str) -> None:
        self._refused += 1
        self._complaint = self._complaint or what

    def _seconds(self, ticks: int) -> float:
        return ticks * self._tick_num / self._tick_den

    def _tally(self, container: InputContainer, unheard_ticks: int) -> dict[str, Any]:
        name = container.format.name
        return {
            "frames": self._frames,
            "refused": self._refused,
            "unheard_s": self._seconds(unheard_ticks),
            "unheard_before_s": self._seconds(self._before_ticks or 0),
            "complaint": self._log.complaint or self._complaint,
            "container_complaint": self._log.complaint_of(name),
            "unread": self._unread.tally(),
            "late": late_sound(container) if name in GROWING_FORMATS else "",
        }


class _Unheard:
    """The packets since the last one that gave sound."""

    def __init__(self) -> None:
        self.before_last = 0
        """How long all but the last one last: that one may be what gives sound."""
        self._length = 0
        self._first: int | None = None
        self._end = 0

    @property
    def ticks(self) -> int:
        """How long they last, by their own lengths or by their times: some have but one of both."""
        return max(self._length, 0 if self._first is None else self._end - self._first)

    def note(self, packet: Packet[AudioStream]) -> None:
        """Take one more; one that nobody is to hear does not count."""
        if packet.is_discard:
            return
        self.before_last = self.ticks
        length = max(packet.duration or 0, 0)
        self._length += length
        if packet.pts is not None:
            if self._first is None:
                self._first = self._end = packet.pts
            self._end = max(self._end, packet.pts + length)


class _Blocks:
    """Joins what comes to messages of one size."""

    def __init__(self, block_bytes: int, send: Callable[[bytes], None]) -> None:
        self._block_bytes = block_bytes
        self._send = send
        self._stamps: list[wire.Stamp] = []
        self._pcm = bytearray()

    def add(self, stamp: wire.Stamp, pcm: bytes) -> None:
        """Take samples and their time, and send what is full."""
        self._stamps.append(stamp)
        self._pcm += pcm
        while len(self._pcm) >= self._block_bytes:
            self._send_first(self._block_bytes)

    def send_rest(self) -> None:
        """Send what is left."""
        if self._pcm:
            self._send_first(len(self._pcm))

    def _send_first(self, size: int) -> None:
        stamps, self._stamps = self._stamps, []
        block = bytes(self._pcm[:size])
        del self._pcm[:size]
        self._send(wire.pack_sound(wire.Sound(tuple(stamps), block)))
