"""One peer on one file.

    python -m benchmarks.peer NAME FILE FIRST INTERVAL

Works on FIRST to have everything imported, then on FILE; prints the CPU of that, children included, in seconds, and the
most memory that a process of it held, in bytes.

Takes a picture every INTERVAL seconds, scales it to 640 pixels and encodes it as JPEG, both in memory; video2dataset
knows neither, and leaves pictures or a film of the full size. pydub loads the sound, wholly into memory.
"""
# mypy: ignore-errors
# ruff: noqa: PLC0415 - each peer pays for its own imports only

from __future__ import annotations

import io
import os
import resource
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import av

from batch_scan.media.program import ffmpeg_exe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WIDTH: Final = 640
_SILENCE_MS: Final = 500


def _jpeg(picture: Any) -> bytes:
    """Scale and encode an array of (rows, columns, BGR)."""
    import cv2

    rows, columns, _ = picture.shape
    small = cv2.resize(picture, (_WIDTH, round(rows * _WIDTH / columns)), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def opencv_seek(path: str, interval_s: float) -> Iterator[bytes]:
    """Seek to each time."""
    import cv2

    cv2.setNumThreads(1)
    film = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    count = 0
    while film.set(cv2.CAP_PROP_POS_MSEC, 1000 * count * interval_s):
        good, picture = film.read()
        if not good:
            return
        yield _jpeg(picture)
        count += 1


def opencv_grab(path: str, interval_s: float) -> Iterator[bytes]:
    """Decode all pictures, convert the wanted ones."""
    import cv2

    film = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    count = 0
    while film.grab():
        if film.get(cv2.CAP_PROP_POS_MSEC) >= 1000 * count * interval_s:
            yield _jpeg(film.retrieve()[1])
            count += 1


def decord_batch(path: str, interval_s: float) -> Iterator[bytes]:
    """Have the pictures by their numbers."""
    import decord

    film = decord.VideoReader(path, num_threads=1)
    times = film.get_frame_timestamp(range(len(film)))[:, 0]
    wanted = times.searchsorted([count * interval_s for count in range(int(times[-1] / interval_s) + 1)])
    for number in wanted:
        yield _jpeg(film[int(number)].asnumpy()[..., ::-1])


def torchcodec_at(path: str, interval_s: float) -> Iterator[bytes]:
    """Have the pictures by their times."""
    from torchcodec.decoders import VideoDecoder

    film = VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC")
    end_s = film.metadata.duration_seconds
    for count in range(int((end_s - 0.1) / interval_s) + 1):
        yield _jpeg(film.get_frame_played_at(count * interval_s).data.numpy()[..., ::-1])


def scenedetect_seek(path: str, interval_s: float) -> Iterator[bytes]:
    """Seek to each time with its stream over OpenCV."""
    import cv2
    from scenedetect import open_video

    cv2.setNumThreads(1)
    film = open_video(path, backend="opencv")
    for count in range(int(film.duration.seconds / interval_s) + 1):
        film.seek(count * interval_s)
        picture = film.read()
        if picture is False:
            return
        yield _jpeg(picture)


def video2dataset_fps(path: str, interval_s: float) -> Iterator[bytes]:
    """Have a film made with so many pictures a second, which it hands on as bytes."""
    made, _, failed = _subsampler()(1 / interval_s, "fps")({"video": [Path(path).read_bytes()]}, [{}])
    if failed:
        raise SystemExit(failed)
    yield from made["video"]


def video2dataset_times(path: str, interval_s: float) -> Iterator[bytes]:
    """Have a picture by each time: it starts one ffmpeg for each."""
    starts = [{"start": count * interval_s, "lines": []} for count in range(int(_duration_s(path) / interval_s) + 1)]
    told = [{"yt_meta_dict": {"subtitles": starts}, "key": "0"}]
    made, _, failed = _subsampler()(1.0, "yt_subtitle")({"video": [Path(path).read_bytes()]}, told)
    if failed:
        raise SystemExit(failed)
    yield from made["jpg"]


@cache
def _subsampler() -> Any:
    """Return the class, imported without all else that its package imports: torch, transformers, wandb and more."""
    folder = Path(find_spec("video2dataset").origin).parent
    for name, path in (("video2dataset", folder), ("video2dataset.subsamplers", folder / "subsamplers")):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(path)]
    from video2dataset.subsamplers.frame_subsampler import FrameSubsampler

    return FrameSubsampler


def _duration_s(path: str) -> float:
    with av.open(path) as container:
        return (container.duration or 0) / av.time_base


def _sound(path: str) -> Any:
    """Return the sound as pydub holds it. Where the codec is named it asks no ffprobe, which ours comes without."""
    from pydub import AudioSegment

    with av.open(path) as container:
        codec = container.streams.audio[0].codec_context.name
    return AudioSegment.from_file(path, codec=codec)


def pydub_load(path: str, _: float) -> Iterator[bytes]:
    """Load the sound."""
    yield _sound(path).raw_data[:1]


def pydub_silence(path: str, _: float) -> Iterator[bytes]:
    """Load the sound, find its silence, and make FLAC of what is between."""
    from pydub.silence import detect_nonsilent

    sound = _sound(path).set_channels(1).set_frame_rate(16_000)
    for start, end in detect_nonsilent(sound, min_silence_len=_SILENCE_MS, silence_thresh=-50, seek_step=10):
        file = io.BytesIO()
        sound[start:end].export(file, format="flac")
        yield file.getvalue()


def ours(path: str, interval_s: float) -> Iterator[bytes]:
    """Have the exact pictures from the media room, with no scan around it."""
    from benchmarks.bare import pictures

    return (picture.jpeg for picture in pictures(path, interval_s=interval_s))


PEERS: Final[dict[str, Callable[[str, float], Iterator[bytes]]]] = {
    "batch-scan": ours,
    "opencv-seek": opencv_seek,
    "opencv-grab": opencv_grab,
    "decord": decord_batch,
    "torchcodec": torchcodec_at,
    "scenedetect": scenedetect_seek,
    "video2dataset-fps": video2dataset_fps,
    "video2dataset-times": video2dataset_times,
    "pydub-load": pydub_load,
    "pydub-silence": pydub_silence,
}


def main() -> None:
    """Do it, and print what it cost. Raises SystemExit where nothing came out."""
    name, path, first, interval_s = sys.argv[1:]
    with tempfile.TemporaryDirectory() as programs:
        Path(programs, "ffmpeg").symlink_to(ffmpeg_exe())  # some start the program by its name
        os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
        for _ in PEERS[name](first, float(interval_s)):
            pass
        before_s = _used()[0]
        if not sum(1 for _ in PEERS[name](path, float(interval_s))):
            raise SystemExit(f"nothing came out of {path}")
    used_s, peak_bytes = _used()
    sys.stdout.write(f"{used_s - before_s} {peak_bytes}\n")


def _used() -> tuple[float, int]:
    """Return CPU, seconds, and peak memory, bytes, of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used), 1024 * max(one.ru_maxrss for one in used)


if __name__ == "__main__":
    main()
