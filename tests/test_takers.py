from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.job import Job
from batch_scan.model import AudioTrack, MediaInfo, VideoTrack
from batch_scan.takers import Takers, not_taken, route
from batch_scan.vocabulary import Reason
from tests.asking_kit import SPEC, ToyEndpoint, desk_of, ledger_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PLAYS = Needs(stream=StreamNeeds(pictures=True))
PULLS = Needs(audio=SPEC, stream=StreamNeeds(sound=True, by_url=True))
MEDIA = MediaInfo("mov", 10.0, (AudioTrack(1, "aac", 2, 48_000, 10.0),), (VideoTrack(0, "h264", 640, 480, 10.0),))


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
        under_url = route(takers, Job.model_validate({}), has_url=True)
        local = route(takers, Job.model_validate({}), has_url=False)
    assert (names(under_url.takers.streams), names(under_url.takers.audio)) == (["plays", "pulls"], ["takes"])
    assert (names(local.takers.streams), names(local.takers.audio)) == (["plays"], ["takes", "pulls"])
    assert local.sound == under_url.sound == (SPEC,)


async def test_what_the_job_leaves_out_nobody_gets(tmp_path: Path) -> None:
    async with takers_of(tmp_path) as takers:
        heard = route(takers, Job.model_validate({"extract": {"video": False}}), has_url=True)
        seen = route(takers, Job.model_validate({"extract": {"audio": False}}), has_url=True)
    assert (names(heard.takers.streams), heard.frames, heard.sound) == (["pulls"], None, (SPEC,))
    assert (names(seen.takers.streams), seen.frames is not None, seen.sound) == (["plays"], True, ())


async def test_a_film_that_is_only_played_is_gone_through_as_well_for_what_is_damaged_in_it(tmp_path: Path) -> None:
    job = Job.model_validate({"extract": {"frame_interval": 2.0, "max_frames": 3}})
    async with takers_of(tmp_path) as takers:
        plays, pulls = takers.streams
        played = route(Takers(streams=(plays,)), job, has_url=False)
        pulled = route(Takers(streams=(pulls,)), job, has_url=True)
    assert played.frames == replace(job.extract.frames, max_frames=0)
    assert pulled.frames is None


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
        gaps = not_taken(route(takers, job, has_url=False), job.extract, MEDIA)
    assert [gap.reason for gap in gaps] == [Reason.NOT_TAKEN] * len(missing)
    assert all(f"{key} = false" in gap.detail for key, gap in zip(missing, gaps, strict=True))
