"""An audit of a known archive in a bucket: objects are scanned once, and all found unchanged by the run after it.

    python -m benchmarks.known                   # 100,000 objects
    python -m benchmarks.known --objects 10000

The bucket is a server on loopback that lists so many objects of three small contents, the endpoint the sandbox's; their
CPU is not counted. Prints CPU and peak of resident memory of both runs, and how many objects each of them fetched.
Needs what tests need.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.scan.corpus import JUDGE
from tests.scan.harness import Place
from tests.source.many import many_objects

SAMPLES = Path(__file__).parents[1] / "sample_media"
FILES = ("one_frame.mp4", "variable_frame_rate.webm", "phone_without_sound.mp4")
JOB = """
[source]
uri = "s3://archive/media"
[source.bucket]
endpoint = "{endpoint}"
anonymous = true
[endpoints.safecomms]
base_url = "{url}"
[endpoints.safecomms.limit]
requests_per_minute = 0
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    objects = parser.parse_args().objects
    contents = [(SAMPLES / name).read_bytes() for name in FILES]
    fetched: list[int] = []
    print("| run | objects | fetched | CPU, s | elapsed, s | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as directory,
        many_objects(objects, contents, fetched) as endpoint,
        SafeCommsServer(judge=JUDGE) as server,
    ):
        place = Place(Path(directory))
        place.write_job(JOB.format(endpoint=endpoint, url=server.url))
        for name in ("first", "known"):
            fetched.clear()
            started_s = time.monotonic()
            ended = place.run(timeout_s=7200)
            elapsed_s = time.monotonic() - started_s
            if ended.code not in {0, 1} or ended.said["complete"] != objects:
                raise SystemExit(f"the scan ended with {ended.code}: {ended.stderr}")
            figures = f"{len(fetched)} | {ended.cpu_s:.1f} | {elapsed_s:.0f} | {ended.peak_kib >> 10}"
            print(f"| {name} | {objects} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
