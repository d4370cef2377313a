"""Pictures out of a live stream: H.264 in FLV tags, decoded as it comes, one picture per interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import av
import simplejpeg

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

_AVC: Final = 7
_HEADER, _PICTURES = 0, 1
_TAG_BYTES: Final = 5
_JPEG_QUALITY: Final = 90


class Taker:
    """Decodes one publisher's pictures and keeps one per interval, in real time."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = 0.0
        self._decoder: VideoCodecContext | None = None

    def take(self, tag: bytes, since_start_s: float) -> bytes | None:
        """Take one FLV video tag; return a JPEG where a picture is due.

        Args:
            tag: the tag's body.
            since_start_s: when it arrived, seconds since the session began.

        Raises ValueError for anything but H.264.
        """
        if len(tag) < _TAG_BYTES or tag[0] & 0x8F != _AVC:
            raise ValueError("only H.264 is taken")
        body = tag[_TAG_BYTES:]
        if tag[1] == _HEADER:
            self._decoder = _decoder(body)
        if tag[1] != _PICTURES or self._decoder is None:
            return None
        frames = self._decode(self._decoder, body)
        if not frames or since_start_s < self._next_s:
            return None
        while self._next_s <= since_start_s:
            self._next_s += self._interval_s
        return _jpeg(frames[-1])

    @staticmethod
    def _decode(decoder: VideoCodecContext, body: bytes) -> list[VideoFrame]:
        try:
            return decoder.decode(av.Packet(body))
        except av.FFmpegError:
            return []  # a damaged picture is left out; the stream goes on


def _decoder(extradata: bytes) -> VideoCodecContext:
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = extradata
    decoder.thread_count = 1  # threads would hold pictures back
    return decoder


def _jpeg(frame: VideoFrame) -> bytes:
    return bytes(simplejpeg.encode_jpeg(frame.to_ndarray(format="rgb24"), quality=_JPEG_QUALITY))
