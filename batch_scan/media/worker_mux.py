"""Packets to small files of their own by libav's muxers, in a decoder worker: in memory, the same bytes every time.

An MP3 gets the header that tells its length (Xing, or Info): without it, that of a variable bit rate is anybody's
guess; libav's own is 6 % off for a sound whose other half is silence. AAC becomes ADTS, which has no such thing.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import av
from av.packet import Packet

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

MARGIN_BYTES: Final = 2048
"""What a file may have beyond its frames: a frame of its own as the header of an MP3, 1,441 bytes at most."""

_FORMATS: Final = {"mp3": "mp3", "aac": "adts"}


class Muxer:
    """Writes one file.

    Args:
        stream: the track that the packets come from.
        codec: libav's name of its codec.
        tells_length: whether an MP3 gets a header; only right for frames of the rate and channels of `stream`.

    Raises:
        Exception: PyAV's, of any kind, where the packets of such a track cannot stand in such a file.
    """

    def __init__(self, stream: AudioStream, codec: str, *, tells_length: bool = True) -> None:
        self._file = io.BytesIO()
        options = {"fflags": "+bitexact"}
        self._is_mp3 = codec == "mp3"
        if self._is_mp3:
            options |= {"id3v2_version": "0", "write_xing": str(int(tells_length))}
        self._container = av.open(self._file, "w", format=_FORMATS[codec], options=options)
        try:
            self._stream = self._container.add_stream_from_template(stream)
            self._container.start_encoding()
        except BaseException:
            self._container.close()
            raise

    def put(self, packet: Packet[AudioStream]) -> None:
        """Write a packet; it is the file's track's from now on, and may be put into others all the same.

        It loses its times, of which such files know nothing, so that libav does not complain of those that fall back;
        and what its container trims of it: libav's header of an MP3 makes of an end to be trimmed, where there is no
        beginning to be, a beginning of 4,096 samples.
        """
        is_trimmed = self._is_mp3 and packet.has_sidedata("skip_samples")
        bare: Packet[Any] = Packet(bytes(packet)) if is_trimmed else packet
        bare.stream = self._stream
        bare.pts = bare.dts = None
        self._container.mux_one(bare)

    def finish(self) -> memoryview:
        """Return the file."""
        self._container.close()
        return self._file.getbuffer()


def written(stream: AudioStream, codec: str, packet: Packet[AudioStream]) -> bytes:
    """Return a file of one packet. Raises PyAV's exceptions where there can be none."""
    muxer = Muxer(stream, codec)
    muxer.put(packet)
    return bytes(muxer.finish())
