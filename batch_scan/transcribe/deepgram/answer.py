"""Deepgram's answers to utterances. Pure, so that stored answers can be read again.

| the answer | is |
|---|---|
| `results.utterances` with words in it | its utterances |
| none, or fewer words, but `alternatives[0].words` | utterances of those, parted at pauses and where speakers change |
| neither, or fewer, but `alternatives[0].transcript` | one utterance as long as the chunk |
| a `transcript` without words in every channel | nothing was said |
| no `results.channels`, a channel without `transcript`, or a part of another shape | no answer: `EndpointError` |

Where they contradict each other, the one with the most letters counts: nothing that was written down goes unjudged.

Times are seconds of the sound that was sent; they are held inside the sample. A time that is missing or no number is
the sample's own start or end: an utterance is never dropped for it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.answer_json import parse_json
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Utterance
from batch_scan.transcribe.text import clean_words
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from batch_scan.model import Request, Sample

_LABEL_CHARS = 40
_ID_CHARS = 100
_MAX_DIGEST_CHARS = 200


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance, in seconds of the sound that was sent."""

    start_s: float | None
    end_s: float | None
    text: str
    speaker: str = ""
    confidence: float | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What an answer says."""

    said: tuple[Said, ...]
    sha256: str
    """Of the sound that it is about; empty where it does not say."""
    detected: frozenset[str]
    """Languages that the service says it found; empty where it was not asked, or does not say."""
    duration_s: float | None = None
    """How much sound the service says it worked on; None where it does not say."""


def parse_answer(raw: str, utt_split_s: float) -> Transcript:
    """Return what an answer says.

    Args:
        raw: the answer as JSON.
        utt_split_s: the pause that parts utterances where the answer does not part them itself.

    Raises EndpointError (`REFUSED`) where it is no transcript.
    """
    try:
        body = parse_json(raw)
    except ValueError:
        raise _unrecognised("it is not JSON") from None
    body = _object(body, "the answer")
    results = _object(body.get("results"), "results")
    channels = [_object(one, "a channel") for one in _list(results.get("channels"), "results.channels")]
    if not channels:
        raise _unrecognised("results.channels is empty")
    detected = frozenset(filter(None, (_label(channel.get("detected_language")) for channel in channels)))
    alternatives = [_first_alternative(channel) for channel in channels]
    parted = tuple(_utterances(results.get("utterances")))
    whole = tuple(one for alternative in alternatives for one in _from_alternative(alternative, utt_split_s))
    said = parted if parted and _letters(parted) >= _letters(whole) else whole
    return Transcript(said, sha256_of(body), detected, duration_of(body))


def duration_of(body: Any) -> float | None:
    """Return `metadata.duration` of an answer in seconds; None where it is missing or no length of time."""
    duration_s = _number(_metadata(body).get("duration"))
    return duration_s if duration_s is not None and duration_s >= 0.0 else None


def sha256_of(body: Any) -> str:
    """Return `metadata.sha256` of an answer, in lower case: which sound it is about. Empty where it does not say."""
    told = _metadata(body).get("sha256")
    return "" if told is None else str(told)[:_MAX_DIGEST_CHARS].lower()


def request_id_of(body: Any) -> str:
    """Return `metadata.request_id` of an answer, cleaned; empty where it does not say."""
    told = _metadata(body).get("request_id")
    return clean_text(told, _ID_CHARS) if isinstance(told, str) else ""


def _metadata(body: Any) -> Mapping[str, Any]:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def place(said: Said, request: Request, engine: str, language: str) -> Utterance:
    """Return an utterance in seconds of the file.

    Args:
        said: the utterance.
        request: whose one sample it was said in.
        engine: what `transcripts.engine` says.
        language: of everything that names none itself.
    """
    (sample,) = request.samples
    start_s = _inside(sample, said.start_s, sample.start_s)
    return Utterance(
        start_s=start_s,
        end_s=max(start_s, _inside(sample, said.end_s, sample.end_s)),
        text=said.text,
        speaker=said.speaker,
        confidence=said.confidence,
        language=said.language or language,
        engine=engine,
        request_id=request.request_id,
    )


def _inside(sample: Sample, at_s: float | None, otherwise_s: float) -> float:
    return otherwise_s if at_s is None else min(max(sample.start_s + at_s, sample.start_s), sample.end_s)


def _utterances(untrusted: Any) -> Iterator[Said]:
    for one in _list(untrusted, "results.utterances") if untrusted is not None else ():
        utterance = _object(one, "an utterance")
        words = _words(utterance)
        text, spoken = _text(utterance.get("transcript"), "an utterance's transcript"), _text_of(words)
        if not text or _letters_of(text) < _letters_of(spoken):
            text = spoken
        if text:
            yield Said(
                start_s=_number(utterance.get("start")),
                end_s=_number(utterance.get("end")),
                text=text,
                speaker=_label(utterance.get("speaker")),
                confidence=_confidence(utterance.get("confidence")),
                language=_language_of(words),
            )


def _first_alternative(channel: Mapping[str, Any]) -> Mapping[str, Any]:
    alternatives = _list(channel.get("alternatives"), "a channel's alternatives")
    if not alternatives:
        raise _unrecognised("a channel has no alternative")
    alternative = _object(alternatives[0], "an alternative")
    _text(alternative.get("transcript"), "an alternative's transcript")
    return alternative


def _from_alternative(alternative: Mapping[str, Any], utt_split_s: float) -> Iterator[Said]:
    spoken = [_joined(group) for group in _parted(_words(alternative), utt_split_s)]
    text = _text(alternative["transcript"], "an alternative's transcript")
    if text and (not spoken or _letters(spoken) < _letters_of(text)):
        yield Said(None, None, text, confidence=_confidence(alternative.get("confidence")))
    else:
        yield from spoken


def _letters(said: Iterable[Said]) -> int:
    return sum(_letters_of(one.text) for one in said)


def _letters_of(text: str) -> int:
    """Return how many letters and digits a text has: what is left where two ways to write it differ."""
    return sum(map(str.isalnum, text))


@dataclass(frozen=True, slots=True)
class _Word:
    start_s: float | None
    end_s: float | None
    text: str
    speaker: str
    confidence: float | None
    language: str


def _words(holder: Mapping[str, Any]) -> list[_Word]:
    untrusted = holder.get("words")
    found = [_word(_object(one, "a word")) for one in (_list(untrusted, "words") if untrusted is not None else ())]
    return [word for word in found if word.text]


def _word(word: Mapping[str, Any]) -> _Word:
    punctuated = word.get("punctuated_word")
    return _Word(
        start_s=_number(word.get("start")),
        end_s=_number(word.get("end")),
        text=_text(punctuated if isinstance(punctuated, str) else word.get("word"), "a word's text"),
        speaker=_label(word.get("speaker")),
        confidence=_confidence(word.get("confidence")),
        language=_label(word.get("language")),
    )


def _parted(words: Sequence[_Word], utt_split_s: float) -> Iterator[list[_Word]]:
    group: list[_Word] = []
    for word in words:
        if group and (word.speaker != group[-1].speaker or _pause_s(group[-1], word) >= utt_split_s):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _pause_s(before: _Word, after: _Word) -> float:
    return 0.0 if before.end_s is None or after.start_s is None else after.start_s - before.end_s


def _joined(words: Sequence[_Word]) -> Said:
    sure = [word.confidence for word in words if word.confidence is not None]
    return Said(
        start_s=words[0].start_s,
        end_s=words[-1].end_s,
        text=_text_of(words),
        speaker=words[0].speaker,
        confidence=math.fsum(sure) / len(sure) if sure else None,
        language=_language_of(words),
    )


def _text_of(words: Iterable[_Word]) -> str:
    return " ".join(word.text for word in words)


def _language_of(words: Iterable[_Word]) -> str:
    """Return the language of most words; empty where none names one."""
    named = Counter(word.language for word in words if word.language)
    return named.most_common(1)[0][0] if named else ""


def _object(untrusted: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(untrusted, dict):
        raise _unrecognised(f"{what} is {'missing' if untrusted is None else 'no object'}")
    return untrusted


def _list(untrusted: Any, what: str) -> list[Any]:
    if not isinstance(untrusted, list):
        raise _unrecognised(f"{what} is {'missing' if untrusted is None else 'no list'}")
    return untrusted


def _text(untrusted: Any, what: str) -> str:
    if not isinstance(untrusted, str):
        raise _unrecognised(f"{what} is {'missing' if untrusted is None else 'no text'}")
    return clean_words(untrusted)


def _label(untrusted: Any) -> str:
    """Return a speaker or a language; empty where there is none, or something else."""
    is_label = isinstance(untrusted, str | int) and not isinstance(untrusted, bool)
    return clean_text(str(untrusted)[: 2 * _LABEL_CHARS], _LABEL_CHARS) if is_label else ""


def _number(untrusted: Any) -> float | None:
    if isinstance(untrusted, bool) or not isinstance(untrusted, int | float):
        return None
    return float(untrusted)


def _confidence(untrusted: Any) -> float | None:
    number = _number(untrusted)
    return None if number is None else min(max(number, 0.0), 1.0)


def _unrecognised(why: str) -> EndpointError:
    return EndpointError(Failure.REFUSED, f"unrecognised answer: {why}", maybe_charged=True)
