"""What it costs to find near-twins of pictures, against encoding them; both in process time over the same pictures."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import av

from batch_scan.media.twins import is_twin
from batch_scan.media.worker_picture import PictureMaker
from benchmarks import media
from benchmarks.measure import spread, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from av.video.frame import VideoFrame

    from benchmarks.options import Options

_PICTURES = 100
_FILMS = ("web", "hevc", "480p")
_HEAD = ("film", "scale, ms", "encode, ms", "thumbnail and comparison, ms", "share of encoding", "share of all three")


def measure(options: Options) -> str:
    """Return milliseconds per picture."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if kind.name not in (options.films or _FILMS):
            continue
        with av.open(media.film(options.media, kind, 60)) as container:
            stream = container.streams.video[0]
            frames = [frame for _, frame in zip(range(_PICTURES), container.decode(stream), strict=False)]
            maker = PictureMaker(640, 85, stream.sample_aspect_ratio)
        timed = [_timed(maker, frames) for _ in range(options.runs)]
        scale, encode, find = ([run[part] for run in timed] for part in range(3))
        share = statistics.median(one / other for one, other in zip(find, encode, strict=True))
        of_all = statistics.median(run[2] / sum(run) for run in timed)
        rows.append([kind.name, *(spread(each) for each in (scale, encode, find)), f"{share:.2f}", f"{of_all:.2f}"])
    return table(_HEAD, rows)


def _timed(maker: PictureMaker, frames: list[VideoFrame]) -> tuple[float, float, float]:
    """Return what scaling, encoding and finding twins take for one picture, milliseconds."""
    scaled = [maker.scaled(frame) for frame in frames]
    first = maker.thumbnail(scaled[0])
    return (
        _each_ms(lambda: [maker.scaled(frame) for frame in frames]),
        _each_ms(lambda: [maker.jpeg(picture, 0) for picture in scaled]),
        _each_ms(lambda: [is_twin(maker.thumbnail(picture), first) for picture in scaled]),
    )


def _each_ms(work: Callable[[], Sequence[object]]) -> float:
    began_s = time.process_time()
    count = len(work())
    return 1000 * (time.process_time() - began_s) / count
