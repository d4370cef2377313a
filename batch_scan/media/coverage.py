"""How much of a sound track was decoded, against how much there should have been. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batch_scan.media.interface import AudioTally
from batch_scan.model import Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from batch_scan.errors import MediaError
    from batch_scan.media.runner import ChildEnd
    from batch_scan.media.timeline import Hole, Timeline

TOLERANCE_SHARE: Final = 0.01
TOLERANCE_S: Final = (0.5, 2.0)
"""A track may fall short of its declared length by this share of it, but no less and no more than these seconds: codec
delay and padding (0.02 to 0.15 s), durations of containers that round to whole packets or seconds."""

OGG_PAGE_BYTES: Final = 27 + 255 + 255 * 255
"""The largest page there can be (RFC 3533, section 6)."""

_OGG_SEGMENTS_AT: Final = 26
_COMPLAINT_CHARS: Final = 200
_PLACES: Final = 3


@dataclass(slots=True)
class SoundRead:
    """What came of decoding one track; filled while it goes on."""

    rate_hz: int
    decoded: int = 0
    """Samples."""
    still: int = 0
    """Length of the holes in which there never was sound."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    """Where sound is missing, as positions on the track's line."""
    stopped: MediaError | None = None
    """Why we stopped the decoder."""
    end: ChildEnd | None = None
    """How the decoder ended by itself."""
    too_long: bool = False
    cut: bool = False
    """The file itself ends in the middle of something."""
    stamps_lost: bool = False

    def add_hole(self, start: int, hole: Hole) -> None:
        """Note a hole that begins at `start` on the track's line."""
        if hole.damaged:
            self.lost.append((start, start + hole.length))
        else:
            self.still += hole.length

    def is_lost(self, start: int, end: int) -> bool:
        """Whether sound is missing anywhere between `start` and `end`."""
        return any(first < end and start < last for first, last in self.lost)


def judge(
    read: SoundRead, timeline: Timeline, track: int, declared_s: float | None
) -> tuple[list[Shortfall], AudioTally]:
    """Say what fell short of one track, and close it.

    Holes in which there never was sound count as decoded, as there is nothing to hear in them.
    """
    heard_s = (read.decoded + read.still) / read.rate_hz
    lost_s = sum(end - start for start, end in read.lost) / read.rate_hz
    tally = AudioTally(track, heard_s + lost_s if declared_s is None else declared_s, heard_s)
    because = f": {clean_text(timeline.complaint, _COMPLAINT_CHARS)}" if timeline.complaint else ""
    short: list[Shortfall] = []
    if read.lost:
        short.append(Shortfall(Reason.DAMAGED, f"{_lost_places(read, timeline, lost_s)}{because}"))
    if (end := _ended_badly(read, timeline, heard_s, because)) is not None:
        short.append(end)
    elif not read.decoded:
        short.append(Shortfall(Reason.DAMAGED, f"no sound could be decoded{because}"))
    elif declared_s is not None and declared_s - heard_s - lost_s > _tolerance_s(declared_s):
        detail = f"sound decoded to {heard_s:.1f} s of {declared_s:.1f} s declared{because}"
        short.append(Shortfall(Reason.DAMAGED, detail))
    elif declared_s is None and timeline.container_complaint and not read.lost:
        complaint = clean_text(timeline.container_complaint, _COMPLAINT_CHARS)
        detail = f"the container is damaged ({complaint}); {heard_s:.1f} s of sound were found, more may be missing"
        short.append(Shortfall(Reason.DAMAGED, detail))
    if read.cut and not short:
        short.append(Shortfall(Reason.DAMAGED, f"the file is not whole: it ends after {heard_s:.1f} s, within a page"))
    if read.stamps_lost:
        short.append(Shortfall(Reason.INTERNAL, "ffmpeg did not say when the sound is heard; times may be wrong"))
    return short, tally


def _ended_badly(read: SoundRead, timeline: Timeline, heard_s: float, because: str) -> Shortfall | None:
    """What there is to say where the decoder did not come to its natural end."""
    after = f"after {heard_s:.1f} s of sound"
    if read.too_long:
        return Shortfall(Reason.TOO_LONG, f"the rest was not examined {after}: longer than a file may be")
    if read.stopped is not None:
        return Shortfall(read.stopped.reason, f"{read.stopped.detail}, {after}", type(read.stopped).__name__)
    if read.end is None or read.end.returncode == 0:
        return None
    if read.end.reason is not None:
        return Shortfall(read.end.reason, f"the decoder was ended by signal {-read.end.returncode} {after}")
    if timeline.no_decoder:
        return Shortfall(Reason.CODEC_UNSUPPORTED, f"this ffmpeg cannot decode the sound{because}")
    reason = Reason.DECODER_LIMIT if timeline.no_memory else Reason.DAMAGED
    return Shortfall(reason, f"the decoder failed with status {read.end.returncode} {after}{because}")


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


def ends_within_ogg_page(tail: bytes) -> bool:
    """Say whether a file that ends with `tail` was cut; Ogg declares no duration that would show it.

    Args:
        tail: the end of an Ogg file, `OGG_PAGE_BYTES` or the whole of it.
    """
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if not page.startswith(b"OggS"):
        return False
    segments = page[_OGG_SEGMENTS_AT] if len(page) > _OGG_SEGMENTS_AT else 255
    table = page[_OGG_SEGMENTS_AT + 1 : _OGG_SEGMENTS_AT + 1 + segments]
    return len(page) < _OGG_SEGMENTS_AT + 1 + segments + sum(table)
