"""What is asked of Deepgram, as it travels: the query of ``POST /v1/listen``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.transcribe.deepgram.config import DEFAULT_LANGUAGE, DeepgramConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "v1/listen"

Query = dict[str, str | list[str]]
"""Options by name; a list repeats its key."""

_SWITCHES = ("smart_format", "numerals", "measurements", "filler_words")
"""Off unless asked for, with the service as well as here."""


def answer_query(config: DeepgramConfig) -> Query:
    """Return the options that change what an answer says. Everything that is not off by itself is always named."""
    query: Query = {
        "model": config.model,
        "utterances": "true",
        "utt_split": f"{config.utt_split:g}",
        "punctuate": _switch(on=config.punctuate),
        **_language(config),
    }
    if config.version is not None:
        query["version"] = config.version
    if config.diarize_model is not None:
        query["diarize_model"] = config.diarize_model.value
    switches = {name: "true" for name in _SWITCHES if getattr(config, name)}
    return {**query, **switches, **_lists(keyterm=config.keyterm, keywords=config.keywords)}


def query_of(config: DeepgramConfig) -> Query:
    """Return the whole query of a request."""
    query: Query = {**answer_query(config), **_lists(tag=config.tag, extra=config.extra)}
    return {**query, "mip_opt_out": "true"} if config.mip_opt_out else query


def _language(config: DeepgramConfig) -> Query:
    if config.expected_languages:
        return {"detect_language": list(config.expected_languages)}
    if config.detect_language:
        return {"detect_language": "true"}
    return {"language": config.language or DEFAULT_LANGUAGE}


def _lists(**named: tuple[str, ...]) -> Mapping[str, list[str]]:
    return {name: list(values) for name, values in named.items() if values}


def _switch(*, on: bool) -> str:
    return "true" if on else "false"
