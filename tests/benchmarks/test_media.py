from __future__ import annotations

from pathlib import Path

import av
import pytest

from batch_scan.media.program import ffmpeg_exe
from benchmarks import media
from benchmarks.measure import run

SMALL = media.Film("small", "mp4", 64, ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory in which the clips of the package are there already: others, of a second each."""
    directory = tmp_path_factory.mktemp("media")
    for name, pattern in (("bigbuckbunny.mp4", "testsrc"), ("bikes.mp4", "testsrc2")):
        made = directory / name
        run([ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"{pattern}=d=1:s=160x90", "-c:v", "libx264", made])
    return directory


def duration_s(path: Path) -> float:
    with av.open(path) as container:
        return (container.duration or 0) / av.time_base


def test_a_film_is_as_long_as_asked_and_has_pictures_and_sound(clips: Path) -> None:
    path = media.film(clips, SMALL, 41)

    assert duration_s(path) == pytest.approx(41, abs=0.2)
    with av.open(path) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        assert container.streams.video[0].height == 64


def test_a_film_that_is_there_is_not_made_again(clips: Path) -> None:
    made_at = media.film(clips, SMALL, 2).stat().st_mtime_ns

    assert media.film(clips, SMALL, 2).stat().st_mtime_ns == made_at


@pytest.mark.parametrize("kind", media.SOUNDS, ids=lambda kind: kind.name)
def test_a_recording_is_as_long_as_asked_and_has_no_pictures(tmp_path: Path, kind: media.Sound) -> None:
    path = media.recording(tmp_path, kind, 300)

    assert duration_s(path) == pytest.approx(300, abs=0.2)
    with av.open(path) as container:
        assert [stream.codec_context.name for stream in container.streams] == [
            {"mp3": "mp3float"}.get(kind.name, "aac")
        ]


def test_media_that_cannot_be_made_says_why_and_leaves_nothing(clips: Path) -> None:
    before = set(clips.iterdir())

    with pytest.raises(SystemExit, match=r"odd-base\.mp4 cannot be made: .*'no-such-codec'"):
        media.film(clips, media.Film("odd", "mp4", 64, ("-c:v", "no-such-codec")), 2)

    assert set(clips.iterdir()) == before


def test_a_full_disk_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "part-mp3-base.mp3").symlink_to("/dev/full")

    with pytest.raises(SystemExit, match=r"mp3-base\.mp3 cannot be made: (?s:.*)No space left on device"):
        media.recording(tmp_path, media.SOUNDS[1], 2)

    assert list(tmp_path.iterdir()) == []
