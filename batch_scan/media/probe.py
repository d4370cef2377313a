"""Asking a decoder worker what is in a file, and believing only what has the right shape."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.decoder import wall_limit
from batch_scan.media.stills import further_pictures
from batch_scan.media.structure import structure_gap
from batch_scan.model import AudioTrack, MediaInfo, Shortfall, VideoTrack
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.media.decoder import DecoderPool
    from batch_scan.media.interface import MediaLimits

_Count = Annotated[int, Field(ge=0, le=1 << 31)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NAME_CHARS = 100


class Told(BaseModel):
    """Base of everything a worker says; not the place for surprises."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Track(Told):
    index: _Count
    codec: str
    duration_s: _Seconds | None


class _Audio(_Track):
    type: Literal["audio"]
    channels: _Count
    sample_rate_hz: _Count
    language: str

    def track(self) -> AudioTrack:
        return AudioTrack(
            self.index,
            clean_text(self.codec, _NAME_CHARS),
            self.channels,
            self.sample_rate_hz,
            self.duration_s,
            clean_text(self.language, _NAME_CHARS),
        )


class _Video(_Track):
    type: Literal["video"]
    width: _Count
    height: _Count
    is_cover: bool

    def track(self) -> VideoTrack:
        return VideoTrack(
            self.index, clean_text(self.codec, _NAME_CHARS), self.width, self.height, self.duration_s, self.is_cover
        )


class _Info(Told):
    container: str
    duration_s: _Seconds | None
    tracks: tuple[Annotated[_Audio | _Video, Field(discriminator="type")], ...]
    late: str = ""


class End(Told):
    """The last message about a file."""

    reason: Reason | None = None
    detail: str = ""
    error_type: str = ""
    info: _Info | None = None

    def raise_failure(self) -> None:
        """Raise MediaError where the worker could not do what was asked."""
        if self.reason is not None:
            raise MediaError(self.reason, clean_text(self.detail))


async def probe(pool: DecoderPool, path: Path, limits: MediaLimits, *, is_lasting: bool = True) -> MediaInfo:
    """Say what is in a file; see `interface.Reader.probe`. Raises MediaError with the reason its row gets."""
    end = None
    request = {**_request(path, limits), "may_stay_open": is_lasting}
    async with aclosing(pool.ask(request, wall_limit(path, None, limits))) as messages:
        async for kind, body in messages:
            if kind is wire.Kind.END:
                end = parse_end(body)
    if end is None or end.info is None:
        raise MediaError(Reason.DECODER_CRASHED, "the decoder process gave no answer")
    container = clean_text(end.info.container, _NAME_CHARS)
    missing = [await asyncio.to_thread(look, path, container) for look in (structure_gap, further_pictures)]
    if end.info.late:
        missing.append(Shortfall(Reason.DAMAGED, clean_text(end.info.late)))
    return MediaInfo(
        container,
        end.info.duration_s,
        tuple(track.track() for track in end.info.tracks if isinstance(track, _Audio)),
        tuple(track.track() for track in end.info.tracks if isinstance(track, _Video)),
        tuple(one for one in missing if one is not None),
    )


def _request(path: Path, limits: MediaLimits) -> dict[str, Any]:
    return {
        "do": "probe",
        "path": str(path.absolute()),
        "max_streams": limits.max_streams,
        "max_pixels": limits.max_pixels,
    }


def parse_end(body: bytes) -> End:
    """Return the last message about a file. Raises MediaError where it tells of a failure or is malformed."""
    try:
        end = End.model_validate(wire.unpack_json(body))
    except (wire.WireError, ValidationError):
        raise MediaError(Reason.DECODER_CRASHED, "the decoder process gave a malformed answer") from None
    end.raise_failure()
    return end
