"""What every service keeps, as test classes that each service's tests inherit.

`ServiceContract` holds for every endpoint and transcriber, `EndpointContract` for every endpoint (transcribers have
`tests/transcribe/contract.py`), `HttpServiceContract` beside it for those that speak HTTP, `HttpEndpointContract` for
endpoints that do. A vendor's tests derive from one of them and give a `harness` fixture; adding a vendor is adding a
harness (`harness.py`).

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
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.vocabulary import Category
from tests.endpoint.harness import Harness, HttpHarness, HttpServiceHarness, ServiceHarness, Told
from tests.endpoint.readings import check_reading, check_readings, is_one_clean_line

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = [
    "EndpointContract",
    "Harness",
    "HttpEndpointContract",
    "HttpHarness",
    "HttpServiceContract",
    "ServiceContract",
    "Told",
    "check_reading",
    "is_one_clean_line",
]


class ServiceContract:
    """See the module."""

    @pytest.fixture
    def harness(self) -> ServiceHarness:
        """Return the service under test; every derived class gives its own."""
        raise AssertionError("a contract is tested with a harness")

    async def test_the_cost_is_known_before_and_is_what_is_charged(self, harness: ServiceHarness) -> None:
        service = harness.service()
        await service.open()
        for medium in harness.media():
            before, request = harness.tokens_charged(), harness.request(service, medium)
            answer = await service.submit(request)
            assert answer.tokens_charged == harness.tokens_charged() - before
            assert answer.tokens_charged <= request.tokens_max
            assert answer.tokens_charged == request.tokens_max or not harness.price_is_exact
        await service.close()

    async def test_an_answer_can_be_kept_and_read_again(self, harness: ServiceHarness) -> None:
        service = harness.service()
        await service.open()
        for medium in harness.media():
            request = harness.request(service, medium)
            answer = await service.submit(request)
            json.loads(answer.raw.encode("utf-8"))
            known = dataclasses.replace(request, samples=(dataclasses.replace(request.samples[0], data=None),))
            assert harness.service().read(known, answer) == service.read(request, answer)
        await service.close()

    async def test_closing_twice_or_unopened_does_no_harm(self, harness: ServiceHarness) -> None:
        service = harness.service()
        await service.close()
        await service.open()
        await service.close()
        await service.close()

    def test_settings_are_json_and_the_same_every_time(self, harness: ServiceHarness) -> None:
        told = [json.dumps(dict(harness.service().settings), sort_keys=True, allow_nan=False) for _ in range(2)]
        assert told[0] == told[1] != "{}"

    def test_settings_for_a_medium_are_json_too(self, harness: ServiceHarness) -> None:
        for medium in harness.media():
            assert json.dumps(dict(harness.service().settings_for(medium)), allow_nan=False) != "{}"

    @pytest.mark.parametrize(
        "raw", ["", "null", "[]", "{}", "true", "0", '"clean"', "{", '{"a":' * 999 + "1" + "}" * 999]
    )
    def test_what_is_not_an_answer_is_refused(self, harness: ServiceHarness, raw: str) -> None:
        for medium in harness.media():
            service = harness.service()
            request = harness.request(service, medium)
            with pytest.raises(EndpointError) as caught:
                service.read(request, Answer(raw=raw, tokens_charged=0))
            assert caught.value.failure is Failure.REFUSED

    def test_whatever_an_answer_holds_reading_it_gives_scores_or_a_refusal(self, harness: ServiceHarness) -> None:
        """Every field of a real answer in turn is replaced by anything."""
        for medium in harness.media():
            check_readings(harness, medium)


class HttpServiceContract(ServiceContract):
    """See the module."""

    @pytest.fixture
    def harness(self) -> HttpServiceHarness:
        raise AssertionError("a contract is tested with a harness")

    async def failing(self, harness: HttpServiceHarness, fault: Fault, *, timeout_s: float = 20.0) -> EndpointError:
        """Send one request that goes wrong; return the error."""
        service = harness.service(timeout_s=timeout_s)
        await service.open()
        try:
            harness.go_wrong(fault)
            with pytest.raises(EndpointError) as caught:
                await service.submit(harness.request(service, harness.media()[0]))
        finally:
            await service.close()
        assert harness.calls() == 1, "a request is sent once"
        assert harness.secret not in str(caught.value) + repr(caught.value) + caught.value.vendor_code
        return caught.value

    def test_settings_hold_neither_key_nor_url(self, harness: HttpServiceHarness) -> None:
        told = json.dumps(dict(harness.service().settings))
        assert harness.secret not in told
        assert harness.base_url not in told
        elsewhere = harness.service(base_url="http://127.0.0.1:1/elsewhere")
        assert json.dumps(dict(elsewhere.settings)) == told

    async def test_the_key_is_nowhere_but_on_the_wire(self, harness: HttpServiceHarness) -> None:
        service = harness.service()
        await service.open()
        harness.go_wrong(faults.changed(reason=f"key {harness.secret}", **{harness.secret: "name"}))
        answer = await service.submit(harness.request(service, harness.media()[0]))
        shown = f"{answer!r} {service!r} {service.config!r} {service.config.model_dump_json()}"
        assert harness.secret not in shown
        assert "[redacted]" in answer.raw
        await service.close()

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
    async def test_a_key_that_comes_back_in_an_error_is_taken_out(
        self, harness: HttpServiceHarness, status: int
    ) -> None:
        body = json.dumps({"title": "no", "detail": f"your key {harness.secret}", "code": harness.secret}).encode()
        error = await self.failing(harness, faults.status(status, body))
        assert "your key [redacted]" in error.detail

    async def test_control_characters_of_an_error_are_taken_out(self, harness: HttpServiceHarness) -> None:
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
    async def test_a_status_is_a_failure(self, harness: HttpServiceHarness, status: int, failure: Failure) -> None:
        error = await self.failing(harness, faults.status(status))
        maybe_charged = status >= 500 and status != 503
        expected = harness.other_failures.get(status, failure)
        assert (error.failure, error.http_status, error.maybe_charged) == (expected, status, maybe_charged)

    async def test_a_redirect_is_final_and_the_key_does_not_follow_it(self, harness: HttpServiceHarness) -> None:
        error = await self.failing(harness, faults.status(307, location=f"{harness.base_url}/elsewhere"))
        assert error.failure is Failure.FATAL

    async def test_the_pause_that_is_asked_for_is_handed_on(self, harness: HttpServiceHarness) -> None:
        assert (await self.failing(harness, faults.rate_limited("7"))).retry_after_s == 7.0

    async def test_429_without_a_pause_has_none(self, harness: HttpServiceHarness) -> None:
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
        self, harness: HttpServiceHarness, fault: Fault
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
        self, harness: HttpServiceHarness, fault: Fault
    ) -> None:
        error = await self.failing(harness, fault)
        assert (error.failure, error.http_status, error.maybe_charged) == (Failure.REFUSED, 200, True)

    @pytest.mark.parametrize(
        "fault", [Fault(Kind.HANG), Fault(Kind.HANG_AFTER_HEADERS)], ids=lambda fault: fault.kind.value
    )
    async def test_a_late_answer_is_given_up(self, harness: HttpServiceHarness, fault: Fault) -> None:
        error = await self.failing(harness, fault, timeout_s=0.3)
        assert (error.failure, error.maybe_charged) == (Failure.TRANSIENT, True)

    async def test_a_failed_request_leaves_the_endpoint_usable(self, harness: HttpServiceHarness) -> None:
        service = harness.service()
        await service.open()
        medium = harness.media()[0]
        for fault in (Fault(Kind.RESET_MID_ANSWER), faults.garbage(), faults.status(500), faults.huge(17_000_000)):
            harness.go_wrong(fault)
            with pytest.raises(EndpointError):
                await service.submit(harness.request(service, medium))
        assert (await service.submit(harness.request(service, medium))).raw
        await service.close()

    async def test_a_wrong_key_stops_before_anything_is_spent(self, harness: HttpServiceHarness) -> None:
        harness.change_key()
        service = harness.service()
        if harness.open_asks:
            first_call: Awaitable[Any] = service.open()
        else:
            await service.open()
            first_call = service.submit(harness.request(service, harness.media()[0]))
        with pytest.raises(EndpointError) as caught:
            await first_call
        await service.close()
        assert caught.value.failure is Failure.FATAL
        assert not caught.value.maybe_charged
        assert (harness.calls(), harness.tokens_charged()) == (0 if harness.open_asks else 1, 0)

    async def test_a_service_that_has_gone_is_transient_and_closing_does_not_fail(
        self, harness: HttpServiceHarness
    ) -> None:
        service = harness.service()
        await service.open()
        harness.stop_server()
        with pytest.raises(EndpointError) as caught:
            await service.submit(harness.request(service, harness.media()[0]))
        assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, False)
        assert await service.close() is None


class EndpointContract(ServiceContract):
    """See the module."""

    @pytest.fixture
    def harness(self) -> Harness:
        """Return the vendor under test; every derived class gives its own."""
        raise AssertionError("a contract is tested with a harness")

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


class HttpEndpointContract(EndpointContract, HttpServiceContract):
    """See the module."""

    @pytest.fixture
    def harness(self) -> HttpHarness:
        raise AssertionError("a contract is tested with a harness")
