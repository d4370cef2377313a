"""What it costs to find near-twins of pictures, against encoding them; both in process time over the same pictures.

Most pictures of a film differ at a glance. A twin is looked at more closely, and is not encoded.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import av

from batch_scan.media.worker_picture import PictureMaker
from batch_scan.media.worker_sampler import Look
from benchmarks import media
from benchmarks.measure import spread, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from av.video.frame import VideoFrame

    from benchmarks.options import Options

_PICTURES = 100
_FILMS = ("web", "hevc", "480p")
_HEAD = (
    "film",
    "scale, ms",
    "encode, ms",
    "compare, ms",
    "compare twins, ms",
    "compare / encode",
    "compare twins / encode",
)


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
        scale, encode, other, twin = ([run[part] for run in timed] for part in range(4))
        shares = (
            statistics.median(one / whole for one, whole in zip(finding, encode, strict=True))
            for finding in (other, twin)
        )
        parts = (spread(each) for each in (scale, encode, other, twin))
        rows.append([kind.name, *parts, *(f"{share:.2f}" for share in shares)])
    return table(_HEAD, rows)


def _timed(maker: PictureMaker, frames: list[VideoFrame]) -> tuple[float, float, float, float]:
    """Return what scaling, encoding, comparing others and comparing twins takes for one picture, milliseconds."""
    scaled = [maker.scaled(frame) for frame in frames]
    first = Look(scaled[0], maker)
    return (
        _each_ms(lambda: [maker.scaled(frame) for frame in frames]),
        _each_ms(lambda: [maker.jpeg(picture, 0) for picture in scaled]),
        _each_ms(lambda: [Look(picture, maker).is_twin(first) for picture in scaled]),
        _each_ms(lambda: [Look(scaled[0], maker).is_twin(first) for _ in scaled]),
    )


def _each_ms(work: Callable[[], Sequence[object]]) -> float:
    began_s = time.process_time()
    count = len(work())
    return 1000 * (time.process_time() - began_s) / count
