"""Going through the listing of a bucket: memory and CPU by number of objects, asked of a server on loopback."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys

from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions
from batch_scan.store import StoreOptions
from tests.source.many import many_objects

_COUNTS = (10_000, 100_000, 1_000_000)


def list_all(endpoint: str) -> dict[str, float]:
    """Go through all entries of a bucket; return their number, peak memory in MB and CPU seconds of this process."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    options = SourceOptions(store=StoreOptions(endpoint=endpoint, anonymous=True), exclude=("*.txt",))
    source = asyncio.run(open_source("s3://archive/media", options))
    count = sum(1 for _ in source.entries())
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"objects": count, "peak_mb": round(after.ru_maxrss / 1024), "cpu_s": round(cpu_s, 1)}


def main() -> None:
    """Print a line of JSON for each number of objects; each is listed by a process of its own."""
    if len(sys.argv) > 1:
        print(json.dumps(list_all(sys.argv[1])))
        return
    for count in _COUNTS:
        with many_objects(count) as endpoint:
            subprocess.run([sys.executable, "-m", "benchmarks.listing", endpoint], check=True)


if __name__ == "__main__":
    main()
