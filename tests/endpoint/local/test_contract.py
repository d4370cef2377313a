"""The embedded engine keeps what every endpoint keeps; what it does in its own way stands here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.endpoint import build
from batch_scan.errors import EndpointError, Failure
from batch_scan.vocabulary import Medium
from tests.endpoint.contract import EndpointContract, Harness, Told
from tests.endpoint.local.drawn import frame, jpeg, target, utterance

if TYPE_CHECKING:
    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.model import Sample


class LocalHarness(Harness):
    names_requests = False

    def endpoint(self) -> Endpoint:
        return build(LocalConfig())

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        if medium is Medium.FRAME:
            return frame(jpeg(target(200 + number, 300)), 5.0 * number)
        return utterance(f"sentence number {number}", 5.0 * number)

    def raw(self, told: Told, medium: Medium) -> str:
        value = {Told.CLEAN: 0.0, Told.UNCLEAN: 0.9, Told.UNKNOWN_LABEL: 0.9, Told.UNKNOWN_WORD: "High"}.get(told)
        unknown = told is Told.UNKNOWN_LABEL
        if medium is Medium.FRAME:
            return json.dumps(
                {"models": {}, "frames": [{self.unknown_label if unknown else "sexual": {"nsfw": value}}]}
            )
        category = self.unknown_label if unknown else "profanity"
        score = {"category": category, "label": "profanity", "score": value, "model": "profanity", "term": "word"}
        return json.dumps({"settings": {}, "utterances": [{"text": "a word", "scores": [score]}]})

    def tokens_charged(self) -> int:
        return 0


class TestLocalContract(EndpointContract):
    @pytest.fixture
    def harness(self) -> LocalHarness:
        return LocalHarness()

    def test_an_unclean_answer_has_an_unclean_score(self, harness: Harness) -> None:
        """Its models give numbers and call nothing unclean: what counts is the policy's matter."""
        for medium in harness.media():
            scores = harness.read(Told.UNCLEAN, medium)
            assert [(score.score, score.unclean) for score in scores] == [(0.9, False)]

    def test_an_unknown_label_is_other_and_keeps_its_name(self, harness: Harness) -> None:
        """It writes its answers itself: one with a label of which it never heard is damaged, and no answer."""
        self._assert_refused(harness, Told.UNKNOWN_LABEL)

    def test_an_unknown_word_is_never_clean(self, harness: Harness) -> None:
        """Where a number should be, a word is damage too."""
        self._assert_refused(harness, Told.UNKNOWN_WORD)

    def _assert_refused(self, harness: Harness, told: Told) -> None:
        for medium in harness.media():
            with pytest.raises(EndpointError) as caught:
                harness.read(told, medium)
            assert caught.value.failure is Failure.REFUSED
