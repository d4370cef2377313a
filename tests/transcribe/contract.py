"""What every transcriber keeps, beside what every service keeps (`tests/endpoint/contract.py`).

| an answer that | is |
|---|---|
| holds words | utterances inside the sample, in order, of this request |
| holds none | no utterance, and no shortfall: nothing was said |
| has times outside the sample | utterances all the same, held inside it |
| is in another language than was asked for | a shortfall (`not_understood`), beside whatever was heard |
| holds no transcript, or is no answer at all | `REFUSED` on reading |
"""

from __future__ import annotations

import dataclasses

import pytest

from batch_scan.errors import EndpointError, Failure
from batch_scan.vocabulary import Reason
from tests.endpoint.contract import HttpServiceContract, ServiceContract, check_reading
from tests.endpoint.harness import HttpTranscriberHarness, Spoken, TranscriberHarness

__all__ = ["HttpTranscriberContract", "HttpTranscriberHarness", "Spoken", "TranscriberContract", "TranscriberHarness"]

_LATER_S = 1000.0


class TranscriberContract(ServiceContract):
    """See the module."""

    @pytest.fixture
    def harness(self) -> TranscriberHarness:
        """Return the transcriber under test; every derived class gives its own."""
        raise AssertionError("a contract is tested with a harness")

    def test_words_are_utterances_of_their_sample_and_request(self, harness: TranscriberHarness) -> None:
        transcriber, request, answer = harness.asked(Spoken.WORDS)
        said = transcriber.read(request, answer)
        assert len(said) == 2
        assert said[0].end_s <= said[1].start_s
        for one in said:
            check_reading(one, request.samples[0])
            assert one.text
            assert (one.engine.partition(":")[0], one.request_id) == (transcriber.name, request.request_id)
        assert transcriber.shortfall(request, answer) is None

    def test_the_same_sound_later_in_a_file_was_said_later(self, harness: TranscriberHarness) -> None:
        transcriber, request, answer = harness.asked(Spoken.WORDS)
        (sample,) = request.samples
        moved = dataclasses.replace(sample, start_s=sample.start_s + _LATER_S, end_s=sample.end_s + _LATER_S)
        later = transcriber.read(dataclasses.replace(request, samples=(moved,)), answer)
        expected = [one.start_s + _LATER_S for one in transcriber.read(request, answer)]
        assert [one.start_s for one in later] == pytest.approx(expected)

    def test_silence_is_no_utterance_and_no_shortfall(self, harness: TranscriberHarness) -> None:
        transcriber, request, answer = harness.asked(Spoken.NOTHING)
        assert transcriber.read(request, answer) == []
        assert transcriber.shortfall(request, answer) is None

    def test_words_beyond_their_sample_are_held_inside_it(self, harness: TranscriberHarness) -> None:
        said = harness.read(Spoken.BEYOND)
        _, request, _ = harness.asked(Spoken.BEYOND)
        assert said
        for one in said:
            check_reading(one, request.samples[0])

    def test_another_language_is_a_shortfall(self, harness: TranscriberHarness) -> None:
        if not harness.tells_language:
            pytest.skip("its answers name no language")
        transcriber, request, answer = harness.asked(Spoken.FOREIGN)
        shortfall = transcriber.shortfall(request, answer)
        assert shortfall is not None
        assert shortfall.reason is Reason.NOT_UNDERSTOOD
        assert transcriber.read(request, answer), "what was heard is kept beside it"

    def test_an_answer_without_a_transcript_is_no_answer(self, harness: TranscriberHarness) -> None:
        transcriber, request, answer = harness.asked(Spoken.NO_TRANSCRIPT)
        for read in (transcriber.read, transcriber.shortfall):
            with pytest.raises(EndpointError) as caught:
                read(request, answer)
            assert caught.value.failure is Failure.REFUSED


class HttpTranscriberContract(TranscriberContract, HttpServiceContract):
    """See the module."""

    @pytest.fixture
    def harness(self) -> HttpTranscriberHarness:
        raise AssertionError("a contract is tested with a harness")
