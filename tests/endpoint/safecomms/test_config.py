from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from batch_scan.endpoint.safecomms.config import AudioOptions, ImageOptions, SafeCommsConfig
from batch_scan.endpoint.safecomms.prices import PRICES
from batch_scan.endpoint.safecomms.wire import encode, fields_of
from batch_scan.model import Digest, Sample
from batch_scan.vocabulary import Medium

MEDIA = {"audio": Medium.AUDIO, "image": Medium.FRAME}


def tokens(operation: str, **table: Any) -> int:
    return PRICES[operation].tokens(fields_of(SafeCommsConfig.model_validate(table), MEDIA[operation]))


# Token Usage & Costs, https://safecomms.dev/docs/api/audio and .../image: one option at a time.
@pytest.mark.parametrize(
    ("operation", "table", "expected"),
    [
        ("audio", {}, 50),
        ("audio", {"language": "French"}, 51),
        ("audio", {"audio": {"extract_metadata": True}}, 51),
        ("audio", {"audio": {"transcribe": True}}, 60),
        ("audio", {"audio": {"transcribe": True, "transcription_mode": "multiple"}}, 60),
        ("audio", {"audio": {"transcribe": True, "include_timestamps": True}}, 61),
        ("audio", {"audio": {"analyze_sentiment": True}}, 51),
        ("audio", {"audio": {"detect_topics": True}}, 51),
        ("audio", {"audio": {"detect_pii": True}}, 52),
        ("audio", {"audio": {"custom_keywords": ["a", "b", "c"]}}, 52),
        ("audio", {"audio": {"custom_keywords": []}}, 50),
        ("audio", {"audio": {"detect_distress": True}}, 52),
        ("audio", {"audio": {"analyze_quality": True}}, 52),
        ("audio", {"image": {"enable_ocr": True}}, 50),
        ("image", {}, 20),
        ("image", {"language": "French"}, 21),
        ("image", {"image": {"extract_metadata": True}}, 21),
        ("image", {"image": {"enable_ocr": True}}, 23),
        ("image", {"image": {"enable_ocr": True, "enhanced_ocr": True}}, 28),
        ("image", {"image": {"enable_ocr": True, "enhanced_ocr": True, "extract_metadata": True}}, 29),
        ("image", {"audio": {"transcribe": True}}, 20),
    ],
)
def test_a_price_is_that_of_the_page(operation: str, table: dict[str, Any], expected: int) -> None:
    assert tokens(operation, **table) == expected


def test_everything_at_once_costs_the_pages_maximum() -> None:
    every = {name: True for name in AudioOptions.model_fields if name not in {"custom_keywords", "transcription_mode"}}
    assert tokens("audio", audio={**every, "custom_keywords": ["x"]}) == 72


@given(st.sets(st.sampled_from([price.option for price in PRICES["audio"].options])))
def test_an_option_never_makes_a_request_cheaper(options: set[str]) -> None:
    fields: dict[str, Any] = dict.fromkeys(options, True)
    assert PRICES["audio"].tokens(fields) >= max(
        (PRICES["audio"].tokens({option: True}) for option in options), default=50
    )


def test_every_priced_option_can_be_set_and_every_option_has_a_price() -> None:
    audio = AudioOptions(
        transcribe=True,
        include_timestamps=True,
        extract_metadata=True,
        analyze_sentiment=True,
        detect_topics=True,
        detect_pii=True,
        custom_keywords=("x",),
        detect_distress=True,
        analyze_quality=True,
    )
    image = ImageOptions(enable_ocr=True, enhanced_ocr=True, extract_metadata=True)
    config = SafeCommsConfig(audio=audio, image=image)
    for operation in ("audio", "image"):
        sent = set(fields_of(config, MEDIA[operation])) - {"language"}
        assert sent == {price.option for price in PRICES[operation].options}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"audio": {"include_timestamps": True}}, "include_timestamps needs transcribe"),
        ({"image": {"enhanced_ocr": True}}, "enhanced_ocr needs enable_ocr"),
        ({"image": {"detect_pii": True}}, "Extra inputs are not permitted"),
        ({"audio": {"transcription_mode": "both"}}, "'single' or 'multiple'"),
        ({"audio": {"custom_keywords": ["ok", " "]}}, "a keyword is empty"),
        ({"audio": {"custom_keywords": ["a\nb"]}}, "control characters"),
        ({"language": "en"}, 'write "English"'),
        ({"language": ""}, "at least 1 character"),
        ({"samples": []}, "at least 1 item"),
        ({"samples": ["audio", "audio"]}, "twice"),
        ({"samples": ["utterance"]}, "audio"),
        ({"samples": ["frame"], "send": "url"}, "samples must name audio"),
        ({"audio_format": "pcm_s16le"}, "mp3"),
        ({"base_url": "http://api.safecomms.dev"}, "must begin with https://"),
        ({"base_url": "https://user:pw@api.safecomms.dev"}, "neither user"),
        ({"base_url": "ftp://api.safecomms.dev"}, "not an https"),
        ({"severity_scores": {"low": 0.7}}, "must rise"),
        ({"severity_scores": {"critical": 1.0}}, "Extra inputs are not permitted"),
        ({"max_audio_s": float("inf")}, "finite"),
        ({"api_key": "sc-live-in-the-job-file"}, "api_key"),
    ],
)
def test_a_table_that_cannot_work_is_refused_and_says_why(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SafeCommsConfig.model_validate(table)
    assert said in str(caught.value)


def test_the_neutral_language_is_written_as_the_vendor_writes_it() -> None:
    assert SafeCommsConfig(language="english").language == "English"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:9", "https://example.com/v2"]
)
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    assert SafeCommsConfig(base_url=url + "/").base_url == url


def test_what_cannot_be_encoded_is_a_mistake_of_the_caller() -> None:
    sample = Sample(Medium.FRAME, 0.0, 0.0, Digest(""), "image/jpeg", None)
    with pytest.raises(ValueError, match="no data"):
        encode(SafeCommsConfig(), sample)
