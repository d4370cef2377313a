"""The query of ``POST /v1/listen`` as Deepgram's OpenAPI description states it: names, types, which model takes what.

Written apart from the adapter's own tables, so that the two check each other.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.sandbox.deepgram.errors import No, demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_MODEL = "base-general"
MODELS = re.compile(
    r"(?:nova-3|nova-2|nova|enhanced|base)(?:-(?:general|meeting|phonecall|voicemail|finance|conversationalai|video|"
    r"medical|drivethru|automotive|atc))?|whisper(?:-(?:tiny|base|small|medium|large))?"
)

_SWITCHES = frozenset(
    {
        "punctuate",
        "smart_format",
        "utterances",
        "paragraphs",
        "diarize",
        "multichannel",
        "filler_words",
        "numerals",
        "measurements",
        "dictation",
        "mip_opt_out",
    }
)
_WORDS = frozenset({"model", "version", "language"})
_LISTS = frozenset({"keywords", "keyterm", "tag", "extra", "detect_language"})
_NOT_SERVED = frozenset(
    {
        "profanity_filter",
        "redact",
        "replace",
        "search",
        "detect_entities",
        "sentiment",
        "topics",
        "custom_topic",
        "custom_topic_mode",
        "intents",
        "custom_intent",
        "custom_intent_mode",
        "summarize",
        "encoding",
        "callback",
        "callback_method",
    }
)
"""Options that the service has and this server does not: it says so instead of pretending."""
_DIARIZERS = {"latest", "v1", "v2"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Options:
    """What a request asks for."""

    model: str = DEFAULT_MODEL
    language: str = "en"
    detects_language: bool = False
    utterances: bool = False
    utt_split_s: float = 0.8
    punctuates: bool = False
    diarizes: bool = False
    tags: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


def parse_options(pairs: Iterable[tuple[str, str]]) -> tuple[Options, dict[str, str | list[str]]]:
    """Return what a query asks for, and the query with repeated keys as lists. Raises No (400)."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        _check(name, values)
    model = given.get("model", [DEFAULT_MODEL])[0]
    demand(MODELS.fullmatch(model), 400, "Bad Request: No such model/language/tier combination found.")
    is_nova_3 = model.startswith("nova-3")
    demand("keyterm" not in given or is_nova_3, 400, "Bad Request: keyterm is only available for nova-3")
    demand("keywords" not in given or not is_nova_3, 400, "Bad Request: keywords is not available for nova-3")
    options = Options(
        model=model,
        language=given.get("language", ["en"])[0],
        detects_language=given.get("detect_language", ["false"]) != ["false"],
        utterances=_is_on(given, "utterances"),
        utt_split_s=float(given.get("utt_split", ["0.8"])[0]),
        punctuates=_is_on(given, "punctuate") or _is_on(given, "smart_format"),
        diarizes=_is_on(given, "diarize") or "diarize_model" in given,
        tags=tuple(given.get("tag", ())),
        extra=tuple(given.get("extra", ())),
    )
    return options, {name: values if name in _LISTS else values[0] for name, values in given.items()}


def _is_on(given: Mapping[str, list[str]], name: str) -> bool:
    return given.get(name) == ["true"]


def _check(name: str, values: list[str]) -> None:
    demand(name not in _NOT_SERVED, 400, f"Bad Request: the sandbox does not serve {name}")
    demand(name in _LISTS or len(values) == 1, 400, f"Bad Request: {name} is given twice")
    demand(all(values), 400, f"Bad Request: {name} is empty")
    if name in _SWITCHES:
        demand(values[0] in {"true", "false"}, 400, f"Bad Request: {name} is true or false")
    elif name == "utt_split":
        demand(_is_positive(values[0]), 400, "Bad Request: utt_split is a number of seconds")
    elif name == "diarize_model":
        demand(values[0] in _DIARIZERS, 400, "Bad Request: diarize_model is latest, v1 or v2")
    elif name == "language":
        demand(values[0] == "multi" or _LANGUAGE.fullmatch(values[0]), 400, "Bad Request: no such language")
    elif name == "detect_language":
        demand(values in (["true"], ["false"]) or all(map(_LANGUAGE.fullmatch, values)), 400, "Bad Request: language")
    elif name == "extra":
        demand(all(":" in value for value in values), 400, "Bad Request: extra is key:value")
    elif name not in _WORDS | _LISTS:
        raise No(400, f"Bad Request: Unexpected query parameter {name}")


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < math.inf
    except ValueError:
        return False
