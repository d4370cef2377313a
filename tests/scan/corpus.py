"""An archive whose truth is known by construction, and what the report has to say about every entry of it.

A picture that is red is `Sexual: High`, a sound with a tone of 1760 Hz is `Harassment: Medium`; everything else is
clean. Pictures come in stretches of one plain colour, so the number of pictures asked about is the number of stretches
(neighbours that look the same share an answer), and their times are whole seconds. No two files share a colour or a
pitch, so that nothing is answered by what another file asked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.corpus_media import (
    H264,
    concat_in_disguise,
    cover_mp3,
    gap_bomb,
    hls_in_disguise,
    huge_png,
    make,
    many_streams,
    silence,
    tone,
    truncated,
)
from tests.sandbox.judges import Red, by_sight_and_sound

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.sandbox.safecomms.words import Teller

BAD_HZ = 1760
JUDGE: Teller = by_sight_and_sound({Red: {"Sexual": "High"}}, {BAD_HZ: {"Harassment": "Medium"}})
FRAME_TOKENS, AUDIO_TOKENS = 20, 50
FPS = 10


@dataclass(frozen=True, slots=True)
class Found:
    """One finding."""

    medium: str
    category: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What the report has to say about one entry."""

    verdict: str = "keep"
    status: str = "complete"
    reason: str | None = None
    frames: int = 0
    """Pictures wanted."""
    frames_lost: int = 0
    """Pictures of those that cannot be decoded."""
    deduplicated: int = 0
    sounds: int = 0
    """Sound chunks that are asked about."""
    audio_s: float = 0.0
    found: tuple[Found, ...] = ()
    duplicate_of: str | None = None

    @property
    def requests(self) -> int:
        return 0 if self.duplicate_of else self._pictures + self.sounds

    @property
    def tokens(self) -> int:
        asked = self._pictures * FRAME_TOKENS + self.sounds * AUDIO_TOKENS
        return 0 if self.duplicate_of else asked

    @property
    def _pictures(self) -> int:
        return self.frames - self.frames_lost - self.deduplicated


@dataclass(frozen=True, slots=True)
class Corpus:
    """The archive, made once; tests that change it copy it."""

    directory: Path
    truth: dict[str, Truth]

    @property
    def archive(self) -> Path:
        return self.directory / "archive"


def failed(reason: str) -> Truth:
    """The truth about an entry of which nothing could be examined."""
    return Truth("unknown", "failed", reason)


def stretches(path: Path, colours: tuple[tuple[str, float], ...], *args: str) -> Path:
    """Video that shows one plain colour after the other, each for so many seconds; `args` are ffmpeg's, output last."""
    inputs = [
        word
        for colour, seconds in colours
        for word in ("-f", "lavfi", "-i", f"color=c={colour}:s=160x120:r={FPS}:d={seconds},format=yuv420p")
    ]
    joined = "".join(f"[{at}:v]" for at in range(len(colours))) + f"concat=n={len(colours)}:v=1:a=0[v]"
    sound = [word for word in args if word.startswith("sine")]
    tones = [word for one in sound for word in ("-f", "lavfi", "-i", one)]
    maps = [word for at in range(len(sound)) for word in ("-map", f"{len(colours) + at}:a")]
    rest = [word for word in args if not word.startswith("sine")]
    codecs = (*H264, "-g", "10", "-c:a", "aac")
    return make(path, *inputs, *tones, "-filter_complex", joined, "-map", "[v]", *maps, *codecs, *rest)


def hole(path: Path) -> Path:
    """Matroska with grey pictures from 0 to 2 s, none until 6 s, and purple ones from 6 to 8 s."""
    source = f"color=c=0x505050:s=160x120:r={FPS}:d=2[a];color=c=purple:s=160x120:r={FPS}:d=2[b]"
    times = f"[a][b]concat=n=2:v=1:a=0,format=yuv420p,setpts='if(lt(N,20),N/{FPS},N/{FPS}+4)/TB'[v]"
    command = ("-filter_complex", f"{source};{times}", "-map", "[v]", "-fps_mode", "passthrough")
    return make(path, *command, "-enc_time_base", "1:1000", *H264, "-g", "10")


def build(directory: Path, leak_url: str = "http://127.0.0.1:9/leak.ts") -> dict[str, Truth]:
    """Make the archive and its `manifest.csv` below `directory`; return the truth by row title.

    Args:
        directory: an existing, empty directory.
        leak_url: what the playlist in disguise names beside the file that is not in the manifest.
    """
    archive = directory / "archive"
    (archive / "sub").mkdir(parents=True)
    truth = _good(archive) | _hostile(archive, directory, leak_url)
    order = [title for title in truth if not title.startswith("again:")]
    order += [title for title in truth if title.startswith("again:")]
    with (archive / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["title", "path"])
        writer.writerows([title, title.removeprefix("again:")] for title in order)
    return truth


def _good(archive: Path) -> dict[str, Truth]:
    stretches(archive / "clean.mp4", (("gray", 2), ("navy", 2)), "sine=f=440:d=4")
    stretches(archive / "sub/red.mp4", (("0x606060", 2), ("red", 2), ("0x000060", 2)))
    bad = "[0:a][1:a]concat=n=2:v=0:a=1"
    two = ("-f", "lavfi", "-i", "sine=f=440:d=2", "-f", "lavfi", "-i", f"sine=f={BAD_HZ}:d=1")
    make(archive / "bad.flac", *two, "-filter_complex", bad)
    tone(archive / "sound.ogg", 3, hz=500)
    stretches(archive / "tracks.mkv", (("teal", 3),), "sine=f=450:d=3", "sine=f=900:d=3", f"sine=f={BAD_HZ}:d=3")
    hole(archive / "hole.mkv")
    make(archive / "tiny.mp4", *_colour("olive", 0.04, 25), "-f", "lavfi", "-i", "sine=f=460:d=0.04", *H264)
    cover_mp3(archive / "cover.mp3", 2)
    silence(archive / "silent.flac", 2)
    (archive / "copy.mp4").write_bytes((archive / "sub/red.mp4").read_bytes())
    red = (Found("frame", "sexual", 2.0, 3.0),)
    return {
        "clean.mp4": Truth(frames=4, deduplicated=2, sounds=1, audio_s=4.0),
        "sub/red.mp4": Truth("remove", frames=6, deduplicated=3, found=red),
        "bad.flac": Truth("flag", sounds=1, audio_s=3.0, found=(Found("audio", "harassment", 0.0, 3.0),)),
        "sound.ogg": Truth(sounds=1, audio_s=3.0),
        "tracks.mkv": Truth(
            "flag",
            frames=3,
            deduplicated=2,
            sounds=3,
            audio_s=9.0,
            found=(Found("audio", "harassment", 0.0, 3.0),),
        ),
        "hole.mkv": Truth(frames=4, deduplicated=2),
        "tiny.mp4": Truth(frames=1, sounds=1, audio_s=0.04),
        "cover.mp3": Truth(frames=1, sounds=1, audio_s=2.0),
        "silent.flac": Truth(audio_s=2.0),
        "copy.mp4": Truth("remove", frames=6, deduplicated=3, found=red, duplicate_of="red.mp4"),
        "again:clean.mp4": Truth(frames=4, deduplicated=2, sounds=1, audio_s=4.0, duplicate_of="clean.mp4"),
    }


def _hostile(archive: Path, directory: Path, leak_url: str) -> dict[str, Truth]:
    secret = stretches(directory / "outside.mp4", (("0xB00000", 2),))
    (archive / "hidden").mkdir()
    (archive / "hidden/never_named.mp4").write_bytes(secret.read_bytes())
    truncated(
        stretches(directory / "whole.mkv", (("0xD00000", 2), ("brown", 2), ("green", 4))), archive / "half.mkv", 0.5
    )
    (archive / "empty.mp4").touch()
    hls_in_disguise(archive / "playlist.mp4", archive / "hidden/never_named.mp4")
    remote = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{leak_url}\n#EXT-X-ENDLIST\n"
    (archive / "remote.mp4").write_text(remote)
    concat_in_disguise(archive / "script.mp4", archive / "hidden/never_named.mp4")
    (archive / "notes.mp4").write_text("These are the minutes of a meeting, and no film at all.\n" * 50)
    huge_png(archive / "huge.png")
    many_streams(archive / "thousand.mkv")
    gap_bomb(archive / "bomb.mkv")
    (archive / "link.mp4").symlink_to(directory / "outside.mp4")
    return {
        "half.mkv": Truth(
            "remove",
            "partial",
            "damaged",
            frames=8,
            frames_lost=6,
            deduplicated=1,
            found=(Found("frame", "sexual", 0.0, 1.0),),
        ),
        "empty.mp4": failed("empty"),
        "playlist.mp4": failed("format_refused"),
        "remote.mp4": failed("format_refused"),
        "script.mp4": failed("format_refused"),
        "notes.mp4": failed("not_media"),
        "huge.png": failed("too_many_pixels"),
        "thousand.mkv": failed("too_many_streams"),
        "bomb.mkv": Truth(frames=2),
        "missing.mp4": failed("missing"),
        "../outside.mp4": failed("outside_root"),
        "/etc/hostname": failed("outside_root"),
        "link.mp4": failed("special_file"),
        "https://media.example.org/a.mp4": failed("host_refused"),
        "hidden/left_out.mp4": Truth("unknown", "skipped", "excluded"),
        "": failed("bad_row"),
    }


def _colour(colour: str, seconds: float, fps: int = FPS) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"color=c={colour}:s=160x120:r={fps}:d={seconds},format=yuv420p")
