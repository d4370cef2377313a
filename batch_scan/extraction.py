"""What was taken out of a file, without the bytes: enough to judge an unchanged file again without opening it.

The record is kept under the content's digest and `settings_fingerprint`; samples in it carry digests but no data, so
only remembered answers can serve them.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from batch_scan.digest import fingerprint
from batch_scan.media.interface import AudioTally, Chunk, FrameTally, Silence
from batch_scan.model import MediaInfo, Sample, Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from batch_scan.media.interface import AudioSpec, FrameSpec, MediaLimits

Event = Sample | FrameTally | Chunk | Silence | AudioTally | Shortfall
"""What the media room yields: a `Sample` on its own is a frame."""

RECORD_VERSION = 2
"""Version 1 did not know of an end of a track that the decoder refuses: such a file is opened again."""
_PASSING = {Reason.DECODER_CRASHED, Reason.DECODER_TIMEOUT, Reason.DECODER_LIMIT, Reason.INTERNAL}
"""Shortfalls that another attempt may not have: a file with one is opened again next time."""


@dataclass(slots=True)
class ExtractionRecord:
    """Everything that came out of one file, in the order it came, by kind."""

    media: MediaInfo
    frames: list[Sample] = field(default_factory=list)
    frame_tallies: list[FrameTally] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    audio_tallies: list[AudioTally] = field(default_factory=list)
    frame_shortfalls: list[Shortfall] = field(default_factory=list)
    audio_shortfalls: list[Shortfall] = field(default_factory=list)

    @property
    def is_lasting(self) -> bool:
        """Tell whether opening the file again would give the same."""
        return not any(gap.reason in _PASSING for gap in (*self.frame_shortfalls, *self.audio_shortfalls))

    async def keep_frames(
        self, events: AsyncGenerator[Sample | Shortfall | FrameTally, None]
    ) -> AsyncGenerator[Event, None]:
        """Pass picture events on, and keep them without their bytes. Closing it closes `events`."""
        async with aclosing(events):
            async for event in events:
                match event:
                    case Sample():
                        self.frames.append(replace(event, data=None))
                    case FrameTally():
                        self.frame_tallies.append(event)
                    case Shortfall():
                        self.frame_shortfalls.append(event)
                yield event

    async def keep_audio(
        self, events: AsyncGenerator[Chunk | Silence | Shortfall | AudioTally, None]
    ) -> AsyncGenerator[Event, None]:
        """Pass sound events on, and keep them without their bytes. Closing it closes `events`."""
        async with aclosing(events):
            async for event in events:
                match event:
                    case Chunk():
                        self.chunks.append(replace(event, sample=replace(event.sample, data=None)))
                    case Silence():
                        self.silences.append(event)
                    case AudioTally():
                        self.audio_tallies.append(event)
                    case Shortfall():
                        self.audio_shortfalls.append(event)
                yield event

    def replay_frames(self) -> AsyncGenerator[Event, None]:
        """Yield what `keep_frames` kept."""
        return _replay([*self.frames, *self.frame_shortfalls, *self.frame_tallies])

    def replay_audio(self) -> AsyncGenerator[Event, None]:
        """Yield what `keep_audio` kept."""
        return _replay([*self.chunks, *self.silences, *self.audio_shortfalls, *self.audio_tallies])


_ADAPTER: TypeAdapter[ExtractionRecord] = TypeAdapter(ExtractionRecord)


def dump_record(record: ExtractionRecord) -> bytes:
    """Return the record as JSON."""
    return _ADAPTER.dump_json(record)


def load_record(stored: bytes) -> ExtractionRecord | None:
    """Return a stored record; None where it cannot be read, so that the file is simply opened again."""
    try:
        return _ADAPTER.validate_json(stored)
    except ValidationError:
        return None


def settings_fingerprint(frames: FrameSpec | None, audio: tuple[AudioSpec, ...], limits: MediaLimits) -> str:
    """Name everything that decides what comes out of a file."""
    return fingerprint(
        {
            "version": RECORD_VERSION,
            "frames": None if frames is None else asdict(frames),
            "audio": sorted(map(_told, audio), key=repr),
            "limits": asdict(limits),
        }
    )


def _told(spec: AudioSpec) -> dict[str, Any]:
    """Return a spec's values; without copies it has the same ones as before there were any."""
    return {name: value for name, value in asdict(spec).items() if name != "copies" or value}


async def _replay(events: Sequence[Event]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event
