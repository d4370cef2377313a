"""How pictures and sound of files are taken out, counted and in words, for a plan. Pure; see `media.ways`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, assert_never

from batch_scan.duration import format_duration
from batch_scan.media.ways import Way, Whole, costs_s

if TYPE_CHECKING:
    from batch_scan.media.ways import FrameWork, SoundWork
    from batch_scan.model import FileResult

_TOLD_FROM_S: Final = 0.1
"""CPU time below this is not worth a word."""

_SUMMARY: Final = {
    Way.SELECTIVE: "in one pass up to each wanted picture",
    Way.KEYFRAMES: "by keyframes alone",
    Way.WHOLE: "with every picture decoded",
}
_BECAUSE: Final = {
    Whole.COVER: "it is a single one",
    Whole.NO_TIMES: "the container does not say when they are shown",
    Whole.NO_KEYFRAME: "the track has no keyframe to start at",
    Whole.OTHER_TIMES: "they do not come as the container says",
    Whole.NO_DECODER: "only the ffmpeg program has a decoder for it",
}


@dataclass(slots=True)
class WayCount:
    """What the pictures of many files took."""

    tracks: Counter[Way] = field(default_factory=Counter)
    """Picture tracks by way, covers left out."""
    pictures: int = 0
    """Pictures of those tracks."""
    decoded: int = 0
    cpu_s: float = 0.0
    whole_s: float = 0.0
    """About what decoding every picture would take, seconds of CPU."""

    def add(self, result: FileResult) -> None:
        """Count one more file."""
        for work, codec in _films(result):
            self.tracks[work.way] += 1
            self.pictures += work.packets
            self.decoded += work.decoded
            self.cpu_s += work.cpu_s
            self.whole_s += max(costs_s(work, codec)[Way.WHOLE], work.cpu_s)

    @property
    def text(self) -> str:
        """Say it in one line; empty where there are no films."""
        films = self.tracks.total()
        if not films:
            return ""
        ways = ", ".join(f"{self.tracks[way]} {words}" for way, words in _SUMMARY.items() if self.tracks[way])
        pictures = f"{self.decoded:,} of {self.pictures:,} pictures{_cpu(self.cpu_s, self.whole_s)}"
        return f"{films} film{'s' if films > 1 else ''}, {ways}; {pictures}"

    @property
    def values(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "tracks": {str(way): count for way, count in self.tracks.items()},
            "pictures": self.pictures,
            "pictures_decoded": self.decoded,
            "cpu_s": round(self.cpu_s, 3),
            "whole_cpu_s": round(self.whole_s, 3),
        }


def ways_told(result: FileResult) -> list[str]:
    """Say of each film in a file which way its pictures are taken out, and why.

    In jobs that let sound be copied, the same of each sound track.
    """
    films = [f"{_way_told(work)}{_cpu(work.cpu_s, costs_s(work, codec)[Way.WHOLE])}" for work, codec in _films(result)]
    return films + [_sound_told(work, result) for work in result.sound_works]


def _sound_told(work: SoundWork, result: FileResult) -> str:
    tracks = result.row.media.audio if result.row.media is not None else ()
    sound = "sound" if len(tracks) <= 1 else f"sound of track {work.track}"
    if work.because:
        return f"{sound} decoded: {work.because}"
    codec = next((track.codec for track in tracks if track.index == work.track), "")
    return f"{sound} copied: {format_duration(work.copied_s)} of {codec}, taken undecoded"


def _way_told(work: FrameWork) -> str:
    decoded = f"{work.decoded:,} of {work.packets:,} pictures decoded"
    every = f"one wanted every {work.interval_s:.1f} s"
    match work.way:
        case Way.KEYFRAMES if work.packets == 1:
            return "a single picture"
        case Way.KEYFRAMES:
            answer = "answer" if work.group_s else "answers"
            return f"keyframes alone, {decoded}: {_keyframes(work)} {answer} {every}"
        case Way.SELECTIVE if work.group_s and work.interval_s < work.group_s:
            return f"one pass, {decoded}: {every}, less than the {work.group_s:.1f} s between keyframes"
        case Way.SELECTIVE:
            return f"one pass, {decoded}: {_keyframes(work)}, {every}"
        case Way.WHOLE:
            why = _BECAUSE[work.whole] if work.whole is not None else ""
            return f"every picture decoded: {why}"
        case _ as never:
            assert_never(never)


def _keyframes(work: FrameWork) -> str:
    return f"keyframes every {work.group_s:.1f} s" if work.group_s else "a single keyframe"


def _cpu(took_s: float, whole_s: float) -> str:
    """Say what it took, and what every picture would take where that is much more."""
    if took_s < _TOLD_FROM_S:
        return ""
    more = f", about {format_duration(whole_s)} were every picture decoded" if whole_s > 1.5 * took_s else ""
    return f"; {format_duration(took_s)} of CPU{more}"


def _films(result: FileResult) -> list[tuple[FrameWork, str]]:
    """Return the works of tracks that are no covers, and their codecs; none of a file that shares another's scan."""
    media = result.row.media
    codecs = {track.index: track.codec for track in media.video} if media is not None else {}
    works = [work for work in result.frame_works if work.whole is not Whole.COVER]
    return [(work, codecs.get(work.track, "")) for work in works]
