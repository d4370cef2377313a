from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.job import Job
from batch_scan.model import AudioTrack, MediaInfo, VideoTrack
from batch_scan.takers import Takers, route
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


async def test_a_file_comes_whole_to_everyone_who_takes_it_so(tmp_path: Path) -> None:
    async with takers_of(tmp_path) as takers:
        whole = dict(takers.whole(MEDIA, "d" * 64, tmp_path / "a.mp4", "https://host/a.mp4"))
    assert {asker.name: (sample.track, sample.url) for asker, sample in whole.items()} == {
        "plays": (0, "https://host/a.mp4"),
        "pulls": (1, "https://host/a.mp4"),
    }
