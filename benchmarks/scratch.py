"""An archive far larger than the scratch: how much of it lies on disk at any time.

    python -m benchmarks.scratch                                  # 3 GB of recordings, scratch_bytes = 500 MB
    python -m benchmarks.scratch --files 12 --file-mb 300 --scratch-mb 700

The bucket is a server on loopback (nanio). Looks at the blocks that the scratch directory takes every 10 ms, and prints
the most of it. Needs what tests need, and as much disk as the archive has.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import wave
from pathlib import Path

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from batch_scan.store import BucketStore, open_store
from tests.scan.corpus import JUDGE
from tests.scan.harness import Place
from tests.source import stores
from tests.source.disk import Watch

RATE_HZ = 48_000
JOB = """
[source]
uri = "{uri}"
scratch_bytes = {scratch_bytes}
[source.bucket]
endpoint = "{endpoint}"
[endpoints.safecomms]
base_url = "{url}"
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--file-mb", type=int, default=250)
    parser.add_argument("--scratch-mb", type=int, default=500)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, stores.nanio(Path(directory) / "nanio") as store:
        os.environ.update(store.env)
        place = Place(Path(directory) / "machine", dict(store.env))
        bucket = store.make_bucket()
        kept, _ = open_store(bucket.url, store.options)
        sizes = [fill(kept, number, told.file_mb * 1_000_000, Path(directory)) for number in range(told.files)]
        with SafeCommsServer(judge=JUDGE) as server:
            names = {"uri": f"{bucket.url}/", "endpoint": store.endpoint, "url": server.url}
            place.write_job(JOB.format(scratch_bytes=told.scratch_mb * 1_000_000, **names))
            started_s = time.monotonic()
            with Watch(place.tmp) as watch:
                ended = place.run(timeout_s=3600)
            elapsed_s = time.monotonic() - started_s
    if ended.said["complete"] != told.files:
        raise SystemExit(f"the scan ended with {ended.code}: {ended.stderr}")
    print("| archive, MB | scratch_bytes, MB | most on disk, MB | looked at | elapsed, s | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    megabytes = f"{sum(sizes) / 1e6:.0f} | {told.scratch_mb} | {watch.most_bytes / 1e6:.1f}"
    print(f"| {megabytes} | {watch.looks} times | {elapsed_s:.0f} | {ended.peak_kib / 1000:.0f} |")


def fill(bucket: BucketStore, number: int, size_bytes: int, directory: Path) -> int:
    """Put a recording of silence, a little longer than the one before; return its size."""
    path = directory / "recording.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(bytes(size_bytes - number * 4 * RATE_HZ))
    bucket.put(f"recording-{number:02}.wav", path)
    size = path.stat().st_size
    path.unlink()
    return size


if __name__ == "__main__":
    main()
