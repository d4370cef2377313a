"""One peer on one file.

    python -m benchmarks.peer NAME FILE INTERVAL

Takes a picture every INTERVAL seconds, scales it to 640 pixels and encodes it as JPEG, both in memory.
"""
# mypy: ignore-errors
# ruff: noqa: PLC0415 - each peer pays for its own imports only

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, Final

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


def pydub_load(path: str, _: float) -> Iterator[bytes]:
    """Load the sound."""
    from pydub import AudioSegment

    yield AudioSegment.from_file(path).raw_data[:1]


def pydub_silence(path: str, _: float) -> Iterator[bytes]:
    """Load the sound, find its silence, and make FLAC of what is between."""
    from pydub import AudioSegment
    from pydub.silence import detect_nonsilent

    sound = AudioSegment.from_file(path).set_channels(1).set_frame_rate(16_000)
    for start, end in detect_nonsilent(sound, min_silence_len=_SILENCE_MS, silence_thresh=-50, seek_step=10):
        file = io.BytesIO()
        sound[start:end].export(file, format="flac")
        yield file.getvalue()


PEERS: Final[dict[str, Callable[[str, float], Iterator[bytes]]]] = {
    "opencv-seek": opencv_seek,
    "opencv-grab": opencv_grab,
    "decord": decord_batch,
    "torchcodec": torchcodec_at,
    "scenedetect": scenedetect_seek,
    "pydub-load": pydub_load,
    "pydub-silence": pydub_silence,
}


def main() -> None:
    """Do it, and print how many came."""
    name, path, interval_s = sys.argv[1:]
    if name.startswith("pydub"):
        from pydub import AudioSegment

        from batch_scan.media.program import ffmpeg_exe

        AudioSegment.converter = ffmpeg_exe()
    sys.stdout.write(f"{sum(1 for _ in PEERS[name](path, float(interval_s)))}\n")


if __name__ == "__main__":
    main()
