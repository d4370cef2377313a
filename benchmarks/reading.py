"""What reading a film costs without decoding any of it: its digest, its packets in one pass or two, and by seeking.

This is all that seeking, or one pass for pictures and sound, could save of a scan.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import av
from av.stream import Discard

from batch_scan.digest import digest_file
from benchmarks import media
from benchmarks.bare import read_packets
from benchmarks.measure import Cost, in_turn, spread, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.options import Options

_INTERVAL_S = 10.7
_HOUR_S = 3600.0
_HEAD = (
    "film",
    "digest",
    "packets of pictures",
    "of sound",
    "of both in one pass",
    "one pass would save",
    "sought pictures alone",
    "seeking would save",
)


def measure(options: Options) -> str:
    """Return CPU seconds per hour of film; what is sought are the packets from the keyframe before each 10.7 s on."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if options.films and kind.name not in options.films:
            continue
        path = media.film(options.media, kind, options.length_s)
        timed = in_turn(options.runs, *(_timed(read, path) for read in _WAYS))
        digest, pictures, sound, both, some = (
            [cost.cpu_s * _HOUR_S / options.length_s for cost in costs] for costs in timed
        )
        one_pass = [first + second - at_once for first, second, at_once in zip(pictures, sound, both, strict=True)]
        seeking = [whole - part for whole, part in zip(pictures, some, strict=True)]
        rows.append([kind.name, *map(spread, (digest, pictures, sound, both, one_pass, some, seeking))])
    return table(_HEAD, rows)


def _timed(read: Callable[[Path], object], path: Path) -> Callable[[], Cost]:
    def timed() -> Cost:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        read(path)
        return Cost(time.process_time() - began_cpu_s, time.perf_counter() - began_s, 0)

    return timed


def sought(path: Path) -> int:
    """Read the packets from the keyframe before each wanted time up to that time, and return their number."""
    with av.open(path) as container:
        stream: Any = container.streams.video[0]
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all
        tick_s = float(stream.time_base)
        read, wanted_s, start_s = 0, 0.0, (stream.start_time or 0) * tick_s
        end_s = (container.duration or 0) / av.time_base
        while wanted_s < end_s:
            container.seek(round((start_s + wanted_s) / tick_s), stream=stream)
            for packet in container.demux():
                read += 1
                if packet.pts is None or packet.pts * tick_s - start_s >= wanted_s:
                    break
            wanted_s += _INTERVAL_S
        return read


def _read(*types: str) -> Callable[[Path], int]:
    return lambda path: read_packets(path, *types)


_WAYS = (digest_file, _read("video"), _read("audio"), _read("video", "audio"), sought)
"""What is measured, in the order of the table's columns."""
