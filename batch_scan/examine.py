"""Examines one file: its samples go to everyone who takes them, and what came of each is accounted for.

Samples come from the media room or, for a file known unchanged, from the record of an earlier extraction; what
happens to them is the same. Nothing is left uncounted: every piece is either answered, measured as silence, or behind
a `Shortfall`.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_scan.digest import digest_bytes
from batch_scan.flow import request_bytes
from batch_scan.media.interface import AudioTally, Chunk, FrameTally, Lane, Silence
from batch_scan.model import Coverage, Digest, Sample, Score, Shortfall, Utterance
from batch_scan.takers import Takers, stream_needs
from batch_scan.vocabulary import Medium, Reason
from batch_scan.whole import PICTURES, unplayed_tracks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence

    from batch_scan.ask import Asker
    from batch_scan.asked import Asked
    from batch_scan.extraction import Event
    from batch_scan.flow import Place
    from batch_scan.media.interface import AudioSpec
    from batch_scan.media.ways import FrameWork, SoundWork
    from batch_scan.model import MediaInfo, RequestRecord

_EVERY_FRAME = 1 << 40
"""More frames than a file has: a picture stream without an answer stands for all of them."""
_PAST_END_S = 2.0
"""By how much a declared length may be wrong: what `media.coverage` allows at most, and a vendor's `tolerance_s`."""
_TEXT_MIME = "text/plain; charset=utf-8"


@dataclass(slots=True)
class Examined:
    """What came of one file."""

    media: MediaInfo
    scores: list[Score] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    records: list[RequestRecord] = field(default_factory=list)
    shortfalls: list[Shortfall] = field(default_factory=list)
    planned: int = 0
    """Pieces (samples per taker, stretches of silence) that were to be examined."""
    answered: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    frame_works: tuple[FrameWork, ...] = ()
    sound_works: tuple[SoundWork, ...] = ()


class Examination:
    """One file on its way through everyone who takes its samples. Used once."""

    def __init__(
        self,
        media: MediaInfo,
        takers: Takers,
        place: Place,
        keep_evidence: Callable[[Sample, Sequence[Score]], Awaitable[None]],
    ) -> None:
        self._takers = takers
        self._place = place
        self._keep_evidence = keep_evidence
        self._done = Examined(media, shortfalls=list(media.shortfalls))
        self._turns = {asker: asyncio.Semaphore(2 * asker.service.config.limit.concurrency) for asker in takers.askers}
        self._frame_tallies: list[FrameTally] = []
        self._audio_tallies: list[AudioTally] = []
        self._audio_damaged = False
        self._pulled: list[tuple[Asker, Sample]] = []
        self._lost_frames: dict[Asker, int] = defaultdict(int)
        self._lost_audio_s: dict[Asker, float] = defaultdict(float)

    async def run(
        self,
        frames: AsyncGenerator[Event, None] | None,
        audio: AsyncGenerator[Event, None] | None,
        whole: Iterable[tuple[Asker, Sample]] = (),
    ) -> Examined:
        """Have everything examined; None where pictures or sound are not wanted. Raises nothing of the file's."""
        async with asyncio.TaskGroup() as group:
            for asker in self._takers.streams:
                self._note_unplayed(asker)
            for asker, sample in whole:
                if stream_needs(asker).by_url:
                    self._pulled.append((asker, sample))
                await self._start(group, asker, [sample])
            async with asyncio.TaskGroup() as extraction:
                if frames is not None:
                    extraction.create_task(self._take_frames(frames, group))
                if audio is not None:
                    extraction.create_task(self._take_audio(audio, group))
            self._place.rest()  # what is left may take as long as a film that is played
        self._note_unheard()
        self._check_tracks(frames is not None, audio is not None)
        self._done.shortfalls.sort(key=lambda gap: gap.reason is not Reason.CHANGED)  # then nothing else is certain
        self._done.coverage = self._coverage()
        self._done.frame_works = tuple(tally.work for tally in self._frame_tallies if tally.work is not None)
        self._done.sound_works = tuple(tally.work for tally in self._audio_tallies if tally.work is not None)
        return self._done

    # ---------------------------------------------------------------------------------------------------- pictures

    async def _take_frames(self, events: AsyncGenerator[Event, None], group: asyncio.TaskGroup) -> None:
        waiting: dict[Asker, list[Sample]] = {asker: [] for asker in self._takers.frames}
        async with aclosing(events):
            async for event in events:
                match event:
                    case Sample():
                        await self._take_frame(event, waiting, group)
                    case FrameTally():
                        self._frame_tallies.append(event)
                    case Shortfall():
                        self._done.shortfalls.append(event)
                    case _:
                        raise AssertionError(f"not a picture event: {event!r}")
        for asker, batch in waiting.items():
            if batch:
                await self._start(group, asker, batch)

    async def _take_frame(self, frame: Sample, waiting: dict[Asker, list[Sample]], group: asyncio.TaskGroup) -> None:
        for asker, batch in waiting.items():
            batch.append(frame)
            if len(batch) >= _batch_size(asker, Medium.FRAME):
                await self._start(group, asker, batch.copy(), Lane.PICTURES)
                batch.clear()

    # ------------------------------------------------------------------------------------------------------- sound

    async def _take_audio(self, events: AsyncGenerator[Event, None], group: asyncio.TaskGroup) -> None:
        async with aclosing(events):
            async for event in events:
                match event:
                    case Chunk():
                        for asker in self._listeners(event.spec):
                            await self._start(group, asker, [event.sample], Lane.SOUND)
                    case Silence():
                        count = len(self._listeners(event.spec))
                        self._done.planned += count
                        self._done.answered += count
                    case AudioTally():
                        self._audio_tallies.append(event)
                    case Shortfall():
                        self._audio_damaged = True
                        self._done.shortfalls.append(event)
                    case _:
                        raise AssertionError(f"not a sound event: {event!r}")

    def _listeners(self, spec: AudioSpec) -> list[Asker]:
        return [asker for asker in self._takers.listeners if self._takers.spec_of(asker) == spec]

    # ------------------------------------------------------------------------------------------------- whole files

    def _note_unplayed(self, asker: Asker) -> None:
        """Account for tracks that are not played, unless someone else gets all tracks of their kind."""
        needs = stream_needs(asker)
        others = self._takers.frames if needs.pictures else self._takers.listeners
        gap = unplayed_tracks(needs, self._done.media)
        if gap is not None and not others:
            self._done.shortfalls.append(gap)

    def _note_unheard(self) -> None:
        """Account for sound behind the declared end of a file that was pulled: that was asked for up to there alone."""
        decoded_s = {tally.track: tally.decoded_s for tally in self._audio_tallies}
        for asker, sample in self._pulled:
            there_s = decoded_s.get(sample.track, 0.0)
            if there_s - sample.duration_s > min(_PAST_END_S, sample.duration_s / 2):
                detail = (
                    f"{asker.name} pulled the file as one of {sample.duration_s:.1f} s, as it declares, and nobody "
                    f"knows whether it heard all {there_s:.1f} s that are there"
                )
                self._done.shortfalls.append(Shortfall(Reason.NOT_UNDERSTOOD, detail))

    # ------------------------------------------------------------------------------------------------------ asking

    async def _start(
        self, group: asyncio.TaskGroup, asker: Asker, samples: list[Sample], lane: Lane | None = None
    ) -> None:
        """Ask in the background; waits while enough is under way, which holds the decoder of this kind back."""
        turns, room, size_bytes = self._turns[asker], self._place.room(asker), request_bytes(samples)
        if not turns.locked() and room.try_enter(size_bytes):
            await turns.acquire()  # at once
            self._begin(group, asker, samples, size_bytes)
            return
        async with self._place.aside(lane):
            await turns.acquire()
            await room.enter(size_bytes)
            self._begin(group, asker, samples, size_bytes)  # before the core is had again, which may be cancelled

    def _begin(self, group: asyncio.TaskGroup, asker: Asker, samples: list[Sample], size_bytes: int) -> None:
        """Ask in the background, and give turn and room back afterwards, also where the group takes nobody any more."""
        with ExitStack() as held:
            held.callback(self._turns[asker].release)
            held.callback(self._place.room(asker).leave, size_bytes)
            asking = self._ask(asker, samples)
            held.callback(asking.close)
            task = group.create_task(asking)
            rest = held.pop_all()
        task.add_done_callback(lambda _: rest.close())

    async def _ask(self, asker: Asker, samples: Sequence[Sample]) -> None:
        asked = await asker.ask(samples, self._place.number)
        self._count(asker, samples, asked)
        scores = [reading for reading in asked.readings if isinstance(reading, Score)]
        self._done.scores += scores
        for sample in asked.answered:
            await self._keep_evidence(sample, [score for score in scores if score.sample_digest == sample.digest])
        utterances = [reading for reading in asked.readings if isinstance(reading, Utterance)]
        self._done.utterances += utterances
        if asker is self._takers.transcriber:
            await self._judge_words(utterances, samples[0].track)

    async def _judge_words(self, utterances: Sequence[Utterance], track: int) -> None:
        samples = [_utterance_sample(utterance, track) for utterance in utterances if utterance.text.strip()]
        for asker in self._takers.utterances:
            for batch in _batches(samples, _batch_size(asker, Medium.UTTERANCE)):
                await self._ask(asker, batch)

    def _count(self, asker: Asker, samples: Sequence[Sample], asked: Asked) -> None:
        self._done.planned += len(samples)
        self._done.answered += len(asked.answered)
        self._done.records += asked.records
        self._done.shortfalls += asked.shortfalls
        if len(asked.answered) + len(asked.unanswered) != len(samples):
            detail = f"{asker.name} accounted for {len(asked.answered)} of {len(samples)} samples"
            self._done.shortfalls.append(Shortfall(Reason.INTERNAL, detail))
        for sample in asked.unanswered:
            if sample.medium is Medium.FRAME:
                self._lost_frames[asker] += sample.stands_for
            elif sample.mime == PICTURES:
                self._lost_frames[asker] += _EVERY_FRAME
            else:
                self._lost_audio_s[asker] += sample.duration_s

    # -------------------------------------------------------------------------------------------------- accounting

    def _check_tracks(self, frames_wanted: bool, audio_wanted: bool) -> None:  # noqa: FBT001 - two plain facts
        """Every declared track must have been gone through to its end or have a reason why not."""
        seen = {tally.track for tally in self._frame_tallies} | {tally.track for tally in self._audio_tallies}
        media = self._done.media
        wanted = [track.index for track in media.video] if frames_wanted else []
        wanted += [track.index for track in media.audio] if audio_wanted else []
        missing = [index for index in wanted if index not in seen]
        if missing and not self._done.shortfalls:
            detail = f"stream {missing[0]} of the file was not gone through to its end"
            self._done.shortfalls.append(Shortfall(Reason.INTERNAL, detail))

    def _coverage(self) -> Coverage:
        extracted = sum(tally.extracted for tally in self._frame_tallies)
        planned_s = sum(tally.planned_s for tally in self._audio_tallies)
        decoded_s = sum(min(tally.decoded_s, tally.planned_s) for tally in self._audio_tallies)
        lost_s = max(self._lost_audio_s.values(), default=0.0) + (planned_s - decoded_s if self._audio_damaged else 0.0)
        return Coverage(
            audio_s_planned=planned_s,
            audio_s_answered=max(0.0, planned_s - lost_s),
            frames_planned=sum(tally.planned for tally in self._frame_tallies),
            frames_extracted=extracted,
            frames_deduplicated=sum(tally.deduplicated for tally in self._frame_tallies),
            frames_answered=max(0, extracted - max(self._lost_frames.values(), default=0)),
            audio_s_copied=math.fsum(tally.work.copied_s for tally in self._audio_tallies if tally.work is not None),
        )


def _batch_size(asker: Asker, medium: Medium) -> int:
    needs = asker.service.needs
    limits = needs.frame if medium is Medium.FRAME else needs.utterance
    return limits.samples if limits is not None else 1


def _batches(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]


def _utterance_sample(utterance: Utterance, track: int) -> Sample:
    data = utterance.text.encode("utf-8", "replace")
    return Sample(
        medium=Medium.UTTERANCE,
        start_s=utterance.start_s,
        end_s=utterance.end_s,
        digest=Digest(digest_bytes(data)),
        mime=_TEXT_MIME,
        data=data,
        track=track,
        speaker=utterance.speaker,
        language=utterance.language,
    )
