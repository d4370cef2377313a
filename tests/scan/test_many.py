"""Many entries cost neither memory nor much time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import JUDGE, stretches
from tests.scan.harness import job_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scan.harness import Ended, Place

ENTRIES = 100_000
MOST_KIB = 400 << 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_entries_take_no_more_memory_than_a_few(place: Place, tmp_path: Path) -> None:
    names = [f"film {at}.mp4" for at in range(5)]
    for at, name in enumerate(names):
        stretches(tmp_path / name, ((f"0x{at * 8:02x}5030", 1), ("navy", 1)))
    tone(tmp_path / "sound.wav", 1)
    names.append("sound.wav")
    manifest = tmp_path / "manifest.csv"
    rows = (f'"{names[at % len(names)]}",entry number {at},some column' for at in range(ENTRIES))
    manifest.write_text("path,title,more\n" + "\n".join(rows) + "\n")
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(manifest, server.url))
        first = place.run(timeout_s=400)
        again = place.run(timeout_s=400)
        few = len({seen.digest for seen in server.calls})
        assert len(server.calls) == few < 20
    for ended in (first, again):
        assert ended.code == 0, ended.stderr
        assert ended.said["items"] == ended.said["keep"] == ENTRIES
        parts = sorted((place.report / f"files/run_id={ended.run_id}").glob("part-*"))
        assert sum(pq.ParquetFile(part).metadata.num_rows for part in parts) == ENTRIES
        assert ended.peak_kib < MOST_KIB, f"{ended.peak_kib >> 10} MiB"
    print(_cost("first", first), _cost("again", again), sep="\n")  # noqa: T201 - a measurement, shown with pytest -s


def _cost(name: str, ended: Ended) -> str:
    per_entry_ms = ended.cpu_s / ENTRIES * 1000
    return f"{name}: {ended.cpu_s:.1f} s of CPU, {per_entry_ms:.3f} ms an entry, {ended.peak_kib >> 10} MiB at most"
