"""The sandbox's own judge over what lies in sample_media."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch_scan.sandbox.engine_judge import NOTABLE, EngineJudge
from batch_scan.sandbox.judge import JudgeClosedError
from batch_scan.vocabulary import Category
from tests.corpus_media import make

_MEDIA = Path(__file__).parents[2] / "sample_media"


@pytest.fixture(scope="module")
def judge() -> EngineJudge:
    """Loads for seconds; says the same whoever else asks."""
    return EngineJudge()


def _picture(tmp_path: Path, name: str, at_s: float) -> bytes:
    shown = make(tmp_path / "shown.jpg", "-ss", str(at_s), "-i", str(_MEDIA / name), "-frames:v", "1", "-q:v", "3")
    return shown.read_bytes()


def test_a_weapon_is_held_against_a_picture_and_nothing_against_the_globe(judge: EngineJudge, tmp_path: Path) -> None:
    (opinion,) = judge.picture(_picture(tmp_path, "drawn_revolver.mp4", 6.0))
    assert opinion.category is Category.WEAPON
    assert NOTABLE <= opinion.score <= 1
    assert not judge.picture(_picture(tmp_path, "drawn_revolver.mp4", 1.0))
    assert not judge.picture(_picture(tmp_path, "earth_at_night.mp4", 10.0))


def test_swearing_is_heard_where_it_is_said_and_held_against_its_words(judge: EngineJudge) -> None:
    heard = judge.speech((_MEDIA / "spoken_insult.m4a").read_bytes())
    assert heard
    assert all(0 <= one.start_s <= one.end_s <= 8.0 and 0 < one.confidence <= 1 for one in heard)
    opinions = [opinion for one in heard for opinion in judge.words(one.text)]
    assert Category.PROFANITY in {opinion.category for opinion in opinions}
    spoken = " ".join(one.text for one in heard)
    assert all(opinion.text and opinion.text in spoken and opinion.score >= NOTABLE for opinion in opinions)


def test_harmless_speech_has_words_and_no_opinions(judge: EngineJudge) -> None:
    heard = judge.speech((_MEDIA / "debian.ogg").read_bytes())
    assert "operating system" in " ".join(one.text for one in heard).lower()
    assert not [opinion for one in heard for opinion in judge.words(one.text)]


def test_sound_without_speech_has_no_words(judge: EngineJudge, tmp_path: Path) -> None:
    tone = make(tmp_path / "tone.flac", "-f", "lavfi", "-i", "sine=f=300:d=3").read_bytes()
    assert not judge.speech(tone)


def test_what_can_be_neither_seen_nor_heard_is_a_value_error(judge: EngineJudge) -> None:
    for ask in (judge.picture, judge.speech):
        with pytest.raises(ValueError):
            ask(b"neither a picture nor a sound")


def test_many_threads_hear_and_see_the_same(judge: EngineJudge, tmp_path: Path) -> None:
    picture = _picture(tmp_path, "drawn_revolver.mp4", 6.0)
    sound = (_MEDIA / "debian.ogg").read_bytes()
    with ThreadPoolExecutor(9) as pool:
        seen = [pool.submit(judge.picture, picture) for _ in range(3)]
        read = [pool.submit(judge.words, "you fucking idiot") for _ in range(3)]
        said = [pool.submit(judge.speech, sound) for _ in range(3)]
    for asked in (seen, read, said):
        first, *others = [future.result() for future in asked]
        assert first
        assert all(other == first for other in others)


def test_closing_ends_whoever_still_waits_for_words() -> None:
    judge = EngineJudge()
    judge.close()
    with pytest.raises(JudgeClosedError, match="closed"):
        judge.speech((_MEDIA / "debian.ogg").read_bytes())


def test_closing_ends_what_is_being_heard_before_its_end(tmp_path: Path) -> None:
    judge = EngineJudge()
    story = str(_MEDIA / "two_cities.mp3")
    long = make(tmp_path / "long.mp3", "-stream_loop", "9", "-i", story, "-c", "copy").read_bytes()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            judge.speech(long)
        except JudgeClosedError as error:
            failures.append(error)

    judge.load()
    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive() and not judge.is_listening:
        thread.join(0.01)
    judge.close()
    thread.join(20)
    assert not thread.is_alive()
    assert [str(failure) for failure in failures] == ["the judge was closed"]
