from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.errors import EndpointError, Failure
from batch_scan.examine import Examination
from batch_scan.extraction import ExtractionRecord
from batch_scan.flow import Bounds, Flow, request_bytes
from batch_scan.media.interface import AudioTally, Chunk, FrameTally, Lane, Silence
from batch_scan.media.ways import SoundWork
from batch_scan.model import AudioTrack, Digest, MediaInfo, Sample, Shortfall, VideoTrack
from batch_scan.takers import Takers
from batch_scan.vocabulary import Medium, Reason
from batch_scan.whole import PICTURES as SHOWN
from tests.asking_kit import SPEC, Hold, Step, ToyEndpoint, ToyTranscriber, desk_of, ledger_in, sample_of
from tests.flow_kit import place_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.examine import Examined
    from batch_scan.extraction import Event
    from batch_scan.model import Score
    from batch_scan.transcribe.interface import Transcriber

PICTURE = VideoTrack(0, "h264", 640, 480, 10.0)
SOUND = AudioTrack(1, "aac", 2, 48_000, 10.0)
CONTENT = "c" * 64
MEDIA = MediaInfo("mov", 10.0, (SOUND,), (PICTURE,))
PICTURES_DONE = FrameTally(0, planned=4, extracted=4, deduplicated=0)
SOUND_DONE = AudioTally(1, 10.0, 10.0)
SHORT = replace(SPEC, max_s=5.0)
NO = EndpointError(Failure.REFUSED, "no")


@dataclass
class Watched:
    """Hands events out one by one, and tells how many it was asked for."""

    events: Sequence[Event]
    handed_out: int = 0

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        for event in self.events:
            self.handed_out += 1
            yield event
            await asyncio.sleep(0)


class Shelf:
    """Where evidence would go."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes | None, list[str]]] = []

    async def keep(self, sample: Sample, scores: Sequence[Score]) -> None:
        self.kept.append((sample.data, [score.vendor_label for score in scores]))


def frame(words: str, at_s: float = 0.0, stands_for: int = 1) -> Sample:
    return replace(sample_of(words, at_s), stands_for=stands_for)


def chunk(words: str, start_s: float = 0.0, length_s: float = 5.0, spec: object = SPEC) -> Chunk:
    return Chunk(spec, replace(sample_of(words, start_s, Medium.AUDIO, length_s), track=1))  # type: ignore[arg-type]


def pictures(*script: Step, name: str = "toy", samples: int = 1, concurrency: int = 8) -> ToyEndpoint:
    config = ServiceConfig(limit=LimitTable(concurrency=concurrency))
    return ToyEndpoint(*script, name=name, needs=Needs(frame=BatchLimits(samples=samples)), config=config)


@contextlib.asynccontextmanager
async def takers_of(
    directory: Path,
    frames: Iterable[ToyEndpoint] = (),
    audio: Iterable[ToyEndpoint] = (),
    words: Iterable[ToyEndpoint] = (),
    transcriber: ToyTranscriber | None = None,
) -> AsyncIterator[Takers]:
    async with ledger_in(directory) as ledger:
        services: list[Endpoint | Transcriber] = [*frames, *audio, *words]
        services += [transcriber] if transcriber is not None else []
        askers = {service: desk_of(ledger, service).asker for service in services}
        yield Takers(
            tuple(askers[one] for one in frames),
            tuple(askers[one] for one in audio),
            tuple(askers[one] for one in words),
            askers[transcriber] if transcriber is not None else None,
        )


async def examine(
    takers: Takers,
    frames: Sequence[Event] | None = None,
    audio: Sequence[Event] | None = None,
    shelf: Shelf | None = None,
    media: MediaInfo = MEDIA,
) -> Examined:
    examination = Examination(media, takers, await place_for(takers), (shelf or Shelf()).keep)
    return await examination.run(
        aiter(Watched(frames)) if frames is not None else None, aiter(Watched(audio)) if audio is not None else None
    )


# ---------------------------------------------------------------------------------------------------------- pictures


async def test_pictures_go_to_everyone_who_takes_them_in_their_batch_sizes(tmp_path: Path) -> None:
    one, many = pictures(name="one"), pictures(name="many", samples=3)
    async with takers_of(tmp_path, frames=[one, many]) as takers:
        events: list[Event] = [*(frame(word, at) for at, word in enumerate("abcd")), PICTURES_DONE]
        done = await examine(takers, events)
    assert [len(request.samples) for request in one.submitted] == [1, 1, 1, 1]
    assert [len(request.samples) for request in many.submitted] == [3, 1]
    assert (done.planned, done.answered, len(done.scores), len(done.records)) == (8, 8, 8, 6)
    assert done.shortfalls == []
    assert (done.coverage.frames_planned, done.coverage.frames_extracted, done.coverage.frames_answered) == (4, 4, 4)


async def test_a_picture_that_one_of_two_did_not_answer_is_not_answered(tmp_path: Path) -> None:
    async with takers_of(tmp_path, frames=[pictures(name="good"), pictures(NO, name="bad")]) as takers:
        done = await examine(takers, [frame("a", 0, stands_for=3), frame("b", 1), PICTURES_DONE])
    assert (done.planned, done.answered) == (4, 3)
    assert done.coverage.frames_answered == 1
    assert [gap.reason for gap in done.shortfalls] == [Reason.SAMPLE_REFUSED]


async def test_evidence_is_offered_each_sample_with_its_own_scores(tmp_path: Path) -> None:
    shelf = Shelf()
    async with takers_of(tmp_path, frames=[pictures(samples=4)]) as takers:
        await examine(takers, [frame("bad", 0), frame("b", 1), PICTURES_DONE], shelf=shelf)
    assert shelf.kept == [(b"bad", ["bad"]), (b"b", ["b"])]


# ------------------------------------------------------------------------------------------------------------- sound


async def test_sound_goes_to_those_who_asked_for_its_form(tmp_path: Path) -> None:
    long, short = (ToyEndpoint(name=name, needs=Needs(audio=spec)) for name, spec in (("long", SPEC), ("short", SHORT)))
    async with takers_of(tmp_path, audio=[long, short]) as takers:
        assert takers.specs == (SPEC, SHORT)
        events: list[Event] = [chunk("whole"), Silence(SHORT, 1, 0, 5), chunk("half", 5, spec=SHORT), SOUND_DONE]
        done = await examine(takers, audio=events, media=replace(MEDIA, video=()))
    assert [request.samples[0].data for request in long.submitted] == [b"whole"]
    assert [request.samples[0].data for request in short.submitted] == [b"half"]
    assert (done.planned, done.answered, done.shortfalls) == (3, 3, [])
    assert (done.coverage.audio_s_planned, done.coverage.audio_s_answered) == (10, 10)


async def test_seconds_that_were_copied_are_counted_and_told_track_by_track(tmp_path: Path) -> None:
    works = SoundWork(1, copied_s=10.0), SoundWork(2, because="opus is taken by nobody undecoded")
    media = replace(MEDIA, audio=(SOUND, replace(SOUND, index=2)), video=())
    async with takers_of(tmp_path, audio=[ToyEndpoint(needs=Needs(audio=SPEC))]) as takers:
        events: list[Event] = [chunk("a"), *(replace(SOUND_DONE, track=work.track, work=work) for work in works)]
        done = await examine(takers, audio=events, media=media)
    assert (done.coverage.audio_s_copied, done.coverage.audio_s_answered) == (10.0, 20.0)
    assert done.sound_works == works


async def test_unanswered_and_undecoded_seconds_are_not_covered(tmp_path: Path) -> None:
    async with takers_of(tmp_path, audio=[ToyEndpoint(NO, needs=Needs(audio=SPEC))]) as takers:
        gap = Shortfall(Reason.DAMAGED, "8 of 10 seconds")
        events: list[Event] = [chunk("a", 0, 3), chunk("b", 3, 5), gap, AudioTally(1, 10, 8)]
        done = await examine(takers, audio=events)
    assert (done.coverage.audio_s_planned, done.coverage.audio_s_answered) == (10, 5)
    assert {gap.reason for gap in done.shortfalls} == {Reason.DAMAGED, Reason.SAMPLE_REFUSED}


async def test_words_go_from_the_transcriber_to_everyone_who_judges_words(tmp_path: Path) -> None:
    first, second = (ToyEndpoint(name=name, needs=Needs(utterance=BatchLimits(samples=2))) for name in ("x", "y"))
    ears = ToyTranscriber()
    async with takers_of(tmp_path, words=[first, second], transcriber=ears) as takers:
        assert (takers.specs, len(takers.askers)) == ((SPEC,), 3)
        done = await examine(takers, audio=[chunk("you bad one", 5, 3), SOUND_DONE])
    for judge in (first, second):
        sent = [sample for request in judge.submitted for sample in request.samples]
        assert [(one.data, one.start_s, one.end_s, one.track) for one in sent] == [
            (b"you", 5, 6, 1),
            (b"bad", 6, 7, 1),
            (b"one", 7, 8, 1),
        ]
        assert [len(request.samples) for request in judge.submitted] == [2, 1]
    assert [word.text for word in done.utterances] == ["you", "bad", "one"]
    assert (done.planned, done.answered, len(done.scores)) == (7, 7, 6)
    assert {record.endpoint for record in done.records} == {"x", "y", "transcribe.toy"}


async def test_sound_that_was_not_transcribed_leaves_the_words_unjudged(tmp_path: Path) -> None:
    judge = ToyEndpoint(needs=Needs(utterance=BatchLimits()))
    async with takers_of(tmp_path, words=[judge], transcriber=ToyTranscriber(NO)) as takers:
        done = await examine(takers, audio=[chunk("a"), SOUND_DONE])
    assert judge.submitted == []
    assert (done.planned, done.answered, done.coverage.audio_s_answered) == (1, 0, 5)
    assert [gap.reason for gap in done.shortfalls] == [Reason.SAMPLE_REFUSED]


async def test_words_that_were_not_judged_are_seconds_that_were_not_covered(tmp_path: Path) -> None:
    judge = ToyEndpoint(NO, needs=Needs(utterance=BatchLimits()))
    async with takers_of(tmp_path, words=[judge], transcriber=ToyTranscriber()) as takers:
        done = await examine(takers, audio=[chunk("one two"), SOUND_DONE])
    assert (done.planned, done.answered, done.coverage.audio_s_answered) == (3, 2, 9)


# -------------------------------------------------------------------------------------------------------- accounting


@pytest.mark.parametrize(
    ("frames", "audio"),
    [([frame("a")], [SOUND_DONE]), ([PICTURES_DONE], []), ([], []), ([replace(PICTURES_DONE, track=7)], [SOUND_DONE])],
)
async def test_a_track_that_was_not_gone_through_is_never_passed_over(
    tmp_path: Path, frames: list[Event], audio: list[Event]
) -> None:
    async with takers_of(tmp_path, frames=[pictures()]) as takers:
        done = await examine(takers, frames, audio)
    assert [gap.reason for gap in done.shortfalls] == [Reason.INTERNAL]


async def test_tracks_of_a_kind_that_is_not_wanted_are_not_missed(tmp_path: Path) -> None:
    async with takers_of(tmp_path, frames=[pictures()]) as takers:
        assert (await examine(takers, [PICTURES_DONE], None)).shortfalls == []
        assert (await examine(takers, None, [SOUND_DONE])).shortfalls == []


async def test_an_asker_that_loses_a_sample_is_found_out(tmp_path: Path) -> None:
    async with takers_of(tmp_path, frames=[pictures()]) as takers:
        (asker,) = takers.frames
        honest = asker.ask

        async def forgetful(samples: Sequence[Sample], file: int) -> object:
            return replace(await honest(samples, file), answered=())

        asker.ask = forgetful  # type: ignore[method-assign, assignment]
        done = await examine(takers, [frame("a"), PICTURES_DONE], [SOUND_DONE])
    assert [gap.reason for gap in done.shortfalls] == [Reason.INTERNAL]
    assert done.answered < done.planned


async def test_events_of_the_wrong_kind_are_a_mistake(tmp_path: Path) -> None:
    async with takers_of(tmp_path, frames=[pictures()]) as takers:
        for frames, audio in (([SOUND_DONE], []), ([], [frame("a")])):
            with pytest.raises(ExceptionGroup):
                await examine(takers, frames, audio)


EVENTS_OF_PICTURES = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from(["a", "b", "c", "bad"]), st.integers(0, 99), st.integers(1, 3)),
        st.just(Shortfall(Reason.DAMAGED, "broken")),
    ),
    max_size=8,
)
EVENTS_OF_SOUND = st.lists(
    st.one_of(
        st.builds(chunk, st.sampled_from(["a", "b c", "bad d", ""]), st.integers(0, 99)),
        st.builds(Silence, st.just(SPEC), st.just(1), st.integers(0, 9), st.integers(10, 19)),
        st.just(Shortfall(Reason.DAMAGED, "broken")),
    ),
    max_size=8,
)
SCRIPT = st.lists(st.sampled_from([None, NO, RuntimeError("oops"), "not what it should be"]), max_size=6)


@settings(max_examples=50, deadline=None)
@given(EVENTS_OF_PICTURES, EVENTS_OF_SOUND, SCRIPT, SCRIPT, SCRIPT)
def test_every_piece_is_answered_or_has_a_reason(
    frames: list[Event], audio: list[Event], seen: list[Step], heard: list[Step], read: list[Step]
) -> None:
    async def main(directory: Path) -> None:
        eyes, judge = (
            pictures(*seen, samples=2),
            ToyEndpoint(*read, name="judge", needs=Needs(utterance=BatchLimits(2))),
        )
        async with takers_of(directory, [eyes], words=[judge], transcriber=ToyTranscriber(*heard)) as takers:
            extracted = sum(event.stands_for for event in frames if isinstance(event, Sample))
            tally = FrameTally(0, extracted, extracted, 0)
            done = await examine(takers, [*frames, tally], [*audio, AudioTally(1, 1000, 1000)])
            given_gaps = sum(isinstance(event, Shortfall) for event in (*frames, *audio))
            pieces = sum(not isinstance(event, Shortfall) for event in (*frames, *audio))
            assert done.planned == pieces + len([word for word in done.utterances if word.text])
            assert (done.answered < done.planned) == (len(done.shortfalls) > given_gaps)
            assert 0 <= done.coverage.frames_answered <= done.coverage.frames_extracted
            assert 0 <= done.coverage.audio_s_answered <= done.coverage.audio_s_planned

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))


# ----------------------------------------------------------------------------------------- holding back, giving back


async def test_a_slow_service_holds_the_decoder_back(tmp_path: Path) -> None:
    hold = Hold()
    async with takers_of(tmp_path, frames=[pictures(hold, concurrency=1)]) as takers:
        events = Watched([*(frame(str(at), at) for at in range(50)), PICTURES_DONE])
        running = asyncio.create_task(
            Examination(MediaInfo("mov", 1.0, (), (PICTURE,)), takers, await place_for(takers), Shelf().keep).run(
                aiter(events), None
            )
        )
        await hold.arrived.wait()
        for _ in range(200):
            await asyncio.sleep(0)
        assert events.handed_out <= 4
        hold.let_go.set()
        done = await running
    assert done.answered == done.planned == 50


async def test_bytes_that_wait_are_bounded_over_all_files(tmp_path: Path) -> None:
    hold, room_bytes = Hold(), 50_000
    async with takers_of(tmp_path, frames=[pictures(hold)]) as takers:
        flow = Flow(Bounds(decoders=1, files=2), takers.askers, room_bytes)
        events = [Watched([frame(f"{name}{at}22", at) for at in range(6)] + [PICTURES_DONE]) for name in "ab"]
        media = MediaInfo("mov", 1.0, (), (PICTURE,))
        running = [
            asyncio.create_task(Examination(media, takers, await flow.admit(), Shelf().keep).run(aiter(one), None))
            for one in events
        ]
        await hold.arrived.wait()
        for _ in range(200):
            await asyncio.sleep(0)
        assert 0 < flow.waiting_bytes <= room_bytes
        assert sum(one.handed_out for one in events) < 12
        hold.let_go.set()
        assert [one.answered for one in await asyncio.gather(*running)] == [6, 6]
    assert flow.waiting_bytes == 0


async def test_a_file_that_breaks_gives_its_room_back(tmp_path: Path) -> None:
    async def breaking() -> AsyncGenerator[Event, None]:
        yield frame("a")
        await hold.arrived.wait()
        raise OSError("the pipe broke")

    hold = Hold()
    async with takers_of(tmp_path, frames=[pictures(hold)]) as takers:
        flow = Flow(Bounds(decoders=1, files=1), takers.askers)
        with pytest.raises(ExceptionGroup):
            await Examination(MEDIA, takers, await flow.admit(), Shelf().keep).run(breaking(), None)
        assert flow.waiting_bytes == 0
        hold.let_go.set()
        assert await takers.frames[0].delivery.drain(10) == 0
        assert takers.frames[0].knows([frame("a")])


async def test_a_file_given_up_while_it_waits_for_a_core_gives_its_room_back(tmp_path: Path) -> None:
    hold, later_hold, later = Hold(), Hold(), frame("longer")
    async with takers_of(tmp_path, frames=[pictures(hold, later_hold)]) as takers:
        flow = Flow(Bounds(decoders=1, files=2), takers.askers, waiting_bytes=1)  # one picture at a time
        place, other = await flow.admit(), await flow.admit()
        decoded = place.decoded(Lane.PICTURES, aiter(Watched([frame("a"), later, PICTURES_DONE])))
        run = asyncio.create_task(Examination(MEDIA, takers, place, Shelf().keep).run(decoded, None))
        await hold.arrived.wait()
        async with other.working():  # the core that the first picture's file lends while the second has no room
            hold.let_go.set()
            while flow.waiting_bytes != request_bytes([later]):  # noqa: ASYNC110 - a room tells nobody
                await asyncio.sleep(0)
            run.cancel()
            await asyncio.wait([run])
        later_hold.let_go.set()
        assert flow.waiting_bytes == 0


# -------------------------------------------------------------------------------------------------------- whole files

FILE = replace(sample_of("", 0.0, Medium.STREAM, 10.0), data=None, mime=SHOWN, digest=Digest(CONTENT))


@contextlib.asynccontextmanager
async def players_of(directory: Path, *endpoints: ToyEndpoint) -> AsyncIterator[Takers]:
    """Those who are given files whole; one that takes frames besides gets them."""
    async with ledger_in(directory) as ledger:
        askers = {one: desk_of(ledger, one).asker for one in endpoints}
        eyes = tuple(asker for one, asker in askers.items() if one.needs.frame is not None)
        yield Takers(frames=eyes, streams=tuple(askers[one] for one in endpoints if one.needs.stream is not None))


def player(*script: Step, name: str = "plays") -> ToyEndpoint:
    return ToyEndpoint(*script, name=name, needs=Needs(stream=StreamNeeds(pictures=True)))


async def test_a_file_that_is_played_is_one_piece(tmp_path: Path) -> None:
    async with players_of(tmp_path, service := player()) as takers:
        examination = Examination(MEDIA, takers, await place_for(takers), Shelf().keep)
        done = await examination.run(None, None, [(takers.streams[0], FILE)])
    assert (done.planned, done.answered, done.shortfalls) == (1, 1, [])
    assert [request.samples for request in service.submitted] == [(FILE,)]


async def test_a_file_that_is_not_played_to_its_end_stands_for_all_its_frames(tmp_path: Path) -> None:
    async with players_of(tmp_path, player(NO), pictures()) as takers:
        examination = Examination(MEDIA, takers, await place_for(takers), Shelf().keep)
        shown = Watched([frame("a"), frame("b", 5.0), PICTURES_DONE])
        done = await examination.run(aiter(shown), None, [(takers.streams[0], FILE)])
    assert (done.planned, done.answered) == (3, 2)
    assert (done.coverage.frames_extracted, done.coverage.frames_answered) == (4, 0)
    assert [gap.reason for gap in done.shortfalls] == [Reason.SAMPLE_REFUSED]


async def test_a_second_track_that_is_not_played_is_told_unless_someone_gets_its_frames(tmp_path: Path) -> None:
    media = replace(MEDIA, video=(PICTURE, replace(PICTURE, index=2)))
    for eyes, reasons in (([], [Reason.TRACK_NOT_PLAYED]), ([pictures()], [])):
        async with players_of(tmp_path / str(len(eyes)), player(), *eyes) as takers:
            examination = Examination(media, takers, await place_for(takers), Shelf().keep)
            done = await examination.run(None, None, [(takers.streams[0], FILE)])
        assert [gap.reason for gap in done.shortfalls] == reasons


async def test_cover_art_that_nobody_gets_is_told_beside_a_sound_that_was_judged(tmp_path: Path) -> None:
    cover = replace(PICTURE, is_cover=True)
    async with players_of(tmp_path, player()) as takers:
        examination = Examination(replace(MEDIA, video=(cover,)), takers, await place_for(takers), Shelf().keep)
        done = await examination.run(None, None, [])
    assert [gap.reason for gap in done.shortfalls] == [Reason.TRACK_NOT_PLAYED]


async def test_a_file_is_known_only_once_it_was_played(tmp_path: Path) -> None:
    async with players_of(tmp_path, player()) as takers:
        assert not takers.known(ExtractionRecord(MEDIA), CONTENT)
        await takers.streams[0].ask([FILE])
        assert takers.known(ExtractionRecord(MEDIA), CONTENT)
        assert not takers.known(ExtractionRecord(MEDIA), "e" * 64)


# ---------------------------------------------------------------------------------------------------- from the record


async def test_a_record_gives_the_same_without_the_file_and_sends_nothing(tmp_path: Path) -> None:
    eyes, ears = pictures(samples=2), ToyTranscriber()
    judge = ToyEndpoint(name="judge", needs=Needs(utterance=BatchLimits(samples=2)))
    async with takers_of(tmp_path, [eyes], words=[judge], transcriber=ears) as takers:
        record = ExtractionRecord(MEDIA)
        frames = aiter(Watched([frame("a", 1), frame("bad", 2), frame("c", 3), PICTURES_DONE]))
        audio = aiter(Watched([chunk("x bad y"), Silence(SPEC, 1, 5, 10), SOUND_DONE]))
        examination = Examination(MEDIA, takers, await place_for(takers), Shelf().keep)
        first = await examination.run(record.keep_frames(frames), record.keep_audio(audio))  # type: ignore[arg-type]
        sent = [len(service.submitted) for service in (eyes, ears, judge)]
        assert takers.known(record, CONTENT)
        again = Examination(MEDIA, takers, await place_for(takers), Shelf().keep)
        second = await again.run(record.replay_frames(), record.replay_audio())
    assert [len(service.submitted) for service in (eyes, ears, judge)] == sent
    assert all(record.cached for record in second.records)
    assert (second.planned, second.answered, second.coverage) == (first.planned, first.answered, first.coverage)
    assert sorted(map(repr, second.scores)) == sorted(map(repr, first.scores))
    assert second.utterances == first.utterances


async def test_a_record_is_not_known_while_one_answer_is_missing(tmp_path: Path) -> None:
    async with takers_of(tmp_path, [pictures()], transcriber=ToyTranscriber()) as takers:
        record = ExtractionRecord(MEDIA, frames=[frame("a")], chunks=[chunk("x")])
        assert not takers.known(record, CONTENT)
        await takers.frames[0].ask([frame("a")])
        assert not takers.known(record, CONTENT)
        await takers.listeners[0].ask([chunk("x").sample])
        assert takers.known(record, CONTENT)
        assert takers.known(replace(record, chunks=[*record.chunks, chunk("y", spec=SHORT)]), CONTENT)
