from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Request, RequestId, Utterance
from batch_scan.transcribe.deepgram.answer import duration_of, parse_answer, place, request_id_of, sha256_of
from tests.endpoint.contract import check_reading
from tests.transcribe.deepgram.made import START_S, answer, sample_of, utterance, word

SPLIT_S = 0.8


def read(body: Any, length_s: float = 60.0) -> list[Utterance]:
    sample = replace(sample_of(), end_s=START_S + length_s)
    request = Request(RequestId("r"), "d", "listen", (sample,), 61)
    return [place(one, request, "deepgram:nova-3", "en") for one in parse_answer(json.dumps(body), SPLIT_S).said]


def texts(body: Any) -> list[str]:
    return [one.text for one in read(body)]


def without_utterances(body: dict[str, Any]) -> dict[str, Any]:
    del body["results"]["utterances"]
    return body


def test_utterances_are_taken_as_they_come() -> None:
    hello = utterance([word("Hello,", 1.0, 1.5), word("you.", 1.6, 2.0)], confidence=0.75, speaker=3)
    (said,) = read(answer(hello))
    expected = Utterance(
        START_S + 1.0, START_S + 2.0, "Hello, you.", "3", 0.75, "en", "deepgram:nova-3", RequestId("r")
    )
    assert said == expected


def test_words_make_utterances_where_the_answer_makes_none() -> None:
    words = [
        word("one", 1.0, 1.2, speaker=0, confidence=0.5),
        word("two", 1.3, 1.5, speaker=0, confidence=1.0),
        word("three", 1.6, 1.8, speaker=1),
        word("four", 2.6, 2.8, speaker=1),
    ]
    for body in (without_utterances(answer(utterance(words))), answer(utterance(words))):
        if "utterances" in body["results"]:
            body["results"]["utterances"] = []
        said = read(body)
        assert [(one.text, one.speaker) for one in said] == [("one two", "0"), ("three", "1"), ("four", "1")]
        assert (said[0].start_s, said[0].end_s, said[0].confidence) == (START_S + 1.0, START_S + 1.5, 0.75)


def test_a_bare_transcript_spans_the_chunk() -> None:
    body = without_utterances(answer(utterance([word("fool", 1.0, 2.0)])))
    del body["results"]["channels"][0]["alternatives"][0]["words"]
    (said,) = read(body)
    assert (said.text, said.start_s, said.end_s, said.confidence) == ("fool", START_S, START_S + 60.0, 0.9)


@pytest.mark.parametrize("where", ["utterances", "utterance words", "words", "transcript", "another channel"])
def test_words_that_stand_in_one_part_of_the_answer_alone_are_said(where: str) -> None:
    hello = utterance([word("hello", 1.0, 1.2)])
    threat = word("I'll kill you", 5.0, 6.0)
    body = answer(hello)
    alternative = body["results"]["channels"][0]["alternatives"][0]
    match where:
        case "utterances":
            body["results"]["utterances"].append(utterance([threat]))
        case "utterance words":
            body["results"]["utterances"].append(utterance([threat], transcript=""))
        case "words":
            alternative["words"] = [*alternative["words"], threat]
        case "transcript":
            alternative["transcript"] += " I'll kill you"
        case _:
            body["results"]["channels"] += answer(utterance([threat]))["results"]["channels"]
    assert " ".join(texts(body)) == "hello I'll kill you"


def test_signs_alone_are_words_too() -> None:
    stars = answer(utterance([word("***", 1.0, 2.0)], transcript=""))
    assert texts(stars) == ["***"]
    stars["results"]["utterances"] = []
    assert texts(stars) == ["***"]


def test_words_without_punctuation_are_words() -> None:
    body = without_utterances(answer(utterance([word("you", 1.0, 1.2), word("fool", 1.2, 1.4)])))
    for one in body["results"]["channels"][0]["alternatives"][0]["words"]:
        del one["punctuated_word"]
    assert texts(body) == ["you fool"]


def test_every_channel_is_read() -> None:
    body = without_utterances(answer(utterance([word("left", 1.0, 1.2)])))
    body["results"]["channels"] += without_utterances(answer(utterance([word("right", 1.0, 1.2)])))["results"][
        "channels"
    ]
    assert texts(body) == ["left", "right"]


def test_nothing_said_is_no_utterance() -> None:
    assert read(answer()) == []
    silent = answer()
    silent["results"]["channels"][0]["alternatives"][0] = {"transcript": "", "words": [], "confidence": 0.0}
    assert read(silent) == []
    del silent["results"]["utterances"]
    assert read(silent) == []


@pytest.mark.parametrize(
    ("place_of", "value"),
    [
        (("results",), None),
        (("results",), []),
        (("results", "channels"), None),
        (("results", "channels"), []),
        (("results", "channels"), {}),
        (("results", "channels", 0), "fool"),
        (("results", "channels", 0, "alternatives"), None),
        (("results", "channels", 0, "alternatives"), []),
        (("results", "channels", 0, "alternatives", 0), None),
        (("results", "channels", 0, "alternatives", 0, "transcript"), None),
        (("results", "channels", 0, "alternatives", 0, "transcript"), 7),
        (("results", "utterances"), "fool"),
        (("results", "utterances", 0), "fool"),
        (("results", "utterances", 0, "transcript"), None),
        (("results", "utterances", 0, "words"), {"word": "fool"}),
    ],
)
def test_what_may_hide_words_is_no_answer(place_of: tuple[Any, ...], value: Any) -> None:
    body = answer(utterance([word("fool", 1.0, 2.0)]))
    holder: Any = body
    for key in place_of[:-1]:
        holder = holder[key]
    holder[place_of[-1]] = value
    with pytest.raises(EndpointError, match="unrecognised answer") as caught:
        read(body)
    assert caught.value.failure is Failure.REFUSED
    assert caught.value.maybe_charged


def test_the_answer_to_a_request_with_a_callback_is_no_answer() -> None:
    with pytest.raises(EndpointError, match="results is missing"):
        read({"request_id": "r-1"})


@pytest.mark.parametrize("time", [None, "1.0", True, []])
def test_a_time_that_is_none_is_the_samples_own(time: Any) -> None:
    body = answer(utterance([word("fool", 1.0, 2.0)], start=time, end=time))
    (said,) = read(body)
    assert (said.start_s, said.end_s) == (START_S, START_S + 60.0)


def test_what_was_said_is_kept_whole_and_on_one_line() -> None:
    long = "fool " * 5000
    hostile = "a\x1b[31m\u202e\nb mi\u200cravam"
    said = texts(
        answer(utterance([word("x", 1, 2)], transcript=long), utterance([word("x", 1, 2)], transcript=hostile))
    )
    assert said[0] == long.strip()
    assert said[1] == "a\ufffd[31m\ufffd b miravam"


def test_the_language_is_that_of_most_words() -> None:
    words = [word("hola", 1.0, 1.2, language="es"), word("amigo", 1.2, 1.4, language="es"), word("yo", 1.5, 1.6)]
    assert [one.language for one in read(answer(utterance(words)))] == ["es"]


def test_metadata_is_read_without_trust() -> None:
    wrong = {"duration": "9", "sha256": None, "request_id": 4}
    bodies: list[Any] = [None, [], {}, {"metadata": None}, {"metadata": wrong}]
    for body in bodies:
        assert (duration_of(body), sha256_of(body), request_id_of(body)) == (None, "", "")
    told = {"metadata": {"duration": 9.5, "sha256": "AB", "request_id": "r\n1"}}
    assert (duration_of(told), sha256_of(told), request_id_of(told)) == (9.5, "ab", "r 1")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-10, 100), st.floats(-10, 100), st.text(max_size=8), st.integers(0, 2)),
        max_size=12,
    )
)
def test_no_word_is_lost_and_none_leaves_its_sample(heard: list[tuple[float, float, str, int]]) -> None:
    words = [word(text, start_s, end_s, speaker=speaker) for start_s, end_s, text, speaker in heard]
    body: dict[str, Any] = answer()
    body["results"]["channels"][0]["alternatives"][0]["words"] = words
    as_one = copy.deepcopy(body)
    said = read(body, length_s=30.0)
    for one in said:
        check_reading(one, replace(sample_of(), end_s=START_S + 30.0))
    together = "".join(one.text for one in said).split()
    assert "".join(together) == "".join("".join(texts_of(as_one)).split())


def texts_of(body: dict[str, Any]) -> list[str]:
    """Return the cleaned words themselves, each in an utterance of its own."""
    words = body["results"]["channels"][0]["alternatives"][0]["words"]
    alone = [utterance([one], transcript=one["word"]) for one in words]
    return texts(answer(*alone)) if alone else []
