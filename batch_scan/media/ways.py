"""Which way the pictures of a track are taken out, what each way costs, and why it was this one. Pure.

A track is read once, from its beginning to its end (`worker_select`), and for each wanted time the cheapest of three is
done: a keyframe that answers it is decoded alone; else its group of pictures is decoded up to it, without those that no
other picture needs; groups in which nothing is wanted are dropped undecoded. What a whole track comes to follows from
its keyframes and the interval, and is what `Way` names.

With W wanted pictures, N the interval, K keyframes, G their distances and r the share of pictures that others need, the
pictures to be decoded are:

===============  =========================================
keyframes alone  W, at most K
one pass         the least of W · (1 + E[G²] / 2E[G] · rate · r),
                 K · (1 + (E[G] - N / 2) · rate · r) and all · r + W · (1 - r)
whole            all
===============  =========================================

E[G²] / 2E[G] is how far a moment lies behind the keyframe before it, on average; it is G / 2 only where keyframes are
evenly set. Where N is below G every group is decoded, up to the last picture that is wanted of it. r is about 0.5 with
B-pictures, a third in MPEG-2 with two of them between others, and 1 for VP9 and AV1. So one pass never decodes more
than the whole, and is what exact pictures are taken in unless the packets cannot be trusted.

Costs are in units of the mean picture of the film, since that is what is the same for other machines, sizes and bit
rates; a film's own unit comes out of what it took (`costs`). Measured on 2 cores of an AMD EPYC with PyAV 18.1, CPU
seconds per hour of film at 25 pictures a second (`python -m benchmarks extraction`, one decoder thread): full decodes
take 549 (1080p H.264), 304 (720p HEVC), 295 (720p VP9), 150 (720p AV1), 57 (576p MPEG-2); pictures that others need
cost 1.16 times the mean; a keyframe alone takes 21 ms, 14, 14, 11 and 2.5. Scaling to 640 and JPEG take 1.5 ms a
picture; reading takes 0.02 ms a packet.

Seeking to the wanted groups is not among the ways. Every 10.7 s it saves 0.1 to 0.4 s of CPU per hour of film, in
MPEG-TS 1.3 (`python -m benchmarks reading`), of 8 to 155 that a scan takes, and reads the less of a file that was just
read whole for its digest, and will be for its sound. Against that stands that only a pass over all packets shows that a
file ends early, has holes or further tracks.

Sound goes one of two ways: decoded, mixed, measured and encoded, 5 to 6 s of CPU per hour of it; or, where the job
lets it and everybody takes its codec, parted undecoded (`copied`), 0.8 to 1.2 s (`python -m benchmarks extraction
--films mp3 aac`). `SoundWork` says which it was, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Way(StrEnum):
    """How the pictures of a track are taken out, the cheapest first."""

    KEYFRAMES = "keyframes"
    """Keyframes alone."""
    SELECTIVE = "selective"
    """One pass: from the keyframe before each wanted picture up to it, without what no other picture needs."""
    WHOLE = "whole"
    """Every picture."""


class Whole(StrEnum):
    """Why every picture of a track is decoded."""

    COVER = "cover"
    NO_TIMES = "no_times"
    NO_KEYFRAME = "no_keyframe"
    OTHER_TIMES = "other_times"
    NO_DECODER = "no_decoder"


@dataclass(frozen=True, slots=True)
class FrameWork:
    """What was done for the pictures of one track.

    Attributes:
        track: stream index in the container.
        interval_s: distance of wanted times, seconds.
        packets: pictures that the track has, as far as it was read.
        keyframes: those of them that decoding can start at.
        group_s: mean distance of keyframes, seconds; 0 where there are fewer than two.
        behind_s: how far a moment lies behind the keyframe before it on average, seconds: E[G²] / 2E[G].
        frame_s: how long one picture is shown, seconds.
        sent: packets that the decoder got; the others were dropped undecoded.
        decoded: pictures that came out of the decoder.
        alone: keyframes among them that were decoded for themselves.
        taken: pictures that were taken.
        cpu_s: CPU time of the decoder process, scaling and JPEG included, seconds.
        whole: why every picture is decoded; None where they are chosen.
    """

    track: int
    interval_s: float
    packets: int = 0
    keyframes: int = 0
    group_s: float = 0.0
    behind_s: float = 0.0
    frame_s: float = 0.04
    sent: int = 0
    decoded: int = 0
    alone: int = 0
    taken: int = 0
    cpu_s: float = 0.0
    whole: Whole | None = None

    @property
    def way(self) -> Way:
        """Which way the track went, by what was done."""
        if self.whole is not None:
            return Way.WHOLE
        only_keyframes = self.decoded <= max(2 * self.alone, min(self.taken, self.keyframes))
        return Way.KEYFRAMES if only_keyframes else Way.SELECTIVE


@dataclass(frozen=True, slots=True)
class SoundWork:
    """How one track of sound was handed on, in jobs that let it be copied (`[extract] copy_sound`)."""

    track: int
    """Stream index in the container."""
    copied_s: float = 0.0
    """Seconds that were handed on undecoded."""
    because: str = ""
    """Why it was decoded; empty where it was not."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way comes to."""

    pictures: float
    """Pictures to be decoded."""
    units: float
    """CPU time, in that of a mean picture of the film."""


@dataclass(frozen=True, slots=True)
class _Codec:
    key: float
    """A keyframe decoded alone, in mean pictures."""
    needed: float
    """Share of pictures that others need."""
    mean_ms: float
    """A mean picture, milliseconds of CPU: only compared with what is not decoding."""


_CODECS: Final[Mapping[str, _Codec]] = {
    "h264": _Codec(3.4, 0.5, 6.1),
    "hevc": _Codec(4.1, 0.5, 3.4),
    "vp9": _Codec(4.4, 1.0, 3.3),
    "av1": _Codec(6.6, 1.0, 1.7),
    "mpeg2video": _Codec(4.0, 0.35, 0.63),
}
_OTHER_CODEC: Final = _Codec(3.4, 1.0, 3.0)
_NEEDED_PICTURE: Final = 1.16
"""A picture that others need, in mean ones."""
_OUT_MS: Final = 1.5
_PACKET_MS: Final = 0.02


def predict(work: FrameWork, codec: str) -> dict[Way, Cost]:
    """Return what each way comes to for a track, by its keyframes, its length and the interval alone.

    Args:
        work: of which nothing is used that tells what was done.
        codec: libav's name of the codec.

    Returns:
        Pictures and units of every way. Good to a factor of two: keyframes may happen to lie on wanted times, and
        how many pictures others need is the encoder's choice.
    """
    known = _CODECS.get(codec, _OTHER_CODEC)
    rate = 1 / work.frame_s if work.frame_s > 0 else 0.0
    wanted = max(min(work.packets * work.frame_s / work.interval_s, work.packets), min(work.packets, 1.0))
    keys = min(wanted, work.keyframes)
    on_the_way = wanted * (1 + work.behind_s * rate * known.needed)
    most = work.packets * known.needed + wanted * (1 - known.needed)
    if work.interval_s < work.group_s:
        reached_s = work.group_s - work.interval_s / 2
        most = min(most, max(work.keyframes * (1 + reached_s * rate * known.needed), wanted))
    decoded = min(on_the_way, most)
    beside = _beside(known, work.packets, wanted)
    whole = beside + work.packets
    selective = beside + keys * known.key + max(decoded - keys, 0.0) * _NEEDED_PICTURE
    return {
        Way.KEYFRAMES: Cost(keys, beside + keys * known.key),
        Way.SELECTIVE: Cost(decoded, min(selective, whole)),
        Way.WHOLE: Cost(work.packets, whole),
    }


def costs_s(work: FrameWork, codec: str) -> dict[Way, float]:
    """Return what each way takes for a track, seconds of CPU: what it took, and the others in proportion."""
    known = _CODECS.get(codec, _OTHER_CODEC)
    keys = min(max(work.alone, min(work.taken, work.keyframes)), work.decoded)
    done = _beside(known, work.packets, work.taken) + keys * known.key + (work.decoded - keys) * _NEEDED_PICTURE
    unit_s = work.cpu_s / done if done else 0.0
    return {way: cost.units * unit_s for way, cost in predict(work, codec).items()} | {work.way: work.cpu_s}


def _beside(codec: _Codec, packets: float, taken: float) -> float:
    """Return what is not decoding, in mean pictures."""
    return (taken * _OUT_MS + packets * _PACKET_MS) / codec.mean_ms
