"""What holds for every reading of every answer, and answers in which anything may stand anywhere."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer, Request, Sample, Score, Utterance
from batch_scan.transcribe.interface import Transcriber

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.vocabulary import Medium
    from tests.endpoint.harness import ServiceHarness

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def is_one_clean_line(shown: str) -> bool:
    """Tell whether a text can be shown: no control or format characters, no surrogates, no line ends."""
    return not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)


def check_reading(reading: Score | Utterance, sample: Sample) -> None:
    """Demand what holds for everything that is made of an answer, whatever the answer holds."""
    shown = reading.text
    if isinstance(reading, Score):
        assert 0.0 <= reading.score <= 1.0
        shown += reading.vendor_label + reading.severity + reading.context
    else:
        assert sample.start_s <= reading.start_s <= reading.end_s <= sample.end_s
        assert reading.confidence is None or 0.0 <= reading.confidence <= 1.0
        shown += reading.speaker + reading.language + reading.engine
    assert is_one_clean_line(shown)


def check_readings(harness: ServiceHarness, medium: Medium) -> None:
    """Replace every field of a whole answer in turn by anything: reading gives what holds, or a refusal."""
    service = harness.service()
    request = harness.request(service, medium)
    whole = json.loads(harness.whole(medium))

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(_places(whole)), _JSON)
    def check(place: tuple[Any, ...], value: Any) -> None:
        raw = json.dumps(_replaced(whole, place, value))
        for reading in _read_or_refused(service, request, raw):
            check_reading(reading, request.samples[0])

    check()


def _read_or_refused(service: Endpoint | Transcriber, request: Request, raw: str) -> Sequence[Score | Utterance]:
    answer = Answer(raw=raw, tokens_charged=0)
    try:
        if isinstance(service, Transcriber):
            gap = service.shortfall(request, answer)
            assert gap is None or is_one_clean_line(gap.detail)
        return service.read(request, answer)
    except EndpointError as error:
        refused = error
    assert refused.failure is Failure.REFUSED
    assert is_one_clean_line(refused.detail)
    return []


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, child in inner for found in _places(child, (*place, key)))]


def _replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copied = value.copy()
    copied[place[0]] = _replaced(copied[place[0]], place[1:], new)
    return copied
