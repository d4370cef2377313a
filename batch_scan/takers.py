"""Who gets which samples of a file, and what is taken out of it for them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch_scan.extraction import settings_fingerprint
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason
from batch_scan.whole import stream_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_scan.ask import Asker
    from batch_scan.endpoint.interface import StreamNeeds
    from batch_scan.extraction import ExtractionRecord
    from batch_scan.job import ExtractTable, Job
    from batch_scan.media.interface import AudioSpec, FrameSpec
    from batch_scan.model import MediaInfo, Sample


@dataclass(frozen=True, slots=True)
class Takers:
    """Who gets which samples. `transcriber` is set exactly where someone takes utterances."""

    frames: tuple[Asker, ...] = ()
    audio: tuple[Asker, ...] = ()
    utterances: tuple[Asker, ...] = ()
    transcriber: Asker | None = None
    streams: tuple[Asker, ...] = ()
    """Who gets files whole."""
    skip_silence: bool = True
    """False hands silence on as well."""

    @property
    def listeners(self) -> tuple[Asker, ...]:
        """Everyone who gets sound."""
        return self.audio if self.transcriber is None else (*self.audio, self.transcriber)

    @property
    def askers(self) -> tuple[Asker, ...]:
        """Everyone, each once."""
        return tuple(dict.fromkeys((*self.frames, *self.utterances, *self.streams, *self.listeners)))

    @property
    def specs(self) -> tuple[AudioSpec, ...]:
        """The forms in which sound is wanted, each once."""
        return tuple(dict.fromkeys(filter(None, map(self.spec_of, self.listeners))))

    def spec_of(self, asker: Asker) -> AudioSpec | None:
        """The form in which one of them wants sound: with its silences, where the job says so."""
        spec = asker.service.needs.audio
        return spec if spec is None or self.skip_silence else replace(spec, skip_silence=False)

    def narrowed(self, extract: ExtractTable, *, has_url: bool) -> Takers:
        """Say who takes what of an item with or without a URL: who pulls it whole gets no chunks of it."""
        needs = {asker: stream_needs(asker) for asker in self.streams}
        streams = tuple(
            asker
            for asker, wants in needs.items()
            if (has_url or not wants.by_url) and ((wants.pictures and extract.video) or (wants.sound and extract.audio))
        )
        return replace(
            self,
            frames=self.frames if extract.video else (),
            audio=tuple(one for one in self.audio if extract.audio and not (one in streams and needs[one].sound)),
            utterances=self.utterances if extract.audio else (),
            transcriber=self.transcriber if extract.audio else None,
            streams=streams,
        )

    @property
    def plays(self) -> bool:
        """Whether someone is shown the pictures of files whole."""
        return any(stream_needs(asker).pictures for asker in self.streams)

    def whole(
        self, media: MediaInfo, content_sha256: str, path: Path | None = None, url: str = ""
    ) -> Iterator[tuple[Asker, Sample]]:
        """Yield the file as a sample for everyone who takes it whole."""
        for asker in self.streams:
            sample = stream_sample(stream_needs(asker), media, content_sha256, path, url)
            if sample is not None:
                yield asker, sample

    def known(self, record: ExtractionRecord, content_sha256: str) -> bool:
        """Tell whether every sample of an earlier extraction has a remembered answer from everyone who takes it."""
        if not all(asker.knows(record.frames) for asker in self.frames):
            return False
        if not all(asker.knows([sample]) for asker, sample in self.whole(record.media, content_sha256)):
            return False
        return all(
            asker.knows(chunk.sample for chunk in record.chunks if chunk.spec == self.spec_of(asker))
            for asker in self.listeners
        )


@dataclass(frozen=True, slots=True)
class Route:
    """Who gets what of one kind of item, and what is taken out of it for them."""

    takers: Takers
    frames: FrameSpec | None
    """None where nobody wants pictures. Set also where they are only played to someone: whoever plays a file is not
    told what in it is damaged, so it is gone through here as well."""
    sound: tuple[AudioSpec, ...]
    settings: str
    """Names everything that decides what is taken out."""


def route(takers: Takers, job: Job, *, has_url: bool) -> Route:
    """Return what becomes of items that lie, or do not lie, under a URL."""
    own = takers.narrowed(job.extract, has_url=has_url)
    frames = job.extract.frames if own.frames or own.plays else None
    if frames is not None and not own.frames:
        frames = replace(frames, max_frames=0)  # a player shows all of them
    return Route(own, frames, own.specs, settings_fingerprint(frames, own.specs, job.limits.media))


def not_taken(way: Route, extract: ExtractTable, media: MediaInfo) -> list[Shortfall]:
    """Return what of a file is wanted by the job and taken by nobody: it was not looked at, so its row says so."""
    gaps = []
    if media.video and extract.video and way.frames is None:
        gaps.append(_not_taken("pictures", "video"))
    heard = bool(way.takers.listeners) or any(stream_needs(asker).sound for asker in way.takers.streams)
    if media.audio and extract.audio and not heard:
        gaps.append(_not_taken("sound", "audio"))
    return gaps


def _not_taken(what: str, key: str) -> Shortfall:
    detail = f"no endpoint of this job takes its {what}: add one that does, or set [extract] {key} = false"
    return Shortfall(Reason.NOT_TAKEN, detail)


def stream_needs(asker: Asker) -> StreamNeeds:
    """Return how somebody who takes files whole wants them."""
    needs = asker.service.needs.stream
    assert needs is not None  # noqa: S101 - who takes streams has said how
    return needs
