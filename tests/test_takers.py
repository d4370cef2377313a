from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.extraction import ExtractionRecord, dump_record
from batch_scan.job import Job
from batch_scan.media.interface import AudioCodec
from batch_scan.model import AudioTrack, MediaInfo, VideoTrack
from batch_scan.takers import Routes, Takers, not_taken, route
from batch_scan.vocabulary import Reason
from tests.asking_kit import SPEC, ToyEndpoint, desk_of, ledger_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PLAYS = Needs(stream=StreamNeeds(pictures=True))
PULLS = Needs(audio=SPEC, stream=StreamNeeds(sound=True, by_url=True))
MEDIA = MediaInfo("mov", 10.0, (AudioTrack(1, "aac", 2, 48_000, 10.0),), (VideoTrack(0, "h264", 640, 480, 10.0),))

SONG = replace(MEDIA, video=())
SHORT_SONG = MediaInfo("mp3", 9.0, (AudioTrack(0, "mp3", 2, 48_000, None),))
UNTIMED = replace(SONG, duration_s=None, audio=(AudioTrack(0, "aac", 2, 48_000, None),))


@contextlib.asynccontextmanager
async def takers_of(directory: Path) -> AsyncIterator[Takers]:
    """Someone who plays films, someone who pulls sound where it can, and someone who takes frames and chunks."""
    plain = Needs(frame=BatchLimits(), audio=SPEC)
    async with ledger_in(directory) as ledger:
        plays, pulls, takes = (
            desk_of(ledger, ToyEndpoint(name=name, needs=needs)).asker
            for name, needs in (("plays", PLAYS), ("pulls", PULLS), ("takes", plain))
        )
        yield Takers(frames=(takes,), audio=(takes, pulls), streams=(plays, pulls))


def names(askers: tuple[object, ...]) -> list[str]:
    return [asker.name for asker in askers]  # type: ignore[attr-defined]


async def test_whoever_pulls_an_item_from_its_url_gets_no_chunks_of_it(tmp_path: Path) -> None:
    async with takers_of(tmp_path) as takers:
        routes = Routes(takers, Job.model_validate({}))
        under_url, local = (routes.of(MEDIA, 1, has_url=has_url) for has_url in (True, False))
    assert (names(under_url.takers.streams), names(under_url.takers.audio)) == (["plays", "pulls"], ["takes"])
    assert (names(local.takers.streams), names(local.takers.audio)) == (["plays"], ["takes", "pulls"])
    assert local.sound == under_url.sound == (SPEC,)


async def test_sound_is_handed_on_undecoded_only_where_the_job_says_so(tmp_path: Path) -> None:
    copies, job = replace(SPEC, copies=("mp3",)), Job.model_validate({})
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, ToyEndpoint(needs=Needs(audio=copies))).asker
        off, on = (route(Takers(audio=(asker,), copy_sound=copy_sound), job) for copy_sound in (False, True))
    assert (off.sound, on.sound) == ((SPEC,), (copies,))
    assert (off.takers.spec_of(asker), on.takers.spec_of(asker)) == (SPEC, copies)
    assert off.settings != on.settings


async def test_what_the_job_leaves_out_nobody_gets(tmp_path: Path) -> None:
    async with takers_of(tmp_path) as takers:
        heard, seen = (
            Routes(takers, Job.model_validate({"extract": {key: False}})).of(MEDIA, 1, has_url=True)
            for key in ("video", "audio")
        )
    assert (names(heard.takers.streams), heard.frames, heard.sound) == (["pulls"], None, (SPEC,))
    assert (names(seen.takers.streams), seen.frames is not None, seen.sound) == (["plays"], True, ())


@pytest.mark.parametrize(
    ("needs", "media"),
    [
        pytest.param({}, replace(MEDIA, audio=MEDIA.audio * 2), id="two sound tracks, of which one would be heard"),
        pytest.param({}, replace(MEDIA, audio=()), id="none"),
        pytest.param({}, UNTIMED, id="nobody knows how long it is"),
        pytest.param({"films": False}, MEDIA, id="a film"),
        pytest.param({"containers": frozenset({"mp3", "wav"})}, MEDIA, id="another container"),
        pytest.param({"max_s": 9.9}, MEDIA, id="longer"),
        pytest.param({"max_bytes": 99}, MEDIA, id="larger"),
    ],
)
async def test_what_would_not_be_heard_whole_by_its_url_comes_in_chunks(
    tmp_path: Path, needs: dict[str, Any], media: MediaInfo
) -> None:
    async with ledger_in(tmp_path) as ledger:
        wants = StreamNeeds(sound=True, by_url=True, **needs)
        asker = desk_of(ledger, ToyEndpoint(name="pulls", needs=Needs(audio=SPEC, stream=wants))).asker
        routes = Routes(Takers(audio=(asker,), streams=(asker,)), Job.model_validate({}))
        way = routes.of(media, 100, has_url=True)
        assert (way.takers.streams, way.takers.audio) == ((), (asker,))
        assert not routes.are_pulled(media, 100)
        assert routes.are_pulled(SHORT_SONG, 1)


async def test_of_two_who_pull_each_gets_what_it_can_hear_and_all_that_was_judged_is_known_again(
    tmp_path: Path,
) -> None:
    wants = (StreamNeeds(sound=True, by_url=True), StreamNeeds(sound=True, by_url=True, films=False))
    async with ledger_in(tmp_path) as ledger:
        any_, songs = (
            desk_of(ledger, ToyEndpoint(name=name, needs=Needs(audio=SPEC, stream=needs))).asker
            for name, needs in zip(("any", "songs"), wants, strict=True)
        )
        routes = Routes(Takers(audio=(any_, songs), streams=(any_, songs)), Job.model_validate({}))
        film, song = (routes.of(media, 1, has_url=True) for media in (MEDIA, SONG))
        assert (names(film.takers.streams), names(film.takers.audio)) == (["any"], ["songs"])
        assert (names(song.takers.streams), names(song.takers.audio)) == (["any", "songs"], [])
        kept = {song.settings: dump_record(ExtractionRecord(SONG))}
        assert routes.answered(kept.get, "d" * 64, 1) is None
        for asker, sample in song.takers.whole(SONG, "d" * 64, url="https://host/a.mp3"):
            assert (await asker.ask([sample])).answered
        known = routes.answered(kept.get, "d" * 64, 1)
        assert known is not None
        assert known[0] is song
        kept = {way.settings: dump_record(ExtractionRecord(MEDIA)) for way in (film, song)}
        found = routes.answered(kept.get, "d" * 64, 1)
        assert found is not None
        assert found[0] is film, "what was heard of a song is not what would be heard of a film"


async def test_a_film_that_is_only_played_is_gone_through_as_well_for_what_is_damaged_in_it(tmp_path: Path) -> None:
    job = Job.model_validate({"extract": {"frame_interval": 2.0, "max_frames": 3}})
    async with takers_of(tmp_path) as takers:
        plays, pulls = takers.streams
        played = route(Takers(streams=(plays,)), job)
        pulled = route(Takers(streams=(pulls,)), job, (pulls,))
    assert (played.frames, played.sound) == (replace(job.extract.frames, max_frames=0), ())
    assert pulled.frames is None
    assert [spec.codec for spec in pulled.sound] == [AudioCodec.PCM]


async def test_a_file_comes_whole_to_everyone_who_takes_it_so(tmp_path: Path) -> None:
    async with takers_of(tmp_path) as takers:
        whole = dict(takers.whole(MEDIA, "d" * 64, tmp_path / "a.mp4", "https://host/a.mp4"))
    assert {asker.name: (sample.track, sample.url) for asker, sample in whole.items()} == {
        "plays": (0, "https://host/a.mp4"),
        "pulls": (1, "https://host/a.mp4"),
    }


@pytest.mark.parametrize(
    ("needs", "extract", "missing"),
    [
        pytest.param(Needs(audio=SPEC), {}, ["video"], id="nobody takes the pictures"),
        pytest.param(Needs(frame=BatchLimits()), {}, ["audio"], id="nobody takes the sound"),
        pytest.param(PLAYS, {}, ["audio"], id="it is only played for what is seen"),
        pytest.param(Needs(audio=SPEC, frame=BatchLimits()), {}, [], id="both are taken"),
        pytest.param(Needs(audio=SPEC), {"video": False}, [], id="the pictures are not wanted"),
        pytest.param(Needs(frame=BatchLimits()), {"audio": False}, [], id="the sound is not wanted"),
    ],
)
async def test_what_is_wanted_and_nobody_takes_is_told(
    tmp_path: Path, needs: Needs, extract: dict[str, bool], missing: list[str]
) -> None:
    job = Job.model_validate({"extract": extract})
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, ToyEndpoint(needs=needs)).asker
        takers = Takers(
            frames=(asker,) if needs.frame is not None else (),
            audio=(asker,) if needs.audio is not None else (),
            streams=(asker,) if needs.stream is not None else (),
        )
        gaps = not_taken(route(takers, job), job.extract, MEDIA)
    assert [gap.reason for gap in gaps] == [Reason.NOT_TAKEN] * len(missing)
    assert all(f"{key} = false" in gap.detail for key, gap in zip(missing, gaps, strict=True))
