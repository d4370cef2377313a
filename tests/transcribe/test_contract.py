"""The embedded transcriber keeps what every transcriber keeps."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import pytest

from batch_scan.transcribe.config import LocalTranscriberConfig
from batch_scan.transcribe.heard import Heard, Segment
from batch_scan.transcribe.local import build
from tests.transcribe.contract import Spoken, TranscriberContract, TranscriberHarness
from tests.transcribe.spoken import chunk, cut, spoken

if TYPE_CHECKING:
    from batch_scan.model import Sample
    from batch_scan.transcribe.interface import Transcriber
    from batch_scan.vocabulary import Medium

_START_S = 100.0
_LENGTH_S = 9.0


def _segment(start_s: float, end_s: float, confidence: float = 0.9) -> Segment:
    return Segment(
        start_s=start_s,
        end_s=end_s,
        text="you fool",
        language="en",
        avg_logprob=log(confidence),
        no_speech_prob=0.1,
        compression_ratio=1.0,
    )


class LocalTranscriberHarness(TranscriberHarness):
    def transcriber(self) -> Transcriber:
        return build(LocalTranscriberConfig())

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        return chunk(cut(spoken("two_cities.mp3"), number, number + _LENGTH_S), _START_S)

    def raw(self, spoken: Spoken) -> str:
        segments = {
            Spoken.WORDS: (_segment(1.0, 2.0), _segment(3.0, 8.0)),
            Spoken.BEYOND: (_segment(50.0, 60.0),),
            Spoken.FOREIGN: (_segment(0.0, 8.0, confidence=0.2),),
        }.get(spoken, ())
        heard = Heard(
            engine="local:tiny.en",
            models={"tiny.en": "0" * 64},
            duration_s=_LENGTH_S,
            stretches=tuple((one.start_s, one.end_s) for one in segments),
            segments=segments,
        )
        return heard.model_dump_json(exclude={"segments"} if spoken is Spoken.NO_TRANSCRIPT else None)

    def tokens_charged(self) -> int:
        return 0


class TestContract(TranscriberContract):
    @pytest.fixture
    def harness(self) -> LocalTranscriberHarness:
        return LocalTranscriberHarness()
