"""The embedded picture models asked in a loop, one picture after the other on one thread.

python -m benchmarks.bare_models FILE INTERVAL [--unasked]
"""

from __future__ import annotations

import sys

from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.images import FrameModels
from benchmarks.bare import pictures


def main() -> None:
    """Take the pictures out, load the models, and ask them unless told not to."""
    path, interval_s, *words = sys.argv[1:]
    jpegs = [picture.jpeg for picture in pictures(path, interval_s=float(interval_s))]
    models = FrameModels(LocalConfig(threads=1))
    for jpeg in jpegs if "--unasked" not in words else ():
        models.judge([jpeg])


if __name__ == "__main__":
    main()
