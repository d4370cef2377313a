"""What is in a file, in a decoder worker: containers to plain values."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from av.stream import Disposition

from batch_scan.media.worker_late import GROWING_FORMATS, late_tracks, read_through
from batch_scan.media.worker_open import LIBAV_TICKS_PER_S, has_no_decoder

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

    from batch_scan.media.worker_open import LibavLog

_MATROSKA_DURATION: Final = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)")
_COUNTED_FORMATS: Final = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "dts", "loas", "truehd"})
_GUESSED: Final = "Estimating duration from bitrate"
_NO_START: Final = "stream {} : no TS found at start of file"
"""Of a track that begins too late in a transport or program stream for its length to be known: it gets the file's."""
_COUNT_FROM_FILE: Final = ("matroska", "flv")
"""Containers that count the length of a track from the start of the file (`coverage.declared_length_s`)."""


def describe(container: InputContainer, log: LibavLog) -> dict[str, Any]:
    """Return the file's tracks and durations as plain values; durations that are mere guesses are None.

    Bare sound formats without an index (MP3, ADTS, …) are counted through packet by packet where their header does not
    say how long they are. So are containers that may hold tracks which are not there at the beginning, unless their
    pictures will be read from beginning to end anyway: `late` is then a sentence about such tracks, else empty.
    """
    guessed = log.said(_GUESSED)
    media = [stream for stream in container.streams if stream.type in {"audio", "video"}]
    tracks = [_track(stream, guessed=guessed or log.said(_NO_START.format(stream.index))) for stream in media]
    known = [track["duration_s"] for track in tracks if not track.get("is_cover")]
    duration_s = None if guessed else _positive((container.duration or 0) / LIBAV_TICKS_PER_S)
    if known and all(known):
        duration_s = max(*known, min(_end_s(container), duration_s or 0.0))
    if duration_s is None and container.format.name in _COUNTED_FORMATS and len(tracks) == 1:
        duration_s = tracks[0]["duration_s"] = _counted(container)
    late = ""
    if container.format.name in GROWING_FORMATS and not any(map(_is_film, tracks)):
        read_through(container)
        late = late_tracks(container)
    return {"container": container.format.name, "duration_s": duration_s, "tracks": tracks, "late": late}


def _end_s(container: InputContainer) -> float:
    """Return when the last track ends, by its beginning and length; seconds from the start of the file."""
    if container.format.name.startswith(_COUNT_FROM_FILE):
        return 0.0
    start_s = (container.start_time or 0) / LIBAV_TICKS_PER_S
    ends_s = [
        float(stream.start_time * stream.time_base) - start_s + (declared_duration(stream) or 0.0)
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None and not is_cover(stream)
    ]
    return max(ends_s, default=0.0)


def is_read_by_probe(container: InputContainer) -> bool:
    """Say whether `describe` may have read on in a container, which then no longer stands at its beginning."""
    return container.format.name in _COUNTED_FORMATS or container.format.name in GROWING_FORMATS


def declared_duration(stream: Stream) -> float | None:
    """Return how long a track says it is, seconds; None where it does not say."""
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", "").strip())
    if tag:
        hours, minutes, seconds = tag.groups()
        return _positive(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
    if stream.duration is None or stream.time_base is None:
        return None
    return _positive(float(stream.duration * stream.time_base))


def is_cover(stream: Stream) -> bool:
    """Say whether a track is a single picture beside the media; a track of timed thumbnails is not."""
    return bool(stream.disposition & Disposition.attached_pic) and not (
        stream.disposition & Disposition.timed_thumbnails
    )


def _track(stream: Stream, *, guessed: bool) -> dict[str, Any]:
    context: Any = None if has_no_decoder(stream) else stream.codec_context
    track: dict[str, Any] = {
        "type": stream.type,
        "index": stream.index,
        "codec": context.codec.canonical_name if context else "",
        "duration_s": None if guessed else declared_duration(stream),
    }
    if stream.type == "video":
        size = (context.width, context.height) if context else (0, 0)
        return {**track, "width": size[0], "height": size[1], "is_cover": is_cover(stream)}
    sound = (context.channels, context.sample_rate) if context else (0, 0)
    return {**track, "channels": sound[0], "sample_rate_hz": sound[1] or 0, "language": stream.language or ""}


def _is_film(track: dict[str, Any]) -> bool:
    return bool(track["type"] == "video" and track["codec"] and not track["is_cover"])


def _counted(container: InputContainer) -> float | None:
    total_s = 0.0
    try:
        for packet in container.demux():
            if packet.size and packet.duration and packet.time_base:
                total_s += float(packet.duration * packet.time_base)
    except Exception:  # noqa: BLE001 - PyAV raises builtins of any kind; a damaged file has no certain length
        return None
    return _positive(total_s)


def _positive(seconds: float) -> float | None:
    return seconds if seconds > 0 and math.isfinite(seconds) else None
