"""Who gets which samples of a file, and what is taken out of it for them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import TYPE_CHECKING

from batch_scan.extraction import load_record, settings_fingerprint
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason
from batch_scan.whole import is_pulled, stream_sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator
    from pathlib import Path

    from batch_scan.ask import Asker
    from batch_scan.endpoint.interface import StreamNeeds
    from batch_scan.extraction import ExtractionRecord
    from batch_scan.job import ExtractTable, Job
    from batch_scan.media.interface import FrameSpec
    from batch_scan.model import MediaInfo, Sample

_GONE_THROUGH = AudioSpec(codec=AudioCodec.PCM, max_s=60.0)
"""How sound is decoded that goes to nobody in pieces: the cheapest way."""


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
    copy_sound: bool = False
    """True hands sound on undecoded to those who take its codec."""

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
        """The form in which one of them wants sound: with its silences, and undecoded, only where the job says so."""
        spec = asker.service.needs.audio
        if spec is None:
            return None
        skip_silence = spec.skip_silence and self.skip_silence
        return replace(spec, skip_silence=skip_silence, copies=spec.copies if self.copy_sound else ())

    def narrowed(self, extract: ExtractTable, pulling: Collection[Asker] = ()) -> Takers:
        """Say who takes what of a file that some pull by its URL: they get no chunks of it."""
        needs = {asker: stream_needs(asker) for asker in self.streams}
        streams = tuple(
            asker
            for asker, wants in needs.items()
            if (asker in pulling or not wants.by_url)
            and ((wants.pictures and extract.video) or (wants.sound and extract.audio))
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
    def shows(self) -> bool:
        """Whether someone is shown the pictures of files whole."""
        return any(stream_needs(asker).pictures for asker in self.streams)

    @property
    def plays(self) -> bool:
        """Whether someone hears the sound of files whole."""
        return any(stream_needs(asker).sound for asker in self.streams)

    def whole(
        self,
        media: MediaInfo,
        content_sha256: str,
        path: Path | None = None,
        url: str = "",
        check_same: Callable[[], Awaitable[None]] | None = None,
    ) -> Iterator[tuple[Asker, Sample]]:
        """Yield the file as a sample for everyone who takes it whole."""
        for asker in self.streams:
            sample = stream_sample(stream_needs(asker), media, content_sha256, path, url, check_same=check_same)
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
    """Who gets what of one kind of file, and what is taken out of it for them.

    Pictures and sound are gone through here also where they are only played to someone: whoever plays a file is not
    told what in it is damaged, nor how long it truly is.
    """

    takers: Takers
    frames: FrameSpec | None
    """None where nobody wants pictures."""
    sound: tuple[AudioSpec, ...]
    """Empty where nobody wants sound."""
    settings: str
    """Names everything that decides what is taken out."""


def route(takers: Takers, job: Job, pulling: Collection[Asker] = ()) -> Route:
    """Return what becomes of files that some pull by their URL."""
    own = takers.narrowed(job.extract, pulling)
    frames = job.extract.frames if own.frames or own.shows else None
    if frames is not None and not own.frames:
        frames = replace(frames, max_frames=0)  # a player shows all of them
    sound = own.specs or ((_GONE_THROUGH,) if own.plays else ())
    return Route(own, frames, sound, settings_fingerprint(frames, sound, job.limits.media))


class Routes:
    """What becomes of every file of a job."""

    def __init__(self, takers: Takers, job: Job) -> None:
        self._pullers = tuple(asker for asker in takers.streams if stream_needs(asker).by_url and job.extract.audio)
        some = chain.from_iterable(combinations(self._pullers, count) for count in range(len(self._pullers), -1, -1))
        self._routes = {frozenset(pulling): route(takers, job, pulling) for pulling in some}

    def are_pulled(self, media: MediaInfo, size_bytes: int) -> bool:
        """Tell whether somebody would pull such a file by its URL."""
        return bool(self._pulling(media, size_bytes))

    def of(self, media: MediaInfo, size_bytes: int, *, has_url: bool) -> Route:
        """Return what becomes of a file that lies, or does not lie, under a URL."""
        return self._routes[self._pulling(media, size_bytes) if has_url else frozenset()]

    def answered(
        self, load: Callable[[str], bytes | None], content_sha256: str, size_bytes: int
    ) -> tuple[Route, ExtractionRecord] | None:
        """Return how a content was judged wholly before, and what came out of it then; None where it was not.

        Whether it lies under a URL now makes no difference: what was heard of it is known.

        Args:
            load: returns the record of what came out of it with such settings, where there is one.
            content_sha256: the content.
            size_bytes: its size.
        """
        for pulling, way in self._routes.items():
            stored = load(way.settings)
            record = load_record(stored) if stored is not None else None
            if record is None or not pulling <= self._pulling(record.media, size_bytes):
                continue
            if way.takers.known(record, content_sha256):
                return way, record
        return None

    def _pulling(self, media: MediaInfo, size_bytes: int) -> frozenset[Asker]:
        return frozenset(asker for asker in self._pullers if is_pulled(stream_needs(asker), media, size_bytes))


def not_taken(way: Route, extract: ExtractTable, media: MediaInfo) -> list[Shortfall]:
    """Return what of a file is wanted by the job and taken by nobody: it was not looked at, so its row says so."""
    gaps = []
    if media.video and extract.video and way.frames is None:
        gaps.append(_not_taken("pictures", "video"))
    if media.audio and extract.audio and not way.sound:
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
