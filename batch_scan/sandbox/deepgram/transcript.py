"""What was heard, in the shape of Deepgram's answers: words with times, utterances, metadata. Pure."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.sandbox.deepgram.options import Options
    from batch_scan.sandbox.judge import Heard

_CREATED = "2026-01-01T00:00:00.000Z"
_SPEAKER_CONFIDENCE = 0.75


def transcript_of(
    heard: Sequence[Heard], options: Options, *, sha256: str, duration_s: float, number: int, spoken: str
) -> dict[str, Any]:
    """Return the answer for a sound.

    Args:
        heard: what was said in it, in order.
        options: what was asked for.
        sha256: of the body or, where a URL was given, of what lies there.
        duration_s: how long the sound is.
        number: of the request; its id is made of it.
        spoken: the language that is said to be detected.
    """
    words = [_words(one, options) for one in heard]
    flat = [word for of_one in words for word in of_one]
    alternative = {
        "transcript": " ".join(_shown(word) for word in flat),
        "confidence": min((word["confidence"] for word in flat), default=0.0),
        "words": flat,
    }
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if options.detects_language:
        channel |= {"detected_language": spoken, "language_confidence": 0.98}
    results: dict[str, Any] = {"channels": [channel]}
    if options.utterances:
        results["utterances"] = [
            _utterance(group, options, f"{number}.{place}")
            for place, group in enumerate(group for of_one in words for group in _parted(of_one, options.utt_split_s))
        ]
    model_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, options.model))
    metadata: dict[str, Any] = {
        "transaction_key": "deprecated",
        "request_id": str(uuid.UUID(int=number, version=4)),
        "sha256": sha256,
        "created": _CREATED,
        "duration": round(duration_s, 6),
        "channels": 1,
        "models": [model_id],
        "model_info": {
            model_id: {"name": options.model, "version": "sandbox", "arch": options.model.partition("-")[0]}
        },
    }
    if options.tags:
        metadata["tags"] = list(options.tags)
    if options.extra:
        metadata["extra"] = dict(pair.split(":", 1) for pair in options.extra)
    return {"metadata": metadata, "results": results}


def _words(heard: Heard, options: Options) -> list[dict[str, Any]]:
    """Spread the words of a stretch over its seconds, each as long as its letters."""
    texts = heard.text.split()
    letters = sum(map(len, texts)) or 1
    words: list[dict[str, Any]] = []
    at_s = heard.start_s
    for text in texts:
        end_s = at_s + (heard.end_s - heard.start_s) * len(text) / letters
        word: dict[str, Any] = {
            "word": text.casefold(),
            "start": round(at_s, 3),
            "end": round(end_s, 3),
            "confidence": heard.confidence,
        }
        if options.punctuates:
            word["punctuated_word"] = text
        if options.diarizes:
            word |= {"speaker": heard.speaker, "speaker_confidence": _SPEAKER_CONFIDENCE}
        if options.language == "multi":
            word["language"] = "en"
        words.append(word)
        at_s = end_s
    return words


def _parted(words: list[dict[str, Any]], utt_split_s: float) -> list[list[dict[str, Any]]]:
    groups: list[list[dict[str, Any]]] = []
    for word in words:
        if groups and word["start"] - groups[-1][-1]["end"] < utt_split_s:
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _utterance(words: list[dict[str, Any]], options: Options, name: str) -> dict[str, Any]:
    utterance: dict[str, Any] = {
        "start": words[0]["start"],
        "end": words[-1]["end"],
        "confidence": sum(word["confidence"] for word in words) / len(words),
        "channel": 0,
        "transcript": " ".join(_shown(word) for word in words),
        "words": words,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
    }
    return utterance | {"speaker": words[0]["speaker"]} if options.diarizes else utterance


def _shown(word: dict[str, Any]) -> str:
    return str(word.get("punctuated_word", word["word"]))
