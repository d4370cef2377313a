"""Whole files as samples, for services that play or pull a file instead of taking pieces of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_scan.model import Digest, Sample, Shortfall
from batch_scan.vocabulary import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from batch_scan.endpoint.interface import StreamNeeds
    from batch_scan.model import AudioTrack, MediaInfo, VideoTrack

PICTURES, SOUND = "video/*", "audio/*"
"""`Sample.mime` of a stream: what of the file is wanted."""


@dataclass(frozen=True, slots=True)
class WholeFile(Sample):
    """A file as one sample."""

    check_same: Callable[[], Awaitable[None]] | None = field(default=None, compare=False, repr=False)
    """Asks whether what lies under `url` is still this file; see `Source.check_same`. None where nobody pulls it."""


def is_pulled(needs: StreamNeeds, media: MediaInfo, size_bytes: int) -> bool:
    """Tell whether somebody who pulls files by their URL gets all that is wanted of this one so; else in pieces.

    One track of it is heard; and of a file that does not declare its length nobody could tell whether all of it was.
    """
    tracks = media.video if needs.pictures else media.audio
    track = _track(needs, media)
    if track is None or len(tracks) > 1 or size_bytes > needs.max_bytes:
        return False
    if media.main_video is not None and not (needs.films or needs.pictures):
        return False
    known = not needs.containers or not needs.containers.isdisjoint(media.container.split(","))
    return known and 0.0 < (track.duration_s or media.duration_s or 0.0) <= needs.max_s


def stream_sample(
    needs: StreamNeeds,
    media: MediaInfo,
    content_sha256: str,
    path: Path | None,
    url: str,
    *,
    check_same: Callable[[], Awaitable[None]] | None = None,
) -> WholeFile | None:
    """Return the file as one sample; None where it has nothing of what is wanted, cover art not counted.

    Ends with the track that is wanted, where its duration is declared, else with the file; at 0 where neither is.
    """
    track = _track(needs, media)
    if track is None:
        return None
    return WholeFile(
        medium=Medium.STREAM,
        start_s=0.0,
        end_s=track.duration_s or media.duration_s or 0.0,
        digest=Digest(content_sha256),
        mime=PICTURES if needs.pictures else SOUND,
        data=None,
        track=track.index,
        url=url,
        path=path,
        check_same=check_same if needs.by_url and url else None,
    )


def unplayed_tracks(needs: StreamNeeds, media: MediaInfo) -> Shortfall | None:
    """Return the shortfall of a file with more than a player shows: one picture track, cover art not, and one sound."""
    tracks = len(media.video) if needs.pictures else len(media.audio)
    if tracks and _track(needs, media) is None:
        return Shortfall(Reason.TRACK_NOT_PLAYED, "its cover art is not played to the endpoint")
    if tracks <= 1:
        return None
    kind = "picture" if needs.pictures else "sound"
    return Shortfall(Reason.TRACK_NOT_PLAYED, f"only one of its {tracks} {kind} tracks is played to the endpoint")


def _track(needs: StreamNeeds, media: MediaInfo) -> VideoTrack | AudioTrack | None:
    if needs.pictures:
        return media.main_video
    return media.audio[0] if media.audio else None
