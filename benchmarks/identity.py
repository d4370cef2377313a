"""Whether exact pictures are, byte for byte, those that a full decode gives, and how far fast ones are from them.

Every film is decoded wholly; the first picture shown at or after each wanted time is scaled and encoded as in a scan
and compared with what the extraction hands on. Pictures of fast mode are compared as decoded JPEGs (PSNR of luma).
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from batch_scan.media.wanted import WantedTimes
from batch_scan.media.worker_picture import PictureMaker
from benchmarks import media
from benchmarks.bare import pictures
from benchmarks.measure import table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options

_LENGTH_S = 60
_SAME_S = 0.002
_HEAD = ("film", "every, s", "pictures", "bit for bit the same", "fast: PSNR, dB (lowest, mean)", "keyframe: off by, s")


def measure(options: Options) -> str:
    """Return one row per film and interval."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if options.films and kind.name not in options.films:
            continue
        path = media.film(options.media, kind, _LENGTH_S)
        for interval_s, wanted in _decoded(path, options.intervals).items():
            exact = {picture.start_s: picture.jpeg for picture in pictures(str(path), interval_s=interval_s)}
            same = sum(_at(exact, time_s) == jpeg for time_s, jpeg in wanted.items())
            surplus = len(exact) - len(wanted)
            fast = {one.start_s: one.jpeg for one in pictures(str(path), interval_s=interval_s, mode="fast")}
            values = [_psnr_db(_at(fast, time_s) or jpeg, jpeg) for time_s, jpeg in wanted.items()]
            keys = [one.start_s for one in pictures(str(path), interval_s=interval_s, mode="keyframe")]
            off = [min(abs(key_s - time_s) for key_s in keys) for time_s in wanted]
            quality = f"{min(values):.1f}, {_mean(values):.1f}"
            told = f"{same}, and {surplus} more" if surplus else same
            rows.append([kind.name, interval_s, len(wanted), told, quality, f"{max(off):.2f}, mean {_mean(off):.2f}"])
    return table(_HEAD, rows)


def _decoded(path: Path, intervals: tuple[float, ...]) -> dict[float, dict[float, bytes]]:
    """Return, for each interval, the wanted pictures of a full decode by their times."""
    wanted = {interval_s: WantedTimes(interval_s) for interval_s in intervals}
    found: dict[float, dict[float, bytes]] = {interval_s: {} for interval_s in intervals}
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        start_s = (container.start_time or 0) / 1_000_000
        maker = PictureMaker(640, 85, stream.sample_aspect_ratio)
        last, time_s = None, 0.0
        for frame in container.decode(stream):
            last, time_s = frame, max((frame.time or 0.0) - start_s, 0.0)
            takers = [interval_s for interval_s, times in wanted.items() if times.wants(time_s)]
            for interval_s in takers:
                wanted[interval_s].answer(time_s)
                found[interval_s][time_s] = maker.jpeg(maker.scaled(frame), frame.rotation)
        end_s = time_s + float(1 / (stream.average_rate or 25)) / 2
        for interval_s, times in wanted.items():  # a wanted time within the last picture's stay is answered by it
            if last is not None and times.next_s < end_s:
                found[interval_s][time_s] = maker.jpeg(maker.scaled(last), last.rotation)
    return found


def _at(pictures_by_s: dict[float, bytes], time_s: float) -> bytes | None:
    """Return the picture shown at a time, whatever the rounding."""
    return next((jpeg for at_s, jpeg in pictures_by_s.items() if abs(at_s - time_s) < _SAME_S), None)


def _psnr_db(jpeg: bytes, reference: bytes) -> float:
    one, other = (np.asarray(Image.open(io.BytesIO(each)).convert("L"), np.float32) for each in (jpeg, reference))
    error = float(np.mean((one - other) ** 2))
    return 99.0 if not error else min(10 * math.log10(255**2 / error), 99.0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
