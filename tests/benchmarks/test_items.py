from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import items, ways

if TYPE_CHECKING:
    from pathlib import Path


def test_ten_times_the_rows_take_hardly_more_memory(tmp_path: Path) -> None:
    few, many = (ways.scan(items.known(tmp_path, count), "--no-sound") for count in (2_000, 20_000))
    assert many.peak_bytes - few.peak_bytes < 14e6, "23 MB where every thread has heaps of its own"
