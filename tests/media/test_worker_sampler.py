"""Which pictures share a sample, on films whose pictures are known to be the same or not."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest

from batch_scan.media import wire
from batch_scan.media.twins import MAX_RUN_S, is_twin
from batch_scan.media.worker_decode import Shown
from batch_scan.media.worker_picture import PictureMaker
from batch_scan.media.worker_sampler import Look, Sampler
from tests.corpus_media import make, numbered_video

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

STILL = "testsrc2=s=640x360:r=10:d=2,select=eq(n\\,0),loop=20:1,setpts=N/10/TB"
MOVING = "testsrc2=s=640x360:r=10:d=2"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-crf", "23")


def decoded(path: Path) -> list[VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def samples_of(frames: list[VideoFrame], *, every_s: float = 1.0, dedup: bool = True) -> list[wire.Picture]:
    sent: list[bytes] = []
    sampler, maker = Sampler(0, sent.append, dedup=dedup), PictureMaker(640, 85, None)
    for at, frame in enumerate(frames):
        sampler.add(Shown(at * every_s, frame, is_damaged=False), at * every_s, maker)
    sampler.close()
    samples = [wire.unpack_picture(message[wire.HEADER.size :]) for message in sent]
    assert sum(sample.stands_for for sample in samples) == len(frames)
    assert sampler.deduplicated == len(frames) - len(samples)
    return samples


@pytest.mark.parametrize(("grain", "light"), [(0, 1.0), (8, 1.0), (0, 0.1)])
def test_a_picture_held_still_is_judged_once_whatever_its_grain(tmp_path: Path, grain: int, light: float) -> None:
    graph = f"{STILL},lutyuv=y=16+(val-16)*{light},noise=alls={grain}:allf=t"
    frames = decoded(make(tmp_path / "a.mp4", "-f", "lavfi", "-i", graph, "-t", "2", *X264))
    (sample,) = samples_of(frames)
    assert (sample.start_s, sample.end_s, sample.stands_for) == (0.0, len(frames) - 1, len(frames))


def test_a_run_ends_after_a_minute(tmp_path: Path) -> None:
    frames = decoded(make(tmp_path / "a.mp4", "-f", "lavfi", "-i", STILL, "-t", "2", *X264))
    samples = samples_of(frames, every_s=MAX_RUN_S / 5)
    assert [sample.stands_for for sample in samples][:2] == [6, 6]


def test_without_merging_every_picture_is_a_sample(tmp_path: Path) -> None:
    frames = decoded(make(tmp_path / "a.mp4", "-f", "lavfi", "-i", STILL, "-t", "1", *X264))
    assert len(samples_of(frames, dedup=False)) == len(frames)


def test_pictures_that_move_are_all_judged(tmp_path: Path) -> None:
    assert len(samples_of(decoded(make(tmp_path / "a.mp4", "-f", "lavfi", "-i", MOVING, *X264)))) == 20


@pytest.mark.parametrize("graph", [STILL, MOVING, f"{STILL},noise=alls=14:allf=t", f"{MOVING},boxblur=20"])
def test_a_glance_changes_no_decision_of_the_thumbnails(tmp_path: Path, graph: str) -> None:
    maker = PictureMaker(640, 85, None)
    scaled = [maker.scaled(frame) for frame in decoded(make(tmp_path / "a.mp4", "-f", "lavfi", "-i", graph, *X264))]
    for one, other in pairwise(scaled):
        assert Look(one, maker).is_twin(Look(other, maker)) == is_twin(maker.thumbnail(one), maker.thumbnail(other))


def test_a_small_spot_in_a_still_picture_makes_another(tmp_path: Path) -> None:
    spot = f"{STILL},drawbox=x=300:y=204:w=8:h=8:color=white:t=fill:enable='gte(n,10)'"
    frames = decoded(make(tmp_path / "a.mp4", "-f", "lavfi", "-i", spot, "-t", "2", *X264))
    assert len(samples_of(frames)) == 2


def test_pictures_of_another_size_are_no_twins(tmp_path: Path) -> None:
    wide = decoded(numbered_video(tmp_path / "wide.mp4", 0.2, size="320x240"))
    high = decoded(numbered_video(tmp_path / "high.mp4", 0.2, size="240x320"))
    assert len(samples_of([wide[0], high[0]])) == 2
