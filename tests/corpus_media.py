"""Media whose truth is known by construction, made with the bundled ffmpeg when a test needs it.

Every function writes one small file and returns its path. Arguments after the first are ffmpeg's own where they are
named `args`. Pictures of `numbered_video` carry their frame number as sixteen black or white bars, so that a test can
say which picture it was handed, however it was encoded and scaled.
"""

from __future__ import annotations

import struct
import subprocess
import zlib
from typing import TYPE_CHECKING, Final

import av
import numpy as np
import simplejpeg
from av.packet import Packet

from batch_scan.media.runner import ffmpeg_exe

if TYPE_CHECKING:
    from pathlib import Path

H264: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
BARS: Final = 16
_BAR_PATTERN: Final = f"geq=lum='if(mod(floor(N/pow(2,floor(X*{BARS}/W))),2),220,30)':cb=128:cr=128"


def make(path: Path, *args: str) -> Path:
    """Run the bundled ffmpeg with `args` and `path` as its output."""
    command = [ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *args, f"file:{path}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return path


# ------------------------------------------------------------------------------------------------------- pictures


def numbered_source(seconds: float, fps: float = 10, size: str = "320x240") -> tuple[str, ...]:
    """Input arguments for pictures that show their own number as bars."""
    return ("-f", "lavfi", "-i", f"color=s={size}:r={fps}:d={seconds},format=yuv420p,{_BAR_PATTERN}")


def numbered_video(
    path: Path, seconds: float = 10, *args: str, fps: float = 10, size: str = "320x240", sound: bool = False
) -> Path:
    """Video whose pictures show their number; H.264 with a keyframe every 2 s unless `args` say otherwise."""
    tone = ("-f", "lavfi", "-i", f"sine=f=440:d={seconds}", "-c:a", "aac") if sound else ()
    return make(path, *numbered_source(seconds, fps, size), *tone, *(args or (*H264, "-g", str(int(fps * 2)))))


def shown_number(jpeg: bytes) -> int:
    """Read the number off a picture of `numbered_video`."""
    gray = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0]
    middle = gray[gray.shape[0] // 2]
    centres = ((np.arange(BARS) + 0.5) * len(middle) / BARS).astype(int)
    return sum(1 << bit for bit, level in enumerate(middle[centres]) if level > 125)


def colour_of_second(second: int) -> tuple[int, int, int]:
    """The colour (red, green, blue) that `colour_video` shows during that second."""
    return (second * 67 + 20) % 256, (second * 131 + 60) % 256, (second * 29 + 200) % 256


def colour_video(path: Path, seconds: int = 10, *args: str, fps: int = 10, sound: bool = False) -> Path:
    """Video of one plain colour per second (`colour_of_second`), H.264 unless `args` say otherwise."""
    levels = (
        f"{name}='mod(floor(T)*{step}+{base},256)'"
        for name, step, base in (("r", 67, 20), ("g", 131, 60), ("b", 29, 200))
    )
    source = f"color=s=160x120:r={fps}:d={seconds},format=rgb24,geq={':'.join(levels)}"
    tone = ("-f", "lavfi", "-i", f"sine=f=440:d={seconds}", "-c:a", "aac") if sound else ()
    return make(path, "-f", "lavfi", "-i", source, *tone, *(args or (*H264, "-g", str(fps * 2))))


def still_video(path: Path, seconds: float = 10, *args: str, fps: int = 10) -> Path:
    """Video that shows one unmoving picture."""
    source = f"smptebars=s=320x240:r={fps}:d={seconds}"
    return make(path, "-f", "lavfi", "-i", source, *(args or (*H264, "-g", str(fps * 2))))


def tiny_clip(path: Path) -> Path:
    """A clip of 0.04 s: one picture, and as much sound."""
    return make(
        path, *numbered_source(0.04, 25), "-f", "lavfi", "-i", "sine=f=440:d=0.04", *H264, "-c:a", "aac", "-shortest"
    )


def hole_video(path: Path, before_s: float = 2, after_s: float = 2, hole_s: float = 10, fps: int = 10) -> Path:
    """Variable-frame-rate Matroska: `before_s` of pictures, nothing for `hole_s`, then `after_s` of pictures."""
    first = int(before_s * fps)
    times = f"setpts='if(lt(N,{first}),N/{fps},N/{fps}+{hole_s})/TB'"
    source = numbered_source(before_s + after_s, fps)
    return make(path, *source, "-vf", times, "-fps_mode", "passthrough", "-enc_time_base", "1:1000", *H264, "-g", "10")


def gap_bomb(path: Path, gap_s: int = 20_000) -> Path:
    """A tiny Matroska file whose two pictures lie `gap_s` apart."""
    return hole_video(path, before_s=0.1, after_s=0.1, hole_s=gap_s)


def long_video(path: Path, hours: float = 30, every_s: int = 600) -> Path:
    """A small file that really runs for hours: a picture every ten minutes."""
    return make(path, *numbered_source(hours * 3600, 1 / every_s, "160x120"), *H264, "-g", "5")


def huge_png(path: Path, width: int = 100_000, height: int = 100_000) -> Path:
    """A valid PNG header that claims a giant picture, over a few bytes of data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(4096))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


# ---------------------------------------------------------------------------------------------------------- sound


def tone(path: Path, seconds: float = 5, *args: str, hz: int = 440) -> Path:
    """A sine tone, in what the name of the file asks for."""
    return make(path, "-f", "lavfi", "-i", f"sine=f={hz}:d={seconds}", *args)


def silence(path: Path, seconds: float = 5, *args: str) -> Path:
    """Digital silence, in what the name of the file asks for."""
    return make(path, "-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono", "-t", str(seconds), *args)


def tone_and_silence(path: Path, *lengths_s: float, args: tuple[str, ...] = ()) -> Path:
    """Tone and silence by turns, beginning with tone; `lengths_s` is how long each lasts."""
    parts = [
        f"sine=f=440:d={length}" if turn % 2 == 0 else f"anullsrc=r=44100:cl=mono:d={length}"
        for turn, length in enumerate(lengths_s)
    ]
    inputs = [word for part in parts for word in ("-f", "lavfi", "-i", part)]
    joined = "".join(f"[{turn}:a]" for turn in range(len(parts))) + f"concat=n={len(parts)}:v=0:a=1"
    return make(path, *inputs, "-filter_complex", joined, *args)


def multi_audio(path: Path, frequencies_hz: tuple[int, ...] = (440, 880, 1320), seconds: float = 4) -> Path:
    """A film with one sound track per frequency; make it Matroska or MP4 by its name."""
    tones = [word for hz in frequencies_hz for word in ("-f", "lavfi", "-i", f"sine=f={hz}:d={seconds}")]
    maps = [word for index in range(len(frequencies_hz) + 1) for word in ("-map", str(index))]
    return make(path, *numbered_source(seconds), *tones, *maps, *H264, "-c:a", "aac")


def cover_mp3(path: Path, seconds: float = 4) -> Path:
    """An MP3 with a cover picture."""
    picture = make(path.with_name(f"{path.name}.jpg"), "-f", "lavfi", "-i", "smptebars=s=300x300", "-frames:v", "1")
    sound = ("-f", "lavfi", "-i", f"sine=f=440:d={seconds}", "-i", str(picture), "-map", "0:a", "-map", "1:v")
    flags = ("-c:a", "libmp3lame", "-c:v", "copy", "-disposition:v", "attached_pic", "-id3v2_version", "3")
    made = make(path, *sound, *flags)
    picture.unlink()
    return made


def many_streams(path: Path, count: int = 1000) -> Path:
    """A file with `count` sound tracks; as Matroska it takes a second to make, as MP4 many."""
    maps = [word for _ in range(count) for word in ("-map", "0:a")]
    source = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono")
    return make(path, *source, "-t", "0.1", *maps, "-c:a", "aac" if path.suffix == ".mp4" else "pcm_mulaw")


# ------------------------------------------------------------------------------------------------ broken, hostile


def truncated(source: Path, path: Path, share: float = 0.5) -> Path:
    """The first `share` of the bytes of `source`."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def corrupted(source: Path, path: Path, start: float, end: float) -> Path:
    """`source` with the bytes from share `start` to share `end` overwritten."""
    data = bytearray(source.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = np.random.default_rng(7).bytes(last - first)
    path.write_bytes(data)
    return path


def recut(source: Path, path: Path, from_s: float = 0.0, nonsense_s: tuple[float, float] = (0.0, 0.0)) -> Path:
    """The first picture track from a moment on, packet by packet, with nonsense for packets shown in a stretch."""
    with av.open(str(source)) as given, av.open(str(path), "w") as taken:
        track = given.streams.video[0]
        copy = taken.add_stream_from_template(track)
        for packet in given.demux(track):
            ticks = packet.dts if packet.pts is None else packet.pts
            if not packet.size or ticks is None:  # the end
                continue
            time_s = float(ticks * packet.time_base) - (given.start_time or 0) / 1_000_000
            if time_s < from_s:
                continue
            is_lost = nonsense_s[0] <= time_s < nonsense_s[1]
            sent = Packet(b"\0\0\0\1" + b"\xff" * packet.size) if is_lost else packet
            sent.pts, sent.dts, sent.time_base = packet.pts, packet.dts, packet.time_base
            sent.duration, sent.is_keyframe, sent.stream = packet.duration, packet.is_keyframe, copy
            taken.mux(sent)
    return path


def with_duration(source: Path, path: Path, seconds: float) -> Path:
    """A copy of a Matroska file that claims to last `seconds`."""
    data = source.read_bytes().replace(b"DURATION", b"DURATIOX")  # the tracks' own, which would tell otherwise
    at = data.index(b"\x44\x89\x88") + 3  # Segment/Info/Duration, a float of eight bytes, in milliseconds
    path.write_bytes(data[:at] + struct.pack(">d", seconds * 1000) + data[at + 8 :])
    return path


def hls_in_disguise(path: Path, target: Path) -> Path:
    """An HLS playlist that names another file."""
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{target}\n#EXT-X-ENDLIST\n")
    return path


def concat_in_disguise(path: Path, target: Path) -> Path:
    """An ffconcat script that names another file."""
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    return path
