from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.local.answers import read_scores, write_frames, write_utterances
from batch_scan.endpoint.local.text import TextScore
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer
from batch_scan.vocabulary import Category
from tests.endpoint.local.drawn import frame, request, utterance

_SEEN = {
    "sexual": {"nsfw": 0.1},
    "safety": {"NSFL": 0.2, "NSFW": 0.3, "SFW": 0.5},
    "weapon": {"assault rifle": 0.25, "revolver": 0.5, "rifle": 0.125},
}


def test_every_model_gives_each_frame_its_scores_the_harmless_ones_too() -> None:
    asked = request(frame(b"a", 1.5), frame(b"b", 6.0))
    scores = read_scores(asked, Answer(write_frames({}, [_SEEN, _SEEN]), 0))
    assert [(score.start_s, score.category, score.vendor_label, score.score) for score in scores[:4]] == [
        (1.5, Category.SEXUAL, "porn", 0.1),
        (1.5, Category.SEXUAL, "nsfw", 0.3),
        (1.5, Category.VIOLENCE, "gore", 0.2),
        (1.5, Category.WEAPON, "assault rifle + revolver + rifle", 0.875),
    ]
    assert [score.sample_digest for score in scores[::4]] == [sample.digest for sample in asked.samples]
    assert {score.request_id for score in scores} == {asked.request_id}


def test_words_are_given_with_what_was_said_and_the_term_it_is_about() -> None:
    asked = request(utterance("oh damn", 2.0), utterance("good morning", 4.0))
    said = [[TextScore(Category.PROFANITY, "safetype:damn", 0.4, "safetype", "damn")], []]
    (score,) = read_scores(asked, Answer(write_utterances({}, ["oh damn", "good morning"], said), 0))
    assert (score.start_s, score.end_s, score.category, score.score) == (2.0, 4.0, Category.PROFANITY, 0.4)
    assert (score.vendor_label, score.text, score.context) == ("safetype:damn", "oh damn", "damn")


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_scores_stay_between_nothing_and_certainty(values: list[float]) -> None:
    arms = dict(zip(("assault rifle", "revolver", "rifle"), values, strict=True))
    (score,) = read_scores(request(frame(b"a")), Answer(write_frames({}, [{"weapon": arms}]), 0))
    assert 0.0 <= score.score <= 1.0
    assert score.score == pytest.approx(min(sum(values), 1.0), abs=2e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_gives_no_number_gives_no_answer(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_frames({}, [{"sexual": {"nsfw": value}}])


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "null",
        json.dumps({"utterances": []}),
        json.dumps({"frames": []}),
        json.dumps({"frames": [_SEEN, _SEEN]}),
        json.dumps({"frames": [{}]}),
        json.dumps({"frames": [None]}),
        json.dumps({"frames": [{"weapon": {"revolver": 0.1}}]}),
        json.dumps({"frames": [{"nudity": {"nsfw": 0.1}}]}),
        json.dumps({"frames": [{"sexual": {"nsfw": None}}]}),
        json.dumps({"frames": [{"sexual": {"nsfw": math.nan}}]}),
    ],
)
def test_an_answer_that_does_not_say_everything_of_every_frame_is_refused(raw: str) -> None:
    with pytest.raises(EndpointError) as caught:
        read_scores(request(frame(b"a")), Answer(raw, 0))
    assert caught.value.failure is Failure.REFUSED


@pytest.mark.parametrize("entry", [{}, {"text": "a"}, {"text": "a", "scores": [{"category": "rude"}]}, {"scores": []}])
def test_an_answer_that_does_not_say_everything_of_every_utterance_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(EndpointError) as caught:
        read_scores(request(utterance("a")), Answer(json.dumps({"utterances": [entry]}), 0))
    assert caught.value.failure is Failure.REFUSED
