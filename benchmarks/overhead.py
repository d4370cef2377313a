"""Measures our own overhead per entry: a manifest whose rows all point to a few small files, scanned twice.

    pip install '.[local]'
    python benchmarks/overhead.py                # 100,000 rows
    python benchmarks/overhead.py --rows 10000

Prints CPU per row beyond the same scan of the small files alone, and the peak of resident memory, for the first run
and for one over the known archive. The embedded engine judges pictures only, so that its models weigh the same in
every run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "sample_media"
FILES = ("one_frame.mp4", "variable_frame_rate.webm", "phone_without_sound.mp4")
PROGRAM = ("-c", "from batch_scan.cli import entry_point; entry_point()")
JOB = """
[source]
uri = "{manifest}"
root = "{root}"
[endpoints.local]
samples = ["frame"]
[extract]
audio = false
[report]
uri = "{report}"
evidence = false
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    print("| rows | run | CPU, s | CPU per row beyond the files themselves, ms | peak memory, MB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        base = [measure(Path(directory) / "few", len(FILES)) for _ in ("first", "known")]
        many = [measure(Path(directory) / "many", rows) for _ in ("first", "known")]
    for name, few, of_all in zip(("first", "known"), base, many, strict=True):
        per_row_ms = (of_all[0] - few[0]) / rows * 1000
        print(f"| {len(FILES)} | {name} | {few[0]:.2f} | | {few[1]:.0f} |")
        print(f"| {rows} | {name} | {of_all[0]:.2f} | {per_row_ms:.3f} | {of_all[1]:.0f} |")


def measure(place: Path, rows: int) -> tuple[float, float]:
    """Scan `rows` rows in a process of its own; return its CPU in seconds and its peak memory in MB."""
    place.mkdir(exist_ok=True)
    manifest, job = place / "manifest.csv", place / "job.toml"
    names = (FILES[index % len(FILES)] for index in range(rows))
    manifest.write_text("path\n" + "".join(f"{SAMPLES / name}\n" for name in names), encoding="utf-8")
    job.write_text(JOB.format(manifest=manifest, root=SAMPLES, report=place / "reports"), encoding="utf-8")
    silent = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, silent, 1), (os.POSIX_SPAWN_DUP2, silent, 2)]
    child = os.posix_spawn(sys.executable, [sys.executable, *PROGRAM, str(job)], os.environ, file_actions=actions)
    os.close(silent)
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in {0, 1}:
        raise SystemExit(f"the scan failed; run it by hand: batch-scan {job}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
