"""The judge that the other tests' truth hangs on."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import simplejpeg

from batch_scan.sandbox.judge import Opinion
from batch_scan.vocabulary import Category
from tests.sandbox.judges import Blue, Red
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.sandbox.judge import Judge

_HELD = Opinion(Category.VIOLENCE, 0.9)
_SWORN = Opinion(Category.PROFANITY, 0.7, "damn")


def _jpeg(red: int, green: int, blue: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.full((32, 32, 3), (red, green, blue), np.uint8)))


def _mp3(parts: Sequence[tuple[float, float]]) -> bytes:
    """Return parts of (pitch in Hz or 0, seconds) as MP3."""
    sound = np.concatenate(
        [0.5 * np.sin(2 * np.pi * hz * np.arange(int(16_000 * seconds)) / 16_000) for hz, seconds in parts]
    )
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[np.newaxis], format="s16p", layout="mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(stream.format, "mono", 16_000, frame_size=stream.codec_context.frame_size)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def test_a_picture_is_judged_by_its_dominant_colour() -> None:
    judge: Judge = ScriptedJudge(pictures={Red: [_HELD]})
    assert list(judge.picture(_jpeg(250, 10, 10))) == [_HELD]
    assert not judge.picture(_jpeg(10, 10, 250))
    assert not judge.picture(_jpeg(128, 128, 128))


def test_no_picture_is_told_from_a_clean_one() -> None:
    with pytest.raises(ValueError):
        ScriptedJudge(pictures={Blue: [_HELD]}).picture(b"no picture")


def test_words_are_judged_by_what_stands_in_them_whatever_the_case() -> None:
    judge = ScriptedJudge(words={"damn": [_SWORN], "knife": [_HELD]})
    assert list(judge.words("Damn that knife")) == [_SWORN, _HELD]
    assert list(judge.words("good day")) == []


def test_words_are_heard_where_their_tone_sounds() -> None:
    judge = ScriptedJudge(tones={440.0: "well damn", 1000.0: "hello"})
    heard = judge.speech(_mp3([(0, 1.0), (440, 2.0), (0, 1.0), (1000, 1.0), (0, 1.0), (440, 1.0), (700, 1.0)]))
    assert [one.text for one in heard] == ["well damn", "hello", "well damn"]
    for one, (start_s, end_s) in zip(heard, [(1, 3), (4, 5), (6, 7)], strict=True):
        assert one.start_s == pytest.approx(start_s, abs=0.15)
        assert one.end_s == pytest.approx(end_s, abs=0.15)


def test_no_sound_is_told_from_silence() -> None:
    judge = ScriptedJudge(tones={440.0: "well damn"})
    assert list(judge.speech(_mp3([(0, 2.0)]))) == []
    with pytest.raises(ValueError):
        judge.speech(b"no sound at all")


def test_it_notes_what_it_was_asked_from_many_threads_and_fails_where_it_was_told_to() -> None:
    judge = ScriptedJudge()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(judge.words, map(str, range(200))))
    assert sorted(map(int, judge.words_seen)) == list(range(200))
    judge.failures.append(ValueError("told to"))
    with pytest.raises(ValueError, match="told to"):
        judge.words("x")
    assert not judge.words("x")
