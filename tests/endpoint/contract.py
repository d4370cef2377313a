"""What every endpoint keeps, as test classes that each endpoint's tests inherit.

`EndpointContract` holds for every endpoint, `HttpEndpointContract` beside it for those that speak HTTP. A vendor's
tests derive from one of them and give a `harness` fixture; adding a vendor is adding a harness.

| an answer that | is |
|---|---|
| is whole and clean | scores, none unclean |
| calls the sample unclean | at least one unclean score |
| holds a label or a word we do not know | `other`, and never clean for the word |
| does not say whether the sample is clean, or is not an answer at all | `REFUSED` on reading |
| is cut or late | `TRANSIENT`, may have been charged |
| came whole and is too large or no JSON | `REFUSED`, may have been charged: it is not paid again |
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.digest import digest_bytes
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer, Request, RequestId, Sample, Score
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.vocabulary import Category, Medium

if TYPE_CHECKING:
    from batch_scan.endpoint.interface import Endpoint

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


class Told(StrEnum):
    """What an answer says, in the vendor's own words; a harness writes one of each."""

    CLEAN = "clean"
    UNCLEAN = "unclean"
    UNKNOWN_LABEL = "unknown_label"
    """Unclean for a category that the adapter has never heard of: `Harness.unknown_label`."""
    UNKNOWN_WORD = "unknown_word"
    """A severity, status or verdict in a word that the adapter has never heard of."""
    NO_VERDICT = "no_verdict"
    """All there but the verdict."""
    SOMEBODY_ELSES = "somebody_elses"
    """Whole and clean, but it names another request or sample than the one that was asked about."""


class Harness(ABC):
    """One vendor under test: makes its endpoint and writes its answers."""

    unknown_label = "Frobnication"
    names_requests = True
    """Whether the vendor's answers name the request or sample they are about, so that another's can be told."""
    price_is_exact = True
    """Whether a whole answer costs what was quoted; False where a quote is the most it can be."""

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Return a new endpoint that has not been opened."""

    @abstractmethod
    def sample(self, medium: Medium, number: int = 0) -> Sample:
        """Return a sample that the endpoint takes; another number is another content."""

    @abstractmethod
    def raw(self, told: Told, medium: Medium) -> str:
        """Return an answer for one sample, as JSON."""

    @abstractmethod
    def tokens_charged(self) -> int:
        """Return what has been charged so far, by the other side's own books."""

    def media(self) -> list[Medium]:
        """Return what the endpoint takes."""
        needs = self.endpoint().needs
        kinds: dict[Medium, object] = {
            Medium.AUDIO: needs.audio,
            Medium.FRAME: needs.frame,
            Medium.UTTERANCE: needs.utterance,
            Medium.STREAM: needs.stream,
        }
        return [medium for medium, wanted in kinds.items() if wanted is not None]

    def request(self, endpoint: Endpoint, medium: Medium, number: int = 0) -> Request:
        """Return a request for one sample, as the core makes it."""
        samples = (self.sample(medium, number),)
        tokens = endpoint.quote(medium, samples)
        key = digest_bytes(f"{medium} {number}".encode())
        return Request(RequestId(f"r{number}"), endpoint.name, endpoint.operation(medium), samples, tokens, key)

    def read(self, told: Told | str, medium: Medium) -> list[Score]:
        """Return the scores of an answer."""
        endpoint = self.endpoint()
        raw = self.raw(told, medium) if isinstance(told, Told) else told
        return endpoint.read(self.request(endpoint, medium), Answer(raw=raw, tokens_charged=0))


class HttpHarness(Harness):
    """A vendor that is spoken to over HTTP, with a server that can be told to go wrong."""

    secret: str
    """The key that the server wants."""
    base_url: str

    @abstractmethod
    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None) -> Endpoint:
        """Return a new endpoint that has not been opened."""

    @abstractmethod
    def go_wrong(self, fault: Fault) -> None:
        """Have the next moderation request go wrong in this way."""

    @abstractmethod
    def calls(self) -> int:
        """Return how many moderation requests have arrived."""

    @abstractmethod
    def stop_server(self) -> None:
        """Take the service away."""

    def change_key(self) -> None:
        """Give the endpoint, from its next opening on, a key that the server does not know."""
        raise AssertionError("a harness that has keys can change them")


def is_one_clean_line(shown: str) -> bool:
    """Tell whether a text can be shown: no control or format characters, no surrogates, no line ends."""
    return not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)


class EndpointContract:
    """See the module."""

    @pytest.fixture
    def harness(self) -> Harness:
        """Return the vendor under test; every derived class gives its own."""
        raise AssertionError("a contract is tested with a harness")

    async def test_the_cost_is_known_before_and_is_what_is_charged(self, harness: Harness) -> None:
        endpoint = harness.endpoint()
        await endpoint.open()
        for medium in harness.media():
            before, request = harness.tokens_charged(), harness.request(endpoint, medium)
            answer = await endpoint.submit(request)
            assert answer.tokens_charged == harness.tokens_charged() - before
            assert answer.tokens_charged <= request.tokens_max
            assert answer.tokens_charged == request.tokens_max or not harness.price_is_exact
        await endpoint.close()

    async def test_an_answer_can_be_kept_and_read_again(self, harness: Harness) -> None:
        endpoint = harness.endpoint()
        await endpoint.open()
        for medium in harness.media():
            request = harness.request(endpoint, medium)
            answer = await endpoint.submit(request)
            json.loads(answer.raw.encode("utf-8"))
            known = dataclasses.replace(request, samples=(dataclasses.replace(request.samples[0], data=None),))
            assert harness.endpoint().read(known, answer) == endpoint.read(request, answer)
        await endpoint.close()

    async def test_closing_twice_or_unopened_does_no_harm(self, harness: Harness) -> None:
        endpoint = harness.endpoint()
        await endpoint.close()
        await endpoint.open()
        await endpoint.close()
        await endpoint.close()

    def test_settings_are_json_and_the_same_every_time(self, harness: Harness) -> None:
        told = [json.dumps(dict(harness.endpoint().settings), sort_keys=True, allow_nan=False) for _ in range(2)]
        assert told[0] == told[1] != "{}"

    def test_settings_for_a_medium_are_json_too(self, harness: Harness) -> None:
        for medium in harness.media():
            assert json.dumps(dict(harness.endpoint().settings_for(medium)), allow_nan=False) != "{}"

    def test_a_clean_answer_has_no_unclean_score(self, harness: Harness) -> None:
        for medium in harness.media():
            assert not any(score.unclean or score.score > 0.0 for score in harness.read(Told.CLEAN, medium))

    def test_an_unclean_answer_has_an_unclean_score(self, harness: Harness) -> None:
        for medium in harness.media():
            assert any(score.unclean for score in harness.read(Told.UNCLEAN, medium))

    def test_scores_belong_to_their_sample_and_request(self, harness: Harness) -> None:
        for medium in harness.media():
            endpoint = harness.endpoint()
            request = harness.request(endpoint, medium)
            (sample,) = request.samples
            for score in harness.read(Told.UNCLEAN, medium):
                assert sample.start_s <= score.start_s <= score.end_s <= sample.end_s
                named = (score.endpoint, score.medium, score.request_id, score.sample_digest)
                assert named == (endpoint.name, medium, request.request_id, sample.digest)
                assert 0.0 <= score.score <= 1.0

    def test_an_unknown_label_is_other_and_keeps_its_name(self, harness: Harness) -> None:
        for medium in harness.media():
            unknown = [
                score
                for score in harness.read(Told.UNKNOWN_LABEL, medium)
                if score.vendor_label == harness.unknown_label
            ]
            assert unknown
            assert {score.category for score in unknown} == {Category.OTHER}
            assert any(score.unclean for score in unknown)

    def test_an_unknown_word_is_never_clean(self, harness: Harness) -> None:
        for medium in harness.media():
            assert any(score.unclean for score in harness.read(Told.UNKNOWN_WORD, medium))

    def test_an_answer_without_a_verdict_is_no_answer(self, harness: Harness) -> None:
        for medium in harness.media():
            with pytest.raises(EndpointError) as caught:
                harness.read(Told.NO_VERDICT, medium)
            assert caught.value.failure is Failure.REFUSED

    def test_an_answer_about_something_else_is_no_answer(self, harness: Harness) -> None:
        if not harness.names_requests:
            pytest.skip("its answers name nothing that could be another's")
        for medium in harness.media():
            with pytest.raises(EndpointError) as caught:
                harness.read(Told.SOMEBODY_ELSES, medium)
            assert caught.value.failure is Failure.REFUSED

    @pytest.mark.parametrize(
        "raw", ["", "null", "[]", "{}", "true", "0", '"clean"', "{", '{"a":' * 999 + "1" + "}" * 999]
    )
    def test_what_is_not_an_answer_is_refused(self, harness: Harness, raw: str) -> None:
        for medium in harness.media():
            with pytest.raises(EndpointError) as caught:
                harness.read(raw, medium)
            assert caught.value.failure is Failure.REFUSED

    def test_whatever_an_answer_holds_reading_it_gives_scores_or_a_refusal(self, harness: Harness) -> None:
        """Every field of a real answer in turn is replaced by anything."""
        for medium in harness.media():
            _check_reading(harness, medium)


def _check_reading(harness: Harness, medium: Medium) -> None:
    endpoint = harness.endpoint()
    request = harness.request(endpoint, medium)
    whole = json.loads(harness.raw(Told.UNCLEAN, medium))

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(_places(whole)), _JSON)
    def check(place: tuple[Any, ...], value: Any) -> None:
        raw = json.dumps(_replaced(whole, place, value))
        for score in _read_or_refused(endpoint, request, raw):
            assert 0.0 <= score.score <= 1.0
            assert is_one_clean_line(score.vendor_label + score.severity + score.text + score.context)

    check()


def _read_or_refused(endpoint: Endpoint, request: Request, raw: str) -> list[Score]:
    try:
        return endpoint.read(request, Answer(raw=raw, tokens_charged=0))
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


class HttpEndpointContract(EndpointContract):
    """See the module."""

    @pytest.fixture
    def harness(self) -> HttpHarness:
        raise AssertionError("a contract is tested with a harness")

    async def failing(self, harness: HttpHarness, fault: Fault, *, timeout_s: float = 20.0) -> EndpointError:
        """Send one request that goes wrong; return the error."""
        endpoint = harness.endpoint(timeout_s=timeout_s)
        await endpoint.open()
        try:
            harness.go_wrong(fault)
            with pytest.raises(EndpointError) as caught:
                await endpoint.submit(harness.request(endpoint, harness.media()[0]))
        finally:
            await endpoint.close()
        assert harness.calls() == 1, "a request is sent once"
        assert harness.secret not in str(caught.value) + repr(caught.value) + caught.value.vendor_code
        return caught.value

    def test_settings_hold_neither_key_nor_url(self, harness: HttpHarness) -> None:
        told = json.dumps(dict(harness.endpoint().settings))
        assert harness.secret not in told
        assert harness.base_url not in told
        elsewhere = harness.endpoint(base_url="http://127.0.0.1:1/elsewhere")
        assert json.dumps(dict(elsewhere.settings)) == told

    async def test_the_key_is_nowhere_but_on_the_wire(self, harness: HttpHarness) -> None:
        endpoint = harness.endpoint()
        await endpoint.open()
        harness.go_wrong(faults.changed(reason=f"key {harness.secret}", **{harness.secret: "name"}))
        answer = await endpoint.submit(harness.request(endpoint, harness.media()[0]))
        shown = f"{answer!r} {endpoint!r} {endpoint.config!r} {endpoint.config.model_dump_json()}"
        assert harness.secret not in shown
        assert "[redacted]" in answer.raw
        await endpoint.close()

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
    async def test_a_key_that_comes_back_in_an_error_is_taken_out(self, harness: HttpHarness, status: int) -> None:
        body = json.dumps({"title": "no", "detail": f"your key {harness.secret}", "code": harness.secret}).encode()
        error = await self.failing(harness, faults.status(status, body))
        assert "your key [redacted]" in error.detail

    async def test_control_characters_of_an_error_are_taken_out(self, harness: HttpHarness) -> None:
        error = await self.failing(harness, faults.status(500, b'{"detail":"a\\u001b[31m\\u202e\\nb"}'))
        assert is_one_clean_line(error.detail)

    @pytest.mark.parametrize(
        ("status", "failure"),
        [
            (400, Failure.REFUSED),
            (401, Failure.FATAL),
            (402, Failure.FATAL),
            (403, Failure.FATAL),
            (404, Failure.FATAL),
            (405, Failure.FATAL),
            (408, Failure.TRANSIENT),
            (409, Failure.REFUSED),
            (413, Failure.REFUSED),
            (415, Failure.REFUSED),
            (422, Failure.REFUSED),
            (425, Failure.TRANSIENT),
            (429, Failure.RATE_LIMITED),
            (500, Failure.TRANSIENT),
            (502, Failure.TRANSIENT),
            (503, Failure.TRANSIENT),
            (504, Failure.TRANSIENT),
        ],
    )
    async def test_a_status_is_a_failure(self, harness: HttpHarness, status: int, failure: Failure) -> None:
        error = await self.failing(harness, faults.status(status))
        maybe_charged = status >= 500 and status != 503
        assert (error.failure, error.http_status, error.maybe_charged) == (failure, status, maybe_charged)

    async def test_a_redirect_is_final_and_the_key_does_not_follow_it(self, harness: HttpHarness) -> None:
        error = await self.failing(harness, faults.status(307, location=f"{harness.base_url}/elsewhere"))
        assert error.failure is Failure.FATAL

    async def test_the_pause_that_is_asked_for_is_handed_on(self, harness: HttpHarness) -> None:
        assert (await self.failing(harness, faults.rate_limited("7"))).retry_after_s == 7.0

    async def test_429_without_a_pause_has_none(self, harness: HttpHarness) -> None:
        assert (await self.failing(harness, faults.rate_limited())).retry_after_s is None

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault(Kind.TRUNCATE), id="truncated"),
            pytest.param(Fault(Kind.RESET_BEFORE_ANSWER), id="reset before the answer"),
            pytest.param(Fault(Kind.RESET_MID_ANSWER), id="reset in the answer"),
        ],
    )
    async def test_a_broken_answer_may_be_asked_again_and_may_have_been_charged(
        self, harness: HttpHarness, fault: Fault
    ) -> None:
        error = await self.failing(harness, fault)
        assert (error.failure, error.maybe_charged) == (Failure.TRANSIENT, True)

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(faults.garbage(), id="garbage"),
            pytest.param(faults.huge(17_000_000), id="huge"),
            pytest.param(Fault(Kind.ANSWER, 200), id="empty"),
        ],
    )
    async def test_a_whole_answer_that_cannot_be_read_is_not_paid_again(
        self, harness: HttpHarness, fault: Fault
    ) -> None:
        error = await self.failing(harness, fault)
        assert (error.failure, error.http_status, error.maybe_charged) == (Failure.REFUSED, 200, True)

    @pytest.mark.parametrize(
        "fault", [Fault(Kind.HANG), Fault(Kind.HANG_AFTER_HEADERS)], ids=lambda fault: fault.kind.value
    )
    async def test_a_late_answer_is_given_up(self, harness: HttpHarness, fault: Fault) -> None:
        error = await self.failing(harness, fault, timeout_s=0.3)
        assert (error.failure, error.maybe_charged) == (Failure.TRANSIENT, True)

    async def test_a_failed_request_leaves_the_endpoint_usable(self, harness: HttpHarness) -> None:
        endpoint = harness.endpoint()
        await endpoint.open()
        medium = harness.media()[0]
        for fault in (Fault(Kind.RESET_MID_ANSWER), faults.garbage(), faults.status(500), faults.huge(17_000_000)):
            harness.go_wrong(fault)
            with pytest.raises(EndpointError):
                await endpoint.submit(harness.request(endpoint, medium))
        assert (await endpoint.submit(harness.request(endpoint, medium))).raw
        await endpoint.close()

    async def test_a_wrong_key_stops_before_anything_is_spent(self, harness: HttpHarness) -> None:
        harness.change_key()
        with pytest.raises(EndpointError) as caught:
            await harness.endpoint().open()
        assert caught.value.failure is Failure.FATAL
        assert harness.calls() == 0

    async def test_a_service_that_has_gone_is_transient_and_closing_does_not_fail(self, harness: HttpHarness) -> None:
        endpoint = harness.endpoint()
        await endpoint.open()
        harness.stop_server()
        with pytest.raises(EndpointError) as caught:
            await endpoint.submit(harness.request(endpoint, harness.media()[0]))
        assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, False)
        assert await endpoint.close() is None
