"""What the embedded transcriber keeps of a chunk: the answer's form, and the utterances in it. Pure.

Times are seconds of the chunk, so that an answer is good for every file that holds the same sound; `utterances` adds
where the chunk lies in the file at hand.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from batch_scan.model import Shortfall, Utterance
from batch_scan.transcribe.text import clean_words
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from batch_scan.model import RequestId


class Doubt(StrEnum):
    """Why a segment may not be what was said. The thresholds are Whisper's own (openai/whisper, `transcribe.py`)."""

    NONE = ""
    NOT_SPEECH = "not_speech"
    """The model took the sound for no speech and was unsure of its words: kept, but no utterance is made of it."""
    REPETITION = "repetition"
    """The words go in circles: Whisper's when it is lost, people's when they shout. An utterance all the same."""


_NO_SPEECH_PROB = 0.6
_AVG_LOGPROB = -1.0
_COMPRESSION_RATIO = 2.4
_UNDERSTOOD = 0.5
"""Mean token probability below which tiny.en is guessing. Measured on messages of 5 s and more: English 0.56 to 0.88,
under pink noise as loud as the voice 0.58 to 0.75; Spanish and French up to 0.5 (docs/endpoints/local.md)."""
_UNDERSTOOD_REPETITION = 0.7
"""The same for words in circles. Measured: a sentence truly said 20 times 0.92, speech played backwards 0.48."""
_UNCLEAR_S = 10.0
"""So much that was not understood is a shortfall, whatever else was."""
_UNCLEAR_SHORT_S = 5.0
"""Less than this says too little: short sentences with a strong accent, rightly heard, of up to 4.3 s came at 0.33 to
0.42."""
_UNCLEAR_SHARE = 0.3
"""Between the two it is a shortfall where it is this part of the speech."""
_WRITTEN_SHARE = 0.5
"""Where less of a stretch was written down, the rest was dropped. Of speech in other languages Whisper may write "The"
for 20 s; of English, pauses alone come to a third of a stretch at most."""
_NOTHING_S = 2.0
"""So much speech without a single utterance is a shortfall, however short: nobody knows what was said."""
_PADDING_S = 0.8
"""What the voice detector adds to a stretch, both sides together."""


class Segment(BaseModel):
    """Words said in one go, as the model heard them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    text: str
    language: str
    avg_logprob: float
    """Mean log probability of the tokens of the decoding pass that the segment came out of."""
    no_speech_prob: float
    compression_ratio: float
    """Length of the pass's text over its zlib-compressed length."""

    @property
    def doubt(self) -> Doubt:
        """Judged of the three numbers, so that stored answers follow a later, better rule."""
        if self.no_speech_prob > _NO_SPEECH_PROB and self.avg_logprob < _AVG_LOGPROB:
            return Doubt.NOT_SPEECH
        return Doubt.REPETITION if is_repetitive(self.compression_ratio) else Doubt.NONE

    @property
    def confidence(self) -> float:
        """The pass's mean token probability, from 0 to 1."""
        return min(math.exp(self.avg_logprob), 1.0)

    @property
    def is_understood(self) -> bool:
        """Whether the words can be taken for what was said."""
        least = _UNDERSTOOD_REPETITION if is_repetitive(self.compression_ratio) else _UNDERSTOOD
        return self.confidence >= least


class Heard(BaseModel):
    """The answer for one chunk of sound."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    engine: str
    """What `transcripts.engine` says, such as ``local:tiny.en``."""
    models: dict[str, str]
    """Name of each model file that had a part in it -> SHA-256."""
    duration_s: float
    stretches: tuple[tuple[float, float], ...]
    """Where the voice detector heard somebody; everything else was examined and held no speech."""
    segments: tuple[Segment, ...]
    """Everything the model said, the doubtful too."""


def is_repetitive(compression_ratio: float) -> bool:
    """Return whether a text compresses better than speech does."""
    return compression_ratio > _COMPRESSION_RATIO


def shortfall(heard: Heard) -> Shortfall | None:
    """Return what was said but not understood; None where it is too little to tell (`_UNCLEAR_SHORT_S`)."""
    unclear_s = sum(one.end_s - one.start_s for one in heard.segments if not one.is_understood)
    unclear_s += sum(_dropped_s(heard, *stretch) for stretch in heard.stretches)
    said_s = sum(_length_s(*stretch) for stretch in heard.stretches)
    if unclear_s < unclear_bound_s(said_s) and (said_s < _NOTHING_S or any(map(_is_said, heard.segments))):
        return None
    return Shortfall(
        Reason.NOT_UNDERSTOOD,
        f"{unclear_s:.1f} s of speech were not understood by {clean_text(heard.engine)}: another language, or too much "
        "noise; set model in [transcribe.local] to one that knows the language, or use another transcriber",
    )


def unclear_bound_s(said_s: float) -> float:
    """Return from how many seconds on what was not understood is a shortfall, given how much was said at all."""
    return min(_UNCLEAR_S, max(_UNCLEAR_SHORT_S, _UNCLEAR_SHARE * said_s))


def _length_s(start_s: float, end_s: float) -> float:
    """Return how long somebody speaks in a stretch, without what the voice detector added."""
    return max(end_s - start_s - _PADDING_S, 0.0)


def _is_said(segment: Segment) -> bool:
    return segment.doubt is not Doubt.NOT_SPEECH


def _dropped_s(heard: Heard, start_s: float, end_s: float) -> float:
    """Return for how long somebody speaks in a stretch without a word of it being written down."""
    length_s = _length_s(start_s, end_s)
    written_s = sum(max(min(one.end_s, end_s) - max(one.start_s, start_s), 0.0) for one in heard.segments)
    return length_s - written_s if written_s < _WRITTEN_SHARE * length_s else 0.0


def utterances(heard: Heard, start_s: float, end_s: float, request_id: RequestId) -> list[Utterance]:
    """Return what was said, in seconds of the file.

    Args:
        heard: the answer.
        start_s: where the chunk starts in the file, seconds.
        end_s: where it ends; no utterance reaches beyond.
        request_id: the request that brought the answer.
    """
    return [
        Utterance(
            start_s=min(start_s + segment.start_s, end_s),
            end_s=min(start_s + max(segment.start_s, segment.end_s), end_s),
            text=clean_words(segment.text),
            confidence=segment.confidence,
            language=clean_text(segment.language),
            engine=clean_text(heard.engine),
            request_id=request_id,
        )
        for segment in filter(_is_said, heard.segments)
    ]
