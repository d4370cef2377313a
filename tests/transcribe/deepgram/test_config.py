from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from batch_scan.transcribe.deepgram.config import DeepgramConfig
from batch_scan.transcribe.deepgram.wire import query_of


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"profanity_filter": True}, "Extra inputs"),
        ({"redact": ["pii"]}, "Extra inputs"),
        ({"replace": ["a:b"]}, "Extra inputs"),
        ({"multichannel": True}, "Extra inputs"),
        ({"callback": "https://example.com"}, "Extra inputs"),
        ({"model": ""}, "pattern"),
        ({"model": "nova 3&x=1"}, "pattern"),
        ({"language": "English"}, "language"),
        ({"language": "en", "detect_language": True}, "either given or detected"),
        ({"language": "en", "expected_languages": ["en"]}, "either given or detected"),
        ({"expected_languages": ["multi"]}, "pattern"),
        ({"diarize_model": "v3"}, "latest"),
        ({"punctuate": 1.5}, "bool"),
        ({"utt_split": 0}, "greater than 0"),
        ({"utt_split": True}, "switches"),
        ({"keyterm": ["acme"], "model": "nova-2"}, "use keywords"),
        ({"keywords": ["acme"]}, "use keyterm"),
        ({"keyterm": [" "]}, "empty or holds control"),
        ({"keyterm": ["a\nb"]}, "empty or holds control"),
        ({"keyterm": ["x"] * 101}, "at most 100"),
        ({"tag": [""]}, "empty or holds control"),
        ({"extra": ["no pair"]}, "key:value"),
        ({"extra": [":value"]}, "key:value"),
        ({"audio_format": "wav"}, "flac"),
        ({"audio_bitrate_kbps": 33}, "16"),
        ({"max_chunk_s": 5}, "greater than or equal to 10"),
        ({"max_upload_bytes": 3_000_000_000}, "less than or equal"),
        ({"min_confidence": 1}, "less than 1"),
        ({"base_url": "http://api.deepgram.com"}, "https"),
        ({"auth": "basic"}, "token"),
        ({"limit": {"concurrency": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DeepgramConfig.model_validate(table)


@pytest.mark.parametrize(
    "table",
    [
        {"language": "multi"},
        {"language": "zh-Hans"},
        {"language": "pt-BR"},
        {"model": "nova-3-medical", "keyterm": ["acme corp"]},
        {"model": "2b5c1f1e-0d7c-4c5e-8f7e-000000000000"},
        {"base_url": "https://api.eu.deepgram.com"},
        {"base_url": "http://127.0.0.1:8080"},
    ],
)
def test_what_can_be_asked_is_taken(table: dict[str, Any]) -> None:
    assert DeepgramConfig.model_validate(table).model_dump(include=set(table), mode="json") == table


def test_nothing_that_hides_what_was_said_can_get_into_a_query() -> None:
    every = DeepgramConfig.model_validate(
        {
            "smart_format": True,
            "numerals": True,
            "measurements": True,
            "filler_words": True,
            "diarize_model": "latest",
            "keyterm": ["a"],
            "tag": ["b"],
            "extra": ["c:d"],
            "mip_opt_out": True,
            "version": "1",
        }
    )
    assert {"profanity_filter", "redact", "replace", "callback", "multichannel"}.isdisjoint(query_of(every))


def test_a_job_that_names_one_limit_keeps_the_others() -> None:
    limit = DeepgramConfig.model_validate({"limit": {"concurrency": 4}}).limit
    assert (limit.concurrency, limit.timeout_s, limit.requests_per_minute) == (4, 900.0, 0.0)


def test_the_language_that_is_asked_for_is_one_or_none() -> None:
    tables: list[dict[str, Any]] = [{}, {"language": "de"}, {"language": "multi"}, {"detect_language": True}]
    asked = [DeepgramConfig.model_validate(table).asked_language for table in tables]
    assert asked == ["en", "de", "", ""]
