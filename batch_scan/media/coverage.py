"""How much of a sound track was decoded, against how much there should have been. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from batch_scan.media.interface import AudioTally
from batch_scan.model import Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from batch_scan.errors import MediaError
    from batch_scan.media.timeline import Hole, Timeline
    from batch_scan.model import AudioTrack, MediaInfo

TOLERANCE_SHARE: Final = 0.01
TOLERANCE_S: Final = (0.5, 2.0)
"""A track may fall short of its declared length by this share of it, but no less and no more than these seconds: codec
delay and padding (0.02 to 0.15 s), durations of containers that round to whole packets or seconds."""

_TELL_THE_FILES: Final = frozenset({"asf", "asf_o"})
_COMPLAINT_CHARS: Final = 200
_MAX_REFUSED_SHARE: Final = 2 / 3
"""A decoder that refuses more than this has not understood the rest either; the ffmpeg program draws the same line."""
_PLACES: Final = 3


@dataclass(frozen=True, slots=True)
class Unread:
    """Bytes of a file without a container, or behind all of one, that are neither sound nor a tag."""

    size_bytes: Annotated[int, Field(ge=0)]
    length_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """How long as much sound of this file lasts."""
    at_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Where the first of them are."""


@dataclass(slots=True)
class SoundRead:
    """What came of decoding one track; filled while it goes on."""

    rate_hz: int
    word: str = "decoded"
    """What was done to find it."""
    decoded: int = 0
    """Samples."""
    still: int = 0
    """Length of the holes in which there never was sound."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    """Where sound is missing, as positions on the track's line."""
    stopped: MediaError | None = None
    """Why the decoder did not come to the end of the file."""
    frames: int = 0
    """How often the decoder gave sound, ..."""
    refused: int = 0
    """... and how often it could not."""
    unheard_s: float = 0.0
    """How long the packets last after which no sound came any more, ..."""
    unheard_before_s: float = 0.0
    """... and those before any came; 0 where it is but the delay of a decoder."""
    complaint: str = ""
    """The last thing that demuxer or decoder complained of; untrusted, empty where none did."""
    container_complaint: str = ""
    """The last thing that the demuxer complained of, likewise."""
    unread: Unread | None = None
    too_long: bool = False
    is_length_found: bool = False
    """The container declares no length: what is given for it was found at the end of what may be one of many parts."""
    cut: bool = False
    """The file itself ends in the middle of something."""

    def add_hole(self, start: int, hole: Hole) -> None:
        """Note a hole that begins at `start` on the track's line."""
        if hole.damaged:
            self.lost.append((start, start + hole.length))
        else:
            self.still += hole.length

    def is_lost(self, start: int, end: int) -> bool:
        """Whether sound is missing anywhere between `start` and `end`."""
        before = bisect_left(self.lost, (end,))  # they follow each other
        return before > 0 and start < self.lost[before - 1][1]


def declared_length_s(info: MediaInfo, track: AudioTrack, begins_s: float) -> float | None:
    """Return the declared length of a track that begins at `begins_s`; None where none is declared.

    Matroska and FLV count from the start of the file, also for a track that starts later, and may state only how
    long the file is, which a lone track fills. ASF states nothing else, and libav gives it to every track.
    """
    declared_s = track.duration_s
    if info.container in _TELL_THE_FILES and info.main_video is not None:
        return None
    if not info.container.startswith(("matroska", "flv")):
        return declared_s
    if declared_s is None and info.main_video is None and len(info.audio) == 1:
        declared_s = info.duration_s
    return None if declared_s is None else max(0.0, declared_s - begins_s)


def judge(
    read: SoundRead, timeline: Timeline, track: int, declared_s: float | None
) -> tuple[list[Shortfall], AudioTally]:
    """Say what fell short of one track, and close it.

    Holes in which there never was sound count as decoded, as there is nothing to hear in them.
    """
    heard_s = (read.decoded + read.still) / read.rate_hz
    lost_s = sum(end - start for start, end in read.lost) / read.rate_hz
    unread = _much_unread(read)
    there_s = read.unheard_before_s + heard_s + lost_s + (unread.length_s if unread is not None else 0.0)
    tally = AudioTally(track, _planned_s(read, declared_s, there_s, unread), heard_s)
    because = f": {clean_text(read.complaint, _COMPLAINT_CHARS)}" if read.complaint else ""
    short: list[Shortfall] = []
    if read.lost:
        short.append(Shortfall(Reason.DAMAGED, f"{_lost_places(read, timeline, lost_s)}{because}"))
    if (end := _ended_badly(read, heard_s, because)) is not None:
        short.append(end)
    elif not read.decoded:
        short.append(Shortfall(Reason.DAMAGED, f"no sound could be {read.word}{because}"))
    elif declared_s is not None and declared_s - heard_s - lost_s > _tolerance_s(declared_s):
        detail = f"sound {read.word} to {heard_s:.1f} s of {declared_s:.1f} s declared{because}"
        short.append(Shortfall(Reason.DAMAGED, detail))
    elif read.unheard_before_s:
        detail = f"{read.unheard_before_s:.1f} s of sound at the beginning could not be decoded{because}"
        short.append(Shortfall(Reason.DAMAGED, detail))
    elif read.unheard_s > TOLERANCE_S[0]:
        detail = f"{read.unheard_s:.1f} s of sound after {heard_s + lost_s:.1f} s could not be decoded{because}"
        short.append(Shortfall(Reason.DAMAGED, detail))
    elif (declared_s is None or read.is_length_found) and read.container_complaint and not read.lost:
        complaint = clean_text(read.container_complaint, _COMPLAINT_CHARS)
        detail = f"the container is damaged ({complaint}); {heard_s:.1f} s of sound were found, more may be missing"
        short.append(Shortfall(Reason.DAMAGED, detail))
    if unread is not None:
        short.append(_unread(unread))
    if read.cut and not short:
        short.append(Shortfall(Reason.DAMAGED, f"the file is not whole: it ends after {heard_s:.1f} s, within a page"))
    return short, tally


def _much_unread(read: SoundRead) -> Unread | None:
    least_s, _ = TOLERANCE_S
    return read.unread if read.unread is not None and read.unread.length_s > least_s else None


def _planned_s(read: SoundRead, declared_s: float | None, there_s: float, unread: Unread | None) -> float:
    """Return how long the track is; what is declared may have been found by reading no further than was heard."""
    if declared_s is None:
        return there_s
    is_found = unread is not None or read.is_length_found
    return max(declared_s, there_s) if is_found else declared_s


def _unread(unread: Unread) -> Shortfall:
    detail = (
        f"{unread.size_bytes:,} bytes at {unread.at_s:.1f} s are no sound that can be read, as many as "
        f"{unread.length_s:.1f} s of it take"
    )
    return Shortfall(Reason.DAMAGED, detail)


def _ended_badly(read: SoundRead, heard_s: float, because: str) -> Shortfall | None:
    """What there is to say where the decoder did not come to its natural end."""
    after = f"after {heard_s:.1f} s of sound"
    if read.too_long:
        return Shortfall(Reason.TOO_LONG, f"the rest was not examined {after}: longer than a file may be")
    if read.stopped is not None:
        detail = f"{read.stopped.detail}, {after}" if read.decoded else read.stopped.detail
        return Shortfall(read.stopped.reason, detail, type(read.stopped).__name__)
    tries = read.frames + read.refused
    if read.refused > _MAX_REFUSED_SHARE * tries:
        return Shortfall(Reason.DAMAGED, f"the decoder failed {read.refused} times of {tries}, {after}{because}")
    return None


def _tolerance_s(declared_s: float) -> float:
    least, most = TOLERANCE_S
    return min(max(TOLERANCE_SHARE * declared_s, least), most)


def _lost_places(read: SoundRead, timeline: Timeline, lost_s: float) -> str:
    shown = ", ".join(
        f"{timeline.start_s + start / read.rate_hz:.1f} to {timeline.start_s + end / read.rate_hz:.1f} s"
        for start, end in read.lost[:_PLACES]
    )
    more = f" and {len(read.lost) - _PLACES} more places" if len(read.lost) > _PLACES else ""
    return f"{lost_s:.1f} s of sound are missing at {shown}{more}"
