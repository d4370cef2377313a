"""The media room's own decoding without the scan around it, in one process: the best bare way that is known.

    python -m benchmarks.bare FILE [FILE ...] --interval 10.7 [--mode exact|fast|keyframe] [--tolerance S]
    python -m benchmarks.bare FILE --all       # decode every picture and drop it
    python -m benchmarks.bare FILE --keep      # the same, and JPEGs of those that are wanted
    python -m benchmarks.bare FILE --read      # read the packets of its pictures, and decode nothing

Pictures are scaled and encoded as in a scan, and dropped.
"""

from __future__ import annotations

import argparse
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import av
from av.stream import Discard
from av.video.codeccontext import VideoCodecContext

from batch_scan.media import wire
from batch_scan.media.interface import MediaLimits
from batch_scan.media.wanted import WantedTimes
from batch_scan.media.worker_frames import TrackFrames
from batch_scan.media.worker_open import LibavLog, open_media
from batch_scan.media.worker_picture import PictureMaker
from batch_scan.media.worker_probe import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JPEG_QUALITY = 85  # as in a scan


def pictures(path: str, **wanted: Any) -> Iterator[wire.Picture]:
    """Yield the wanted pictures of a file's first picture track.

    Args:
        path: the file.
        wanted: what differs from a request for exact pictures every 10.7 s, each its own; see `media.frames`.
    """
    limits = MediaLimits()
    request: dict[str, Any] = {
        "path": path,
        "interval_s": 10.7,
        "longest_px": 640,
        "mode": "exact",
        "tolerance_s": 0.0,
        "max_frames": 0,
        "dedup": False,
        "jpeg_quality": _JPEG_QUALITY,
        "max_streams": limits.max_streams,
        "max_pixels": limits.max_pixels,
        "max_duration_s": limits.max_duration_s,
        "max_wanted_frames": limits.max_wanted_frames,
        **wanted,
    }
    log = _log()
    log.reset()
    with open_media(path, request, log) as container:
        info = describe(container, log)
    request["duration_s"] = info["duration_s"]
    sent: list[bytes] = []
    for track in info["tracks"]:
        if track["type"] == "video":
            TrackFrames(request, track, log, sent.append).run()
            break
    for message in sent:
        kind, _ = wire.unpack_header(message[: wire.HEADER.size])
        if kind is wire.Kind.PICTURE:
            yield wire.unpack_picture(message[wire.HEADER.size :])


@cache
def _log() -> LibavLog:
    """Return the one log that this process listens to."""
    return LibavLog()


def decode_all(path: str, interval_s: float = 0.0, longest_px: int = 0) -> int:
    """Decode every picture on one thread, make JPEGs of those wanted where any are, and return how many came."""
    count = 0
    with av.open(path) as container:
        stream = container.streams.video[0]
        if isinstance(stream.codec_context, VideoCodecContext):
            stream.codec_context.thread_count = 1
        maker = PictureMaker(longest_px, _JPEG_QUALITY, stream.sample_aspect_ratio)
        wanted = WantedTimes(interval_s)
        start_s = float((stream.start_time or 0) * (stream.time_base or 0))
        for frame in container.decode(stream):
            count += 1
            time_s = (frame.time or 0.0) - start_s
            if interval_s and wanted.wants(time_s):
                wanted.answer(time_s)
                maker.jpeg(maker.scaled(frame), 0)
    return count


def read_packets(path: str | Path, *types: str) -> int:
    """Read the packets of tracks of these types, `video` or `audio`, in one pass, and return their number."""
    with av.open(path) as container:
        for stream in container.streams:
            stream.discard = Discard.default if stream.type in types else Discard.all
        # what opening read ahead comes too, whatever it is of
        return sum(1 for packet in container.demux() if packet.size and packet.stream.type in types)


def main() -> None:
    """Do it, and print how many pictures came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--interval", type=float, default=10.7)
    parser.add_argument("--mode", default="exact")
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--dedup", action="store_true")
    parser.add_argument("--longest", type=int, default=640)
    instead = parser.add_mutually_exclusive_group()
    for other in ("all", "keep", "read"):
        instead.add_argument(f"--{other}", action="store_true")
    options = parser.parse_args()
    count = sum(_count(path, options) for path in options.files)
    sys.stdout.write(f"{count}\n")


def _count(path: str, options: argparse.Namespace) -> int:
    if options.read:
        return read_packets(path, "video")
    if options.all:
        return decode_all(path)
    if options.keep:
        return decode_all(path, options.interval, options.longest)
    asked = {"mode": options.mode, "tolerance_s": options.tolerance, "dedup": options.dedup}
    return sum(1 for _ in pictures(path, interval_s=options.interval, longest_px=options.longest, **asked))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what an interrupt has to say, the one that started it says
    main()
