"""The pictures of a file as samples: what the decoder workers send, checked, closed off and accounted for."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from batch_scan.digest import digest_bytes
from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.decoder import wall_limit
from batch_scan.media.fallback import program_frames
from batch_scan.media.interface import FrameTally
from batch_scan.media.probe import Told, parse_end
from batch_scan.media.wanted import WantedTimes, spread
from batch_scan.media.ways import FrameWork, Whole
from batch_scan.model import Digest, Sample, Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from batch_scan.media.decoder import DecoderPool
    from batch_scan.media.interface import FrameSpec, MediaLimits
    from batch_scan.model import MediaInfo, VideoTrack

_Count = Annotated[int, Field(ge=0, le=1 << 40)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Shortfall(Told):
    reason: Reason
    detail: str
    track: int | None = None


class _Work(Told):
    """See `ways.FrameWork`."""

    track: int
    interval_s: _Amount
    packets: _Count
    keyframes: _Count
    group_s: _Amount
    behind_s: _Amount
    frame_s: _Amount
    sent: _Count
    decoded: _Count
    alone: _Count
    taken: _Count
    cpu_s: _Amount
    whole: Whole | None


class _Tally(Told):
    track: int
    planned: _Count
    extracted: _Count
    deduplicated: _Count
    work: _Work | None = None


@dataclass(slots=True)
class _Received:
    """What has come of one track."""

    track: VideoTrack
    samples: int = 0
    pictures: int = 0
    is_closed: bool = False
    is_unsupported: bool = False
    """The decoder has tried it, and given up before the first picture."""


async def read_frames(
    pool: DecoderPool, path: Path, info: MediaInfo, spec: FrameSpec, limits: MediaLimits
) -> AsyncGenerator[Sample | Shortfall | FrameTally, None]:
    """Yield the wanted pictures of every picture track; see `interface.Reader.frames`.

    A decoder that ends early costs what it had not sent: a Shortfall, and a tally of what had come, for every track
    that was not closed. Tracks that PyAV has no decoder for, as it says beforehand or when it has tried, go through the
    ffmpeg program.
    """
    spec = _shared_cap(info, spec)
    wall_s = wall_limit(path, info.duration_s, limits)
    received = [_Received(track) for track in info.video]
    decodable = {one.track.index: one for one in received if one.track.codec}
    if decodable:
        info = replace(info, video=tuple(one.track for one in decodable.values()))
        request = _request(path, info, spec, limits)
        async with aclosing(_worker_frames(pool, request, info, decodable, wall_s * len(decodable))) as told:
            async for one in told:
                yield one
    for track in [one.track for one in received if one.is_unsupported or not one.track.codec]:
        duration_s = track.duration_s or info.duration_s
        async with aclosing(program_frames(path, track, duration_s, spec, limits, wall_s=wall_s)) as told:
            async for one in told:
                yield one


async def _worker_frames(
    pool: DecoderPool, request: dict[str, Any], info: MediaInfo, tracks: dict[int, _Received], wall_s: float
) -> AsyncGenerator[Sample | Shortfall | FrameTally, None]:
    try:
        async with aclosing(pool.ask(request, wall_s)) as messages:
            async for kind, body in messages:
                told = _parse(kind, body, tracks)
                if told is not None:
                    yield told
    except MediaError as error:
        yield Shortfall(error.reason, f"pictures: {error.detail}", type(error).__name__)
    interval_s = spread(request["interval_s"], info.duration_s, request["max_frames"])
    for tally in _open_tallies(tracks, interval_s, info.duration_s):
        yield tally


def _shared_cap(info: MediaInfo, spec: FrameSpec) -> FrameSpec:
    """Share a cap on the frames of a file evenly between its tracks."""
    films = sum(not track.is_cover for track in info.video)
    if not spec.max_frames or not films:
        return spec
    return replace(spec, max_frames=max(spec.max_frames // films, 1))


def _request(path: Path, info: MediaInfo, spec: FrameSpec, limits: MediaLimits) -> dict[str, Any]:
    return {
        "do": "frames",
        "path": str(path.absolute()),
        "tracks": [
            {"index": track.index, "duration_s": track.duration_s, "is_cover": track.is_cover} for track in info.video
        ],
        "duration_s": info.duration_s,
        "interval_s": spec.interval_s,
        "longest_px": spec.longest_px,
        "mode": spec.mode,
        "tolerance_s": spec.tolerance_s,
        "max_frames": spec.max_frames,
        "dedup": spec.dedup,
        "jpeg_quality": spec.jpeg_quality,
        "max_streams": limits.max_streams,
        "max_pixels": limits.max_pixels,
        "max_duration_s": limits.max_duration_s,
        "max_wanted_frames": limits.max_wanted_frames,
    }


def _parse(kind: wire.Kind, body: bytes, tracks: dict[int, _Received]) -> Sample | Shortfall | FrameTally | None:
    """Return what a message tells, and note it. Raises MediaError."""
    try:
        if kind is wire.Kind.PICTURE:
            return _sample(wire.unpack_picture(body), tracks)
        if kind is wire.Kind.SHORTFALL:
            missing = _Shortfall.model_validate(wire.unpack_json(body))
            if _is_unsupported(missing, tracks):
                return None
            return Shortfall(missing.reason, clean_text(missing.detail))
        if kind is wire.Kind.TALLY:
            tally = _Tally.model_validate(wire.unpack_json(body))
            tracks[tally.track].is_closed = True
            if tracks[tally.track].is_unsupported:
                return None
            work = None if tally.work is None else FrameWork(**dict(tally.work))
            return FrameTally(tally.track, tally.planned, tally.extracted, tally.deduplicated, work)
        if kind is wire.Kind.REQUEST:
            raise wire.WireError("a request")  # noqa: TRY301 - handled as any other nonsense
    except (wire.WireError, ValidationError, KeyError):
        raise MediaError(Reason.DECODER_CRASHED, "the decoder process gave a malformed answer") from None
    parse_end(body)
    if not all(received.is_closed for received in tracks.values()):
        raise MediaError(Reason.DECODER_CRASHED, "the decoder process gave no account of a track")
    return None


def _is_unsupported(missing: _Shortfall, tracks: dict[int, _Received]) -> bool:
    """Say whether a track is left to the ffmpeg program, which then closes it, and note it."""
    if missing.reason is not Reason.CODEC_UNSUPPORTED or missing.track is None or tracks[missing.track].pictures:
        return False
    tracks[missing.track].is_unsupported = True
    return True


def _sample(picture: wire.Picture, tracks: dict[int, _Received]) -> Sample:
    received = tracks[picture.track]
    received.samples += 1
    received.pictures += picture.stands_for
    return Sample(
        medium=Medium.FRAME,
        start_s=picture.start_s,
        end_s=picture.end_s,
        digest=Digest(digest_bytes(picture.jpeg)),
        mime="image/jpeg",
        data=picture.jpeg,
        track=picture.track,
        stands_for=picture.stands_for,
    )


def _open_tallies(tracks: dict[int, _Received], interval_s: float, duration_s: float | None) -> Iterator[FrameTally]:
    """Yield tallies for the tracks that the worker did not close."""
    for index, received in tracks.items():
        if received.is_closed or received.is_unsupported:
            continue
        length_s = received.track.duration_s or duration_s or 0.0
        wanted = 1 if received.track.is_cover else WantedTimes(interval_s).left_before(length_s)
        planned = max(wanted, received.pictures + 1)
        yield FrameTally(index, planned, received.pictures, received.pictures - received.samples)
