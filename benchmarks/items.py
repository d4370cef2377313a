"""What a row costs that is known already, and one that is new: CPU and memory by their number.

Known rows all name one file that was scanned before. New rows name files of one frame each, no two alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options

_KNOWN = (1_000, 10_000, 100_000, 1_000_000)
_NEW = (1_000, 10_000)
_FILE = "one_frame.mp4"


def measure(options: Options) -> str:
    """Return CPU and memory by the number of rows; each number once, as the largest takes minutes."""
    rows: list[list[object]] = []
    for kind, counts, make in (("known", _KNOWN, known), ("new", _NEW, new)):
        least = None
        for count in counts:
            if count > options.most_items:
                continue
            cost = ways.scan(make(options.scratch, count), "--no-sound")
            least = least or cost
            each = "" if cost is least else f"{1000 * (cost.cpu_s - least.cpu_s) / (count - counts[0]):.3f}"
            memory = f"{cost.peak_bytes / 1e6:.0f}"
            ratio = f"{cost.peak_bytes / least.peak_bytes:.2f}"
            rows.append([kind, f"{count:,}", f"{cost.cpu_s:.1f}", each, f"{cost.wall_s:.0f}", memory, ratio])
    head = ("rows", "how many", "CPU, s", "CPU per further row, ms", "wall, s", "memory, MB", "/ memory of 1,000")
    return table(head, rows)


def known(scratch: Path, count: int) -> Path:
    """Return a manifest of rows that all name one file."""
    manifest = scratch / f"known-{count}.csv"
    path = scratch / _FILE
    path.write_bytes((media.SAMPLES / _FILE).read_bytes())
    with manifest.open("w", encoding="utf-8") as file:
        file.write("path\n")
        file.writelines(f"{path}\n" for _ in range(count))
    return manifest


def new(scratch: Path, count: int) -> Path:
    """Return a directory of files that differ in a box of nothing at their end."""
    made = scratch / f"new-{count}"
    made.mkdir()
    film = (media.SAMPLES / _FILE).read_bytes()
    for number in range(count):
        (made / f"{number:06}.mp4").write_bytes(film + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big"))
    return made
