from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.worker_picture import PictureMaker, scaled_size
from tests.corpus_media import colour_of_second, colour_video, make, numbered_source, numbered_video, shown_number

SECONDS = 3
X264 = ("-c:v", "libx264", "-preset", "ultrafast")

SOURCES = {
    "bt601.mp4": (*X264, "-pix_fmt", "yuv420p"),
    "bt709.mp4": ("-vf", "scale=out_color_matrix=bt709,format=yuv420p", "-colorspace", "bt709", *X264),
    "untagged_hd.mp4": ("-vf", "scale=1280:720:out_color_matrix=bt709,format=yuv420p", *X264),
    "full_range.mp4": ("-vf", "scale=out_range=pc,format=yuv420p", "-color_range", "pc", *X264),
    "ten_bit.mkv": ("-pix_fmt", "yuv420p10le", "-c:v", "ffv1"),
    "yuv444.mkv": ("-pix_fmt", "yuv444p", *X264),
    "rgb.mkv": ("-pix_fmt", "rgb24", "-c:v", "libx264rgb", "-preset", "ultrafast"),
    "alpha.mov": ("-pix_fmt", "rgba", "-c:v", "png"),
    "palette.gif": ("-c:v", "gif"),
    "odd_size.mkv": ("-vf", "scale=161:121,format=yuv444p", "-c:v", "ffv1"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "2"),
    "interlaced.ts": ("-vf", "format=yuv420p", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2", "-r", "25"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_colours_are_kept_whatever_the_source(tmp_path: Path, name: str) -> None:
    path = colour_video(tmp_path / name, SECONDS, *SOURCES[name], fps=25)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        maker = PictureMaker(640, 95, stream.sample_aspect_ratio)
        frames = list(container.decode(stream))
        for second in range(SECONDS):
            frame = frames[second * 25 + 12]
            picture = simplejpeg.decode_jpeg(maker.jpeg(maker.scaled(frame), frame.rotation))
            centre = picture[picture.shape[0] // 2, picture.shape[1] // 2]
            assert np.abs(centre.astype(int) - colour_of_second(second)).max() <= (40 if name == "palette.gif" else 8)


def test_gray_pictures_stay_gray(tmp_path: Path) -> None:
    path = colour_video(tmp_path / "gray.mkv", 1, "-c:v", "ffv1", "-pix_fmt", "gray")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        maker = PictureMaker(640, 95, None)
        centre = simplejpeg.decode_jpeg(maker.jpeg(maker.scaled(frame), 0))[60, 80].astype(int)
    assert np.ptp(centre) <= 2


def test_a_turned_film_stands_upright(tmp_path: Path) -> None:
    upright = make(tmp_path / "a.mp4", *numbered_source(0.5), *X264)
    turned = make(tmp_path / "turned.mp4", *numbered_source(0.5), "-vf", "transpose=clock", *X264)
    marked = make(tmp_path / "marked.mp4", "-display_rotation", "90", "-i", str(turned), "-c", "copy")
    numbers = []
    for path in (upright, marked):
        with av.open(str(path)) as container:
            maker = PictureMaker(640, 85, None)
            frames = list(container.decode(video=0))
            numbers.append([shown_number(maker.jpeg(maker.scaled(frame), frame.rotation)) for frame in frames])
    assert numbers[0] == numbers[1] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("longest_px", [100, 99, 333])
def test_the_same_picture_gives_the_same_bytes(tmp_path: Path, longest_px: int) -> None:
    path = numbered_video(tmp_path / "a.mp4", 0.5, size="322x242")
    made = []
    for _ in range(2):
        with av.open(str(path)) as container:
            maker = PictureMaker(longest_px, 85, None)
            made.append([maker.jpeg(maker.scaled(frame), 0) for frame in container.decode(video=0)])
    assert made[0] == made[1]


SIDES = st.integers(1, 20_000)


@given(SIDES, SIDES, st.floats(0.25, 4), st.integers(1, 2000))
def test_pictures_keep_their_shape_and_are_never_enlarged(width: int, height: int, aspect: float, longest: int) -> None:
    wide, high = scaled_size(width, height, aspect, longest)
    assert 2 <= max(wide, high) <= max(min(longest, max(width, height)), 2)
    assert wide % 2 == high % 2 == 0
    if min(wide, high) > 50:
        assert wide / high == pytest.approx(width * aspect / height, rel=0.05)
