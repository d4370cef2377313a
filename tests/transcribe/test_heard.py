from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from batch_scan.model import RequestId
from batch_scan.transcribe.heard import Doubt, Heard, Segment, shortfall, utterances
from batch_scan.vocabulary import Reason


def _segment(start_s: float = 1.0, end_s: float = 2.0, confidence: float = 0.8, **other: Any) -> Segment:
    numbers = {"no_speech_prob": 0.1, "compression_ratio": 1.2, "text": "hello", "language": "en"} | other
    return Segment(start_s=start_s, end_s=end_s, avg_logprob=math.log(confidence), **numbers)


def _heard(*segments: Segment, stretches: tuple[tuple[float, float], ...] = ((0.0, 60.0),)) -> Heard:
    return Heard(engine="local:tiny.en", models={}, duration_s=60.0, stretches=stretches, segments=segments)


def test_an_answer_survives_being_written_and_read() -> None:
    heard = _heard(_segment(), _segment(3.0, 4.0, text="wörld"))
    assert Heard.model_validate_json(heard.model_dump_json()) == heard


@pytest.mark.parametrize("change", [{"text": None}, {"start_s": -1.0}, {"avg_logprob": "x"}, {"surplus": 1}])
def test_an_answer_of_another_form_is_no_answer(change: dict[str, Any]) -> None:
    good = _heard(_segment()).model_dump(mode="json")
    good["segments"][0] |= change
    with pytest.raises(ValidationError):
        Heard.model_validate(good)


def test_utterances_are_in_seconds_of_the_file_and_end_with_the_chunk() -> None:
    heard = _heard(_segment(1.0, 2.0), _segment(58.0, 61.0))
    one, two = utterances(heard, 600.0, 660.0, RequestId("r"))
    assert (one.start_s, one.end_s, two.start_s, two.end_s) == (601.0, 602.0, 658.0, 660.0)
    assert (one.text, one.engine, one.language, one.request_id) == ("hello", "local:tiny.en", "en", "r")
    assert one.confidence == pytest.approx(0.8)


def test_what_the_model_takes_for_noise_and_is_unsure_of_stays_in_the_answer_only() -> None:
    noise = _segment(confidence=0.2, no_speech_prob=0.8)
    assert noise.doubt is Doubt.NOT_SPEECH
    assert utterances(_heard(noise), 0.0, 60.0, RequestId("r")) == []


@pytest.mark.parametrize(("confidence", "no_speech_prob"), [(0.5, 0.9), (0.2, 0.3)])
def test_one_sign_of_noise_alone_takes_no_words_away(confidence: float, no_speech_prob: float) -> None:
    segment = _segment(confidence=confidence, no_speech_prob=no_speech_prob)
    assert len(utterances(_heard(segment), 0.0, 60.0, RequestId("r"))) == 1


def test_words_that_go_in_circles_are_still_heard() -> None:
    shouted = _segment(compression_ratio=9.0)
    assert shouted.doubt is Doubt.REPETITION
    assert len(utterances(_heard(shouted), 0.0, 60.0, RequestId("r"))) == 1


def test_english_is_no_shortfall() -> None:
    assert shortfall(_heard(_segment(0.0, 59.0, 0.56))) is None
    assert shortfall(_heard(_segment(0.0, 59.0, 0.92, compression_ratio=9.0))) is None


def test_speech_in_another_language_is_a_shortfall_with_its_seconds() -> None:
    short = shortfall(_heard(_segment(0.0, 8.0, 0.39), _segment(8.0, 12.5, 0.2), _segment(13.0, 59.0, 0.8)))
    assert short is not None
    assert short.reason is Reason.NOT_UNDERSTOOD
    assert "12.5 s of speech were not understood by local:tiny.en" in short.detail


def test_speech_of_which_nothing_was_written_down_is_a_shortfall() -> None:
    short = shortfall(_heard(_segment(1.0, 9.0), stretches=((0.0, 10.0), (20.0, 40.0))))
    assert short is not None
    assert short.detail.startswith("19.2 s")


def test_speech_of_which_next_to_nothing_was_written_down_is_a_shortfall() -> None:
    short = shortfall(_heard(_segment(1.0, 2.0, text="The"), stretches=((0.0, 20.8),)))
    assert short is not None
    assert short.detail.startswith("19.0 s")


def test_pauses_inside_a_stretch_are_no_shortfall() -> None:
    phrases = [_segment(at, at + 2.0) for at in range(0, 280, 3)]
    stretches = tuple((float(at), at + 28.0) for at in range(0, 280, 28))
    assert shortfall(_heard(*phrases, stretches=stretches)) is None


def test_a_lost_model_going_in_circles_is_a_shortfall() -> None:
    assert shortfall(_heard(_segment(0.0, 29.0, 0.48, compression_ratio=2.64))) is not None


def test_a_few_unclear_words_are_no_shortfall() -> None:
    assert shortfall(_heard(_segment(0.0, 4.9, 0.33), stretches=((0.0, 5.7),))) is None
    assert shortfall(_heard(_segment(0.0, 9.9, 0.33), _segment(10.0, 59.0), stretches=((0.0, 60.0),))) is None


@pytest.mark.parametrize("no_speech_prob", [0.1, 0.9])
def test_a_short_message_of_which_much_was_not_understood_is_a_shortfall(no_speech_prob: float) -> None:
    unclear = _segment(1.0, 10.0, 0.05, no_speech_prob=no_speech_prob)
    for heard in (
        _heard(unclear, stretches=((1.0, 10.0),)),
        _heard(unclear, _segment(11.0, 26.0), stretches=((1.0, 26.0),)),
    ):
        short = shortfall(heard)
        assert short is not None
        assert short.detail.startswith("9.0 s")


@pytest.mark.parametrize("segments", [(), (_segment(1.0, 3.5, 0.2, no_speech_prob=0.8),)])
def test_speech_of_which_no_utterance_is_left_is_a_shortfall_however_short(segments: tuple[Segment, ...]) -> None:
    assert shortfall(_heard(*segments, stretches=((0.0, 9.0),))) is not None
    assert shortfall(_heard(*segments, stretches=((0.6, 3.9),))) is not None
    assert shortfall(_heard(*segments, stretches=((1.0, 2.5),))) is None, "a click, a cough"
