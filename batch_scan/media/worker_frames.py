"""The wanted pictures of one file, in a decoder worker: every picture track, twins merged, what is missing told."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, cast

from av.container import Flags

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.interface import FrameMode
from batch_scan.media.wanted import WantedTimes, spread
from batch_scan.media.ways import FrameWork, Whole
from batch_scan.media.worker_account import Account
from batch_scan.media.worker_container import container_damage
from batch_scan.media.worker_decode import TrackDecoder
from batch_scan.media.worker_late import late_tracks
from batch_scan.media.worker_open import has_no_decoder, open_media
from batch_scan.media.worker_packets import TrackPackets
from batch_scan.media.worker_picture import PictureMaker
from batch_scan.media.worker_plain import PlainPass
from batch_scan.media.worker_progress import Mistrusted, Progress
from batch_scan.media.worker_sampler import Sampler
from batch_scan.media.worker_select import SelectivePass
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from batch_scan.media.worker_decode import Shown
    from batch_scan.media.worker_open import LibavLog

_KEYFRAME_LATE_S: Final = 15.0
"""In keyframe mode a wanted time waits this long for a keyframe, or twice the interval; x264 sets one each 10.4 s."""

_MAKE_UP_TIMES: Final = cast("int", Flags.gen_pts.value)
"""A flag that PyAV sets on every container. Rather no times than made-up ones, where those may be what misled us."""

_CHUNK: Final = "skipping unsupported chunk"
"""Said of animated WebP by a libav that knows only the still kind."""

_PACKED: Final = re.compile(rb"DivX\d+(?:b|Build)\d+p")
_HEAD_BYTES: Final = 256 << 10

_MAX_BELATED: Final = 64
"""So many pictures may have been taken before the decoder marks one they lean on (`worker_spoilt`)."""

_REORDERING_CODECS: Final = frozenset({"h264", "hevc"})


class TrackFrames:
    """Takes out the pictures of one track of a file. Use once.

    Args:
        request: what the scanner asked for, as `frames.read_frames` makes it.
        track: the track, as `worker_probe` described it.
        log: libav's log.
        send: takes finished messages.

    Attributes:
        late: a sentence about tracks that came to light on the way; empty where none did.
    """

    def __init__(
        self, request: dict[str, Any], track: dict[str, Any], log: LibavLog, send: Callable[[bytes], None]
    ) -> None:
        self._request = request
        self._index: int = track["index"]
        self._is_cover: bool = track["is_cover"]
        self._log = log
        self._send = send
        self.late = ""
        self._whole = Whole.COVER if self._is_cover else None
        self._sent = self._decoded = self._alone = 0
        self._began_s = time.process_time()
        self._mode = FrameMode(request["mode"])
        self._sampler = Sampler(self._index, send, dedup=request["dedup"] and not self._is_cover)
        declared_s = track["duration_s"] or request["duration_s"]
        interval_s = spread(request["interval_s"], declared_s, request["max_frames"])
        max_taken = min(request["max_frames"] or request["max_wanted_frames"], request["max_wanted_frames"])
        progress = Progress(WantedTimes(interval_s), 1 if self._is_cover else max_taken)
        progress.early_s = progress.late_s = request["tolerance_s"]
        if self._mode is FrameMode.KEYFRAME:
            progress.late_s = max(progress.late_s, 2 * interval_s, _KEYFRAME_LATE_S)
        self._account = Account(
            progress, None if self._is_cover else declared_s, declared_by_file=track["duration_s"] is None
        )

    def run(self) -> None:
        """Send the track's samples, then what is missing of it, then its tally. Raises nothing that is the file's."""
        try:
            if self._is_cover or not self._pass(SelectivePass):
                self._pass(PlainPass)
        except MediaError as error:
            self._account.failure = error
        self._sampler.close()
        for reason, detail in self._account.shortfalls():
            told = {"reason": reason, "detail": f"picture track {self._index}: {detail}", "track": self._index}
            self._send(wire.pack_json(wire.Kind.SHORTFALL, told))
        self._send(wire.pack_json(wire.Kind.TALLY, self._tally()))

    def _pass(self, passing: type[SelectivePass | PlainPass]) -> bool:
        """Read the track once; False where it has to be read again, plainly. Raises MediaError."""
        self._log.reset()
        with open_media(self._request["path"], self._request, self._log) as container:
            stream = self._stream(container)
            is_packed = _is_packed(self._request["path"], container, stream)
            if passing is PlainPass or is_packed or _has_doubtful_times(container, stream):
                container.flags &= ~_MAKE_UP_TIMES
            account = self._account
            packets = TrackPackets(
                container,
                stream,
                self._log,
                self._request["max_duration_s"],
                all_tracks=account.declared_by_file and account.declared_s is not None,
            )
            most_px = self._request["max_pixels"]
            decoder = TrackDecoder(stream, packets, self._log, self._mode, most_px, as_they_come=is_packed)
            maker = PictureMaker(self._request["longest_px"], self._request["jpeg_quality"], stream.sample_aspect_ratio)
            account.packets = packets
            pictures = passing(packets, decoder, account.progress)
            try:
                self._sample(pictures, decoder, maker)
            except Mistrusted as mistrusted:
                self._whole = mistrusted.why
                return False
            finally:
                account.decoded = decoder.decoded
                self._sent += decoder.sent
                self._decoded += decoder.decoded
                self._alone += pictures.alone if isinstance(pictures, SelectivePass) else 0
            self.late = late_tracks(container)
            if not self._is_cover:
                name = container.format.name
                account.container_damage = container_damage(self._request["path"], name, packets, self._log)
            self._explain_nothing(decoder)
        return True

    def _sample(self, pictures: Iterable[Shown], decoder: TrackDecoder, maker: PictureMaker) -> None:
        whole_s: deque[float] = deque(maxlen=_MAX_BELATED)
        for shown in pictures:
            time_s = 0.0 if self._is_cover else max(shown.time_s, 0.0)
            self._account.damaged_at_s += _both(decoder.take_belated_s(), whole_s)
            if shown.is_damaged:
                self._account.damaged_at_s.append(time_s)
            else:
                whole_s.append(shown.time_s)
            try:
                self._sampler.add(shown, time_s, maker)
            except Exception:  # noqa: BLE001 - swscale and the encoder refuse hostile pictures with any exception
                self._account.lost_at_s.append(time_s)
            if self._is_cover:
                return
        self._account.damaged_at_s += _both(decoder.take_belated_s(), whole_s)

    def _stream(self, container: InputContainer) -> VideoStream:
        stream = next((stream for stream in container.streams.video if stream.index == self._index), None)
        if stream is None:
            raise MediaError(Reason.CHANGED, "the track is gone: the file changed while it was read")
        if has_no_decoder(stream):
            raise MediaError(Reason.CODEC_UNSUPPORTED, f"no decoder for picture track {self._index}")
        return stream

    def _explain_nothing(self, decoder: TrackDecoder) -> None:
        """Where no picture came, say why if libav knew."""
        if decoder.decoded:
            return
        if self._log.said_picture_too_large():
            raise MediaError(Reason.TOO_MANY_PIXELS, "its pictures are larger than is decoded")
        if self._log.said("not implemented") or self._log.said("is not supported") or self._log.said(_CHUNK):
            raise MediaError(Reason.CODEC_UNSUPPORTED, f"no decoder for it: {self._log.last()}")

    def _tally(self) -> dict[str, Any]:
        progress, lost = self._account.progress, len(self._account.lost_at_s)
        return {
            "track": self._index,
            "planned": self._account.planned,
            "extracted": progress.taken - lost,
            "deduplicated": self._sampler.deduplicated,
            "work": asdict(self._work()),
        }

    def _work(self) -> FrameWork:
        packets, progress = self._account.packets, self._account.progress
        work = FrameWork(
            track=self._index,
            interval_s=progress.wanted.interval_s,
            sent=self._sent,
            decoded=self._decoded,
            alone=self._alone,
            taken=progress.taken,
            cpu_s=time.process_time() - self._began_s,
            whole=self._whole,
        )
        if packets is None:
            return work
        return replace(
            work,
            packets=packets.count,
            keyframes=packets.keyframes,
            group_s=packets.group_s,
            behind_s=packets.behind_s,
            frame_s=packets.frame_s,
        )


def _both(belated_s: list[float], whole_s: deque[float]) -> list[float]:
    return [max(time_s, 0.0) for time_s in belated_s if time_s in whole_s]


def _has_doubtful_times(container: InputContainer, stream: VideoStream) -> bool:
    """AVI says only when to decode; what libav makes of that for codecs that reorder deeply is wrong by pictures."""
    return container.format.name == "avi" and stream.codec_context.codec.canonical_name in _REORDERING_CODECS


def _is_packed(path: str, container: InputContainer, stream: VideoStream) -> bool:
    """Say whether two pictures may lie in one packet, and an empty one follows: DivX and Xvid with B-pictures in AVI.

    Their encoders write so at the beginning of the film, in the words that libav's decoder looks for.
    """
    if container.format.name != "avi" or stream.codec_context.codec.canonical_name != "mpeg4":
        return False
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs more than the read
        return _PACKED.search(file.read(_HEAD_BYTES)) is not None
