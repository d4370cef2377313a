from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from batch_scan.errors import MediaError
from batch_scan.evidence import Evidence
from batch_scan.job import PolicyTable
from batch_scan.model import Finding, Score
from batch_scan.vocabulary import Action, Category, Medium, Reason
from tests.asking_kit import sample_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.evidence import Exhibits
    from batch_scan.media.interface import Reader
    from batch_scan.model import Sample

POLICY = PolicyTable()
PICTURE = sample_of("bad", 5)
SOUND = replace(sample_of("bad words", 10, Medium.AUDIO, 5), track=3)
FILE = Path("/archive/film.mp4")


class Shelf:
    """A store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked = 0

    async def find(self, names: Sequence[str], suffix: str) -> list[str]:
        self.asked += 1
        return [name + suffix if name + suffix in self.kept else "" for name in names]

    async def put(self, name: str, data: bytes, suffix: str) -> str:
        self.kept[name + suffix] = data
        return name + suffix


class Scissors:
    """A reader that can do nothing but cut."""

    def __init__(self, error: Exception | None = None) -> None:
        self.cut: list[tuple[Path, int, float, float]] = []
        self._error = error

    async def clip(self, path: Path, track: int, start_s: float, end_s: float) -> bytes:
        self.cut.append((path, track, start_s, end_s))
        if self._error is not None:
            raise self._error
        return b"RIFF"


class Alone:
    """Nobody else cuts."""

    def cutting(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


def score_of(sample: Sample, number: float = 0.9, start_s: float | None = None, end_s: float | None = None) -> Score:
    return Score(
        endpoint="toy",
        medium=sample.medium,
        start_s=sample.start_s if start_s is None else start_s,
        end_s=sample.end_s if end_s is None else end_s,
        category=Category.HATE,
        vendor_label="bad",
        score=number,
        sample_digest=sample.digest,
    )


def exhibits_in(shelf: Shelf | None, content: str = "c" * 64) -> Exhibits:
    return Evidence(shelf).of_file(content, POLICY)


async def attached(exhibits: Exhibits, scores: list[Score], scissors: Scissors, path: Path | None = FILE) -> list[str]:
    findings = [Finding(score, Action.FLAG) for score in scores]
    reader = cast("Reader", scissors)
    return [one.evidence for one in await exhibits.attach(findings, reader, Alone(), path)]


async def test_a_picture_is_kept_where_the_policy_objects_and_not_otherwise() -> None:
    shelf = Shelf()
    exhibits = exhibits_in(shelf)
    await exhibits.keep(PICTURE, [score_of(PICTURE)])
    await exhibits.keep(sample_of("fine"), [score_of(sample_of("fine"), 0.1)])
    await exhibits.keep(sample_of("unspoken"), [])
    assert shelf.kept == {f"{PICTURE.digest}.jpg": b"bad"}
    assert await attached(exhibits, [score_of(PICTURE)], Scissors()) == [f"{PICTURE.digest}.jpg"]


async def test_a_picture_known_from_an_earlier_run_is_found_again_without_its_bytes() -> None:
    shelf = Shelf()
    await exhibits_in(shelf).keep(PICTURE, [score_of(PICTURE)])
    later = exhibits_in(shelf)
    await later.keep(replace(PICTURE, data=None), [score_of(PICTURE)])
    assert await attached(later, [score_of(PICTURE)], Scissors(), None) == [f"{PICTURE.digest}.jpg"]


async def test_all_pictures_of_a_file_are_looked_for_at_once() -> None:
    shelf, pictures = Shelf(), [sample_of(f"bad {number}", number) for number in range(5)]
    exhibits = exhibits_in(shelf)
    for picture in pictures[:3]:
        await exhibits.keep(picture, [score_of(picture)])
    kept = await attached(exhibits, [score_of(picture) for picture in [*pictures, *pictures]], Scissors())
    assert kept == 2 * [*(f"{picture.digest}.jpg" for picture in pictures[:3]), "", ""]
    assert shelf.asked == 2, "once for pictures, once for clips"


async def test_words_are_cut_out_with_a_second_on_either_side_from_their_track() -> None:
    shelf, scissors, exhibits = Shelf(), Scissors(), exhibits_in(Shelf())
    exhibits = exhibits_in(shelf)
    await exhibits.keep(SOUND, [score_of(SOUND)])
    (kept,) = await attached(exhibits, [score_of(SOUND, start_s=0.5, end_s=2)], scissors)
    assert scissors.cut == [(FILE, 3, 0.0, 3.0)]
    assert shelf.kept == {kept: b"RIFF"}
    assert kept.endswith(".wav")


async def test_a_clip_is_cut_once_and_found_again_without_the_file() -> None:
    shelf, scissors = Shelf(), Scissors()
    names = []
    for path in (FILE, FILE, None):
        exhibits = exhibits_in(shelf)
        await exhibits.keep(SOUND, [score_of(SOUND)])
        names += await attached(exhibits, [score_of(SOUND)], scissors, path)
    assert len(scissors.cut) == 1
    assert len(set(names)) == 1
    other = exhibits_in(shelf, "d" * 64)
    await other.keep(SOUND, [score_of(SOUND)])
    assert await attached(other, [score_of(SOUND)], scissors, None) == [""]


async def test_a_finding_about_a_whole_long_chunk_has_no_clip() -> None:
    scissors, exhibits = Scissors(), exhibits_in(Shelf())
    await exhibits.keep(SOUND, [score_of(SOUND)])
    assert await attached(exhibits, [score_of(SOUND, start_s=0, end_s=30)], scissors) == [""]
    assert scissors.cut == []


async def test_a_clip_that_cannot_be_cut_leaves_its_finding() -> None:
    exhibits = exhibits_in(Shelf())
    await exhibits.keep(SOUND, [score_of(SOUND)])
    assert await attached(exhibits, [score_of(SOUND)], Scissors(MediaError(Reason.DAMAGED, "broken"))) == [""]


@pytest.mark.parametrize("pictures", [0, 30])
async def test_clips_per_file_are_bounded_and_pictures_do_not_use_them_up(pictures: int) -> None:
    scissors, exhibits = Scissors(), exhibits_in(Shelf())
    await exhibits.keep(SOUND, [score_of(SOUND)])
    scores = [score_of(PICTURE)] * pictures + [score_of(SOUND, start_s=at, end_s=at + 1) for at in range(50)]
    kept = await attached(exhibits, scores, scissors)
    assert len(scissors.cut) == 20
    assert [bool(name) for name in kept[pictures:]] == [True] * 20 + [False] * 30


async def test_without_a_store_nothing_is_kept_or_cut() -> None:
    scissors, exhibits = Scissors(), exhibits_in(None)
    await exhibits.keep(PICTURE, [score_of(PICTURE)])
    assert await attached(exhibits, [score_of(PICTURE), score_of(SOUND)], scissors) == ["", ""]
    assert scissors.cut == []
