"""Memory of a decoder worker and of the whole command, for five minutes (`--length`) and two hours (24 times that)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.media.interface import FrameSpec
from batch_scan.media.reader import MediaReader
from benchmarks import media, ways
from benchmarks.measure import table

if TYPE_CHECKING:
    from benchmarks.options import Options

_TIMES = (1, 24)
_FILMS = ("web", "480p")
_INTERVAL_S = 30.0
_HEAD = (
    "film",
    "size",
    "length, s",
    "decoder worker, MB",
    "/ shorter film",
    "libav reading packets, MB",
    "largest process of a scan, MB",
)
_KIB = 1024


def measure(options: Options) -> str:
    """Return the peaks of a decoder worker and of a scan's largest process."""
    rows: list[list[object]] = []
    for kind in media.FILMS:
        if kind.name not in (options.films or _FILMS):
            continue
        shortest = 0
        for length_s in (times * options.length_s for times in _TIMES):
            path = media.film(options.media, kind, length_s)
            worker = asyncio.run(_worker_peak(path))
            shortest = shortest or worker
            reading = ways.read(path).peak_bytes
            whole = ways.scan(path, "--interval", str(_INTERVAL_S)).peak_bytes
            size, times = f"{kind.height} lines", f"{worker / shortest:.2f}"
            peaks = (f"{peak / 1e6:.0f}" for peak in (worker, reading, whole))
            rows.append([kind.name, size, length_s, next(peaks), times, *peaks])
    return table(_HEAD, rows)


async def _worker_peak(path: Path) -> int:
    """Return the most memory that a worker held over one file, bytes, as the kernel tells before it ends."""
    async with MediaReader(1) as reader:
        info = await reader.probe(path)
        async for _ in reader.frames(path, info, FrameSpec(interval_s=_INTERVAL_S)):
            pass
        return max(_peak(child) for child in _children())


def _children() -> list[str]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return listed.split()


def _peak(process: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    return 0
