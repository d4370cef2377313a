"""An endpoint that answers at once and finds nothing: what is left of a scan's cost is ours and the decoder's.

    python -m benchmarks.null SOURCE --interval 10.7 [--mode exact|fast|keyframe] [--no-sound | --copy-sound]

runs one scan with it, in a throw-away report.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from batch_scan.allocators import share_heaps
from batch_scan.endpoint.config import ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota
from batch_scan.endpoint.registry import ENDPOINTS, EndpointType, ServiceType
from batch_scan.lazy_pandas import keep_pandas_out
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.model import Answer, Request, Sample, Score
from batch_scan.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.vocabulary import Medium


_ENDPOINT = "local: the embedded picture models; speech: the embedded transcriber and text models"
_EMBEDDED = {"local": "frame", "speech": "utterance"}
LEFT_OUT = "left-out"
"""Name of files that are not scanned."""
_MANIFESTS = {".csv", ".jsonl", ".parquet"}


class Config(ServiceConfig):
    """Which samples it takes."""

    sound: bool = True
    pictures: bool = True
    batch: int = 12
    latency_s: float = 0.0


class Null(Endpoint):
    """See the module."""

    name = "null"
    config: Config

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def needs(self) -> Needs:
        """Frames in batches, sound as FLAC in pieces of up to ten minutes, or undecoded where it may be copied."""
        sound = AudioSpec(codec=AudioCodec.FLAC, max_s=600.0, copies=("mp3", "aac"))
        return Needs(
            audio=sound if self.config.sound else None,
            frame=BatchLimits(samples=self.config.batch) if self.config.pictures else None,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return nothing worth knowing."""
        return {"adapter": 1}

    async def open(self) -> Quota:
        """Do nothing."""
        return Quota()

    async def close(self) -> Quota | None:
        """Do nothing."""
        return None

    def operation(self, medium: Medium) -> str:
        """Return the medium's name."""
        return medium.value

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    async def submit(self, request: Request) -> Answer:  # noqa: ARG002
        """Answer at once, or after the latency that was asked for."""
        if self.config.latency_s:
            await asyncio.sleep(self.config.latency_s)
        return Answer("{}", 0)

    def read(self, request: Request, answer: Answer) -> list[Score]:  # noqa: ARG002
        """Find nothing."""
        return []


def build(config: ServiceConfig) -> Null:
    """Return the endpoint."""
    return Null(cast("Config", config))


def main() -> None:
    """Scan once; the result goes to standard output."""
    share_heaps()  # as the command does
    keep_pandas_out()
    from batch_scan.engine.one_machine import run_scan  # noqa: PLC0415 - after the endpoint is known
    from batch_scan.jobfile import load_job  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--interval", type=float, default=10.7)
    parser.add_argument("--mode", default="exact")
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-sound", action="store_true")
    parser.add_argument("--no-pictures", action="store_true")
    parser.add_argument("--copy-sound", action="store_true", help="hand MP3 and AAC on undecoded")
    parser.add_argument("--endpoint", choices=("null", "local", "speech"), default="null", help=_ENDPOINT)
    parser.add_argument("--batch", type=int, default=12, help="frames per request (default: 12)")
    parser.add_argument("--rate", type=float, default=0.0, help="requests per minute (default: no limit)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to an answer (default: 0)")
    parser.add_argument("--dedup", action="store_true", help="merge near-twins")
    parser.add_argument("--state", default="", help="where report and ledger stay (default: nowhere)")
    options = parser.parse_args()
    cast("dict[str, EndpointType]", ENDPOINTS)["null"] = ServiceType("benchmarks.null:Config", "benchmarks.null:build")
    with tempfile.TemporaryDirectory() as scratch:
        job_file = Path(scratch) / "job.toml"
        job_file.write_text(_toml(options, scratch))
        loaded = load_job(str(job_file), None, {("run", "workers"): options.workers})
        outcome = asyncio.run(run_scan(loaded.job, Progress(enabled=False), asyncio.Event()))
    totals = outcome.run.totals
    sys.stdout.write(json.dumps({"items": totals.items, "keep": totals.keep, "requests": totals.requests}) + "\n")
    judged = totals.keep if options.endpoint == "null" else totals.items - totals.unknown
    sys.exit(0 if judged == totals.items - totals.skipped else 1)


def _toml(options: argparse.Namespace, scratch: str) -> str:
    report = str(Path(options.state or scratch) / "report")
    source = Path(options.source).absolute()
    if source.is_file() and source.suffix not in _MANIFESTS:
        manifest = Path(scratch) / "one.csv"
        manifest.write_text(f"path\n{source}\n", encoding="utf-8")
        root, source = source.parent, manifest
    else:
        root = source if source.is_dir() else source.parent
    lines = [
        "[source]",
        f"uri = {json.dumps(str(source))}",
        *([f"root = {json.dumps(str(root))}"] if source.is_file() else []),
        f'exclude = ["{LEFT_OUT}"]',
        *_table(options),
        "[extract]",
        f"frame_interval = {options.interval}",
        f'frame_mode = "{options.mode}"',
        f"frame_tolerance = {options.tolerance}",
        f"audio = {str(not options.no_sound and options.endpoint != 'local').lower()}",
        f"video = {str(not options.no_pictures and options.endpoint != 'speech').lower()}",
        f"dedup_frames = {str(options.dedup).lower()}",
        f"copy_sound = {str(options.copy_sound).lower()}",
        "[report]",
        f"uri = {json.dumps(report)}",
    ]
    return "\n".join(lines) + "\n"


def _table(options: argparse.Namespace) -> list[str]:
    if options.endpoint != "null":
        return ["[endpoints.local]", f'samples = ["{_EMBEDDED[options.endpoint]}"]']
    return [
        "[endpoints.null]",
        f"sound = {str(not options.no_sound).lower()}",
        f"pictures = {str(not options.no_pictures).lower()}",
        f"batch = {options.batch}",
        f"latency_s = {options.latency}",
        f"limit.requests_per_minute = {options.rate}",
    ]


if __name__ == "__main__":
    main()
