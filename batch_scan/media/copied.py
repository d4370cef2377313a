"""Sound of a track as it lies in the file, as chunks for those who take its codec undecoded.

A decoder worker parts the packets (`worker_copy`); here what it says is checked and compared with what the container
declares, as for decoded sound. Of sound that nobody decoded nothing is known but its packets: no silence is measured,
damage inside a frame is hardly seen, and only the taker can tell how much of it it heard (`Sample.copied`).
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import Field, ValidationError

from batch_scan.digest import digest_bytes
from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.coverage import TOLERANCE_S, SoundRead, Unread, declared_length_s, judge
from batch_scan.media.cutting import FLICKS_PER_S
from batch_scan.media.decoder import wall_limit
from batch_scan.media.interface import AudioTally, Chunk, Lane
from batch_scan.media.probe import Told, parse_end
from batch_scan.media.structure import TELL_THEIR_END
from batch_scan.media.timeline import Timeline
from batch_scan.media.ways import SoundWork
from batch_scan.model import Digest, Sample, Shortfall
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from batch_scan.media.decoder import DecoderPool
    from batch_scan.media.interface import AudioSpec, MediaLimits
    from batch_scan.model import AudioTrack, MediaInfo

_MIME: Final = {"mp3": "audio/mpeg", "aac": "audio/aac"}
"""Codecs (libav's names) whose frames stand on their own, and what a file of them is called."""
_MOST_CHANNELS: Final = 2
"""What a service makes of more is not known; some mix in the first two alone."""
_LEAST_CHUNK_S: Final = 10.0
_LEAST_CHUNK_BYTES: Final = 100_000
"""Chunks that are smaller would be largely what they repeat of the one before."""
_WHY_CHARS: Final = 200

_Count = Annotated[int, Field(ge=0)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Tally(Told):
    """What a worker says after the last packet of a track; lengths in flicks where nothing else is said."""

    not_copied: str = ""
    frames: _Count = 0
    heard: _Count = 0
    still: _Count = 0
    lost: tuple[tuple[_Count, _Count], ...] = ()
    spoiled_s: _Seconds = 0.0
    stray_s: _Seconds = 0.0
    stray_after_s: _Seconds = 0.0
    too_long: bool = False
    complaint: str = ""
    container_complaint: str = ""
    unread: Unread | None = None
    late: str = ""


def why_decoded(track: AudioTrack, specs: tuple[AudioSpec, ...]) -> str:
    """Say why a track has to be decoded for those who want it; empty where it need not be."""
    takers = sum(track.codec in spec.copies for spec in specs)
    if not takers:
        return f"{track.codec} is taken by nobody undecoded"
    if takers < len(specs):
        return f"not everybody takes {track.codec} undecoded"
    if track.codec not in _MIME:
        return f"{track.codec} cannot be parted undecoded"
    if not 1 <= track.channels <= _MOST_CHANNELS:
        return f"it has {track.channels} channels, which are mixed here"
    if any(spec.max_s < _LEAST_CHUNK_S or spec.max_bytes < _LEAST_CHUNK_BYTES for spec in specs):
        return "it is taken in chunks that are too small"
    return ""


class CopiedTrack:
    """One track, from its packets to its tally. Use once.

    Attributes:
        not_copied: why it could not be copied after all, where `read` yielded nothing: it is to be decoded then.
    """

    def __init__(
        self,
        path: Path,
        info: MediaInfo,
        track: AudioTrack,
        *,
        pool: DecoderPool,
        specs: tuple[AudioSpec, ...],
        limits: MediaLimits,
    ) -> None:
        self.not_copied = ""
        self._pool = pool
        self._path = path
        self._info = info
        self._track = track
        self._specs = specs
        self._limits = limits
        self._timeline = Timeline(FLICKS_PER_S)
        self._seen = SoundRead(FLICKS_PER_S, word="found")
        self._parts: list[bytes] = []
        self._reached = [0] * len(specs)
        self._covered = [0] * len(specs)
        self._tally: _Tally | None = None

    async def read(self) -> AsyncGenerator[Chunk | Shortfall | AudioTally, None]:
        """Yield all that is to be said of the track."""
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
        if self.not_copied:
            return
        begins_s = self._timeline.start_s
        declared_s = declared_length_s(self._info, self._track, begins_s)
        shortfalls, tally = judge(self._seen, self._timeline, self._track.index, declared_s)
        for shortfall in (*shortfalls, *self._further(is_declared=declared_s is not None)):
            yield shortfall
        yield replace(tally, work=SoundWork(self._track.index, copied_s=tally.decoded_s))

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        allowed_s = wall_limit(self._path, self._track.duration_s or self._info.duration_s, self._limits)
        try:
            async with aclosing(self._pool.ask(self._request(), allowed_s, Lane.SOUND)) as messages:
                async for kind, body in messages:
                    if kind is wire.Kind.END:
                        parse_end(body)
                    elif kind is wire.Kind.COPIED and self._tally is None:
                        chunk = self._take(body)
                        if chunk is not None:
                            yield chunk
                    elif kind is wire.Kind.TALLY and self._tally is None and not self._parts:
                        self._note_tally(body)
                    else:
                        raise _malformed()
            if self._tally is None:
                raise _malformed()
        except MediaError as error:
            self._seen.stopped = error

    def _take(self, body: bytes) -> Chunk | None:
        """Take a part of a chunk and return the chunk with its last one. Raises MediaError."""
        try:
            told = wire.unpack_copied(body)
        except wire.WireError:
            raise _malformed() from None
        if told.taker >= len(self._specs) or told.end > self._limits.max_duration_s * FLICKS_PER_S:
            raise _malformed()
        self._parts.append(told.data)
        spec = self._specs[told.taker]
        if sum(map(len, self._parts)) > spec.max_bytes:
            raise _malformed()
        if not told.is_last:
            return None
        if not self._seen.decoded:
            self._timeline.show(told.begins, 0)
        reached = self._reached[told.taker]
        if told.end <= reached:
            raise _malformed()
        self._covered[told.taker] += told.end - max(told.start, reached)
        self._reached[told.taker] = told.end
        self._seen.decoded = max(self._covered)
        data, self._parts = b"".join(self._parts), []
        return Chunk(spec, self._sample(told.start, told.end, data))

    def _sample(self, start: int, end: int, data: bytes) -> Sample:
        begins_s = self._timeline.start_s
        return Sample(
            Medium.AUDIO,
            begins_s + start / FLICKS_PER_S,
            begins_s + end / FLICKS_PER_S,
            Digest(digest_bytes(data)),
            _MIME[self._track.codec],
            data,
            track=self._track.index,
            language=self._track.language,
            copied=True,
        )

    def _note_tally(self, body: bytes) -> None:
        try:
            self._tally = tally = _Tally.model_validate(wire.unpack_json(body))
        except (wire.WireError, ValidationError):
            raise _malformed() from None
        seen = self._seen
        if any(covered != tally.heard for covered in self._covered):
            raise _malformed()
        self.not_copied = clean_text(tally.not_copied, _WHY_CHARS) if not tally.heard else ""
        seen.decoded, seen.still, seen.lost = tally.heard, tally.still, list(tally.lost)
        seen.frames, seen.too_long = tally.frames, tally.too_long
        seen.complaint, seen.unread = tally.complaint, tally.unread
        if self._info.container not in TELL_THEIR_END:
            seen.container_complaint = tally.container_complaint

    def _further(self, *, is_declared: bool) -> Iterator[Shortfall]:
        """Yield what a decoder would have stumbled over.

        Bytes behind the last frame are a tag as a rule; that they are lost sound shows in what is declared.
        """
        if self._tally is None:
            return
        least_s, _ = TOLERANCE_S
        if self._tally.spoiled_s > least_s:
            detail = f"at least {self._tally.spoiled_s:.1f} s of sound are corrupt, and were handed on all the same"
            yield Shortfall(Reason.DAMAGED, detail)
        stray_s = self._tally.stray_s + (0.0 if is_declared else self._tally.stray_after_s)
        if stray_s > least_s and self._tally.unread is None:
            detail = f"among its frames of sound are bytes that are none, as many as {stray_s:.1f} s of it take"
            yield Shortfall(Reason.DAMAGED, detail)
        late = clean_text(self._tally.late)
        if late and self._info.main_video is not None and self._track is self._info.audio[0]:
            yield Shortfall(Reason.DAMAGED, late)  # once per file; of one without a film the probe has said so

    def _request(self) -> dict[str, Any]:
        return {
            "do": "copy",
            "path": str(self._path.absolute()),
            "container": self._info.container,
            "track": self._track.index,
            "codec": self._track.codec,
            "bounds": [(min(spec.max_s, self._limits.max_duration_s), spec.max_bytes) for spec in self._specs],
            "max_s": self._limits.max_duration_s,
            "max_streams": self._limits.max_streams,
            "max_pixels": self._limits.max_pixels,
        }


def _malformed() -> MediaError:
    return MediaError(Reason.DECODER_CRASHED, "the decoder process gave a malformed answer")
