from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.endpoint.deepcleer.answer import bt_id_of
from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import DeepCleer, build
from batch_scan.endpoint.premises import MemoryHandles, Premises
from batch_scan.errors import EndpointError, Failure
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.vocabulary import Category
from tests.endpoint.deepcleer.kit import BAD_HZ, GOOD_HZ, audio_sample, request_of, table_of
from tests.endpoint.pulled import sound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.model import Request
    from batch_scan.sandbox.deepcleer.server import DeepCleerServer

LONG = sound((GOOD_HZ, 12.0), (BAD_HZ, 4.0), (GOOD_HZ, 6.0))


def code(number: int, **fields: Any) -> Fault:
    body = {"code": number, "message": "as told", "requestId": "x", **fields}
    return Fault(Kind.ANSWER, 200, {"content-type": "application/json"}, json.dumps(body).encode())


def endpoint_of(server: DeepCleerServer, **table: Any) -> DeepCleer:
    endpoint = build(DeepCleerConfig.model_validate(table_of(server.url, sync_max_s=5.0, **table)))
    endpoint.premises = Premises(handles=MemoryHandles())
    return endpoint


@pytest.fixture
async def endpoint(server: DeepCleerServer) -> AsyncIterator[DeepCleer]:
    endpoint = endpoint_of(server)
    await endpoint.open()
    yield endpoint
    await endpoint.close()


def long_request(endpoint: DeepCleer) -> Request:
    return request_of(endpoint, audio_sample(LONG, 22.0))


def left(endpoint: DeepCleer) -> list[str]:
    return endpoint.premises.handles.left_open("audio")


# ---------------------------------------------------------------------------------------------------- short sounds


async def test_a_short_sound_is_asked_about_in_one_call_and_its_bytes_arrive_whole(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    content = sound((BAD_HZ, 3.0))
    request = request_of(endpoint, audio_sample(content, 3.0))
    answer = await endpoint.submit(request)
    (seen,) = server.calls
    assert (seen.path, seen.digest) == ("/audiomessage/v4", hashlib.sha256(content).hexdigest())
    assert (answer.tokens_charged, server.tokens_used) == (3, 3)
    assert seen.fields == {
        "appId": "sandbox",
        "eventId": "archive",
        "type": "POLITY_EROTIC_VIOLENT_DIRTY",
        "contentType": "RAW",
        "btId": request.key,
        "data": {"tokenId": "batch-scan", "lang": "zh", "returnAllText": 1, "formatInfo": "wav"},
    }
    assert "detail" in json.loads(answer.raw)
    (score,) = [score for score in endpoint.read(request, answer) if score.unclean]
    assert (score.category, score.vendor_label, score.severity) == (Category.HARASSMENT, "abuse", "REJECT")
    assert (score.text, score.context, score.score) == ("damn", "well damn", 0.9)


async def test_a_sound_under_a_url_is_named_by_it_where_its_bytes_are_not_at_hand(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    content, url = sound((GOOD_HZ, 2.0)), "https://media.example.com/a.wav?sig=1"
    server.urls[url] = content
    request = request_of(endpoint, replace(audio_sample(content, 2.0), data=None, url=url))
    answer = await endpoint.submit(request)
    assert server.calls[-1].fields["contentType"] == "URL"
    assert "sig=1" not in answer.raw


async def test_a_sound_whose_base64_would_be_too_long_is_not_sent(server: DeepCleerServer) -> None:
    endpoint = endpoint_of(server)
    await endpoint.open()
    assert endpoint.config.max_audio_bytes == 11_250_000
    assert len(base64.b64encode(bytes(11_250_000))) == 15_000_000
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, audio_sample(bytes(11_250_001), 2.0)))
    assert (caught.value.failure, server.calls) == (Failure.REFUSED, [])
    await endpoint.close()


@pytest.mark.parametrize(
    ("number", "failure", "maybe_charged"),
    [
        (1101, Failure.TRANSIENT, True),
        (1901, Failure.RATE_LIMITED, False),
        (1902, Failure.REFUSED, False),
        (1903, Failure.TRANSIENT, True),
        (1904, Failure.TRANSIENT, False),
        (1905, Failure.REFUSED, False),
        (1911, Failure.TRANSIENT, False),
        (9100, Failure.FATAL, False),
        (9101, Failure.FATAL, False),
        (4711, Failure.REFUSED, True),
    ],
)
async def test_a_code_in_an_answer_with_status_200_is_a_failure(
    endpoint: DeepCleer, server: DeepCleerServer, number: int, failure: Failure, *, maybe_charged: bool
) -> None:
    server.faults.queue(code(number))
    with pytest.raises(EndpointError, match="as told") as caught:
        await endpoint.submit(request_of(endpoint, audio_sample(sound((GOOD_HZ, 2.0)), 2.0)))
    error = caught.value
    assert (error.failure, error.vendor_code, error.maybe_charged) == (failure, str(number), maybe_charged)


async def test_a_sound_that_cannot_be_decoded_is_refused_by_the_vendor(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, audio_sample(b"no sound at all", 2.0)))
    assert (caught.value.failure, caught.value.vendor_code, server.tokens_used) == (Failure.REFUSED, "1905", 0)


async def test_an_empty_account_stops_the_endpoint(endpoint: DeepCleer, server: DeepCleerServer) -> None:
    server.token_limit = 1
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, audio_sample(sound((GOOD_HZ, 2.0)), 2.0)))
    assert (caught.value.failure, caught.value.vendor_code) == (Failure.FATAL, "9100")


# ----------------------------------------------------------------------------------------------------- long sounds


async def test_a_long_sound_is_submitted_and_asked_after_until_it_is_done(server: DeepCleerServer) -> None:
    turns: list[int] = []

    async def pace(size_bytes: int) -> None:
        turns.append(size_bytes)

    server.pending_polls = 2
    endpoint = endpoint_of(server)
    endpoint.premises = Premises(pace=pace)
    await endpoint.open()
    request = long_request(endpoint)
    answer = await endpoint.submit(request)
    (submission,) = server.submissions.values()
    assert (submission.bt_id, submission.times) == (request.key, 1)
    assert submission.polls >= 3
    assert len(turns) == submission.polls  # every call but the first waits for its turn
    assert (answer.tokens_charged, server.tokens_used) == (22, 22)
    assert left(endpoint) == []
    assert "detail" not in json.loads(answer.raw)
    found = [score for score in endpoint.read(request, answer) if score.unclean]
    assert [(score.start_s, score.end_s) for score in found] == [(20.0, 30.0)]  # the chunk begins at 10 s
    await endpoint.close()


async def test_a_submission_whose_answer_was_lost_is_found_again_and_not_paid_twice(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    server.faults.queue(Fault(Kind.RESET_MID_ANSWER))
    request = long_request(endpoint)
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, True)
    assert left(endpoint) == [bt_id_of(request)]
    server.results_held = False
    answer = await endpoint.submit(request)
    assert (len(server.calls), server.tokens_used, answer.tokens_charged) == (1, 22, 22)
    assert left(endpoint) == []


async def test_a_submission_that_never_arrived_is_looked_for_and_then_sent_anew(server: DeepCleerServer) -> None:
    endpoint = endpoint_of(server, found_again_s=0.1)
    await endpoint.open()
    server.faults.queue(Fault(Kind.RESET_BEFORE_ANSWER))
    request = long_request(endpoint)
    with pytest.raises(EndpointError):
        await endpoint.submit(request)
    await endpoint.submit(request)
    asked = [seen.path for seen in server.requests if seen.path != "/query_audio/v4"]
    assert asked == ["/audio/v4", "/audio/v4"]
    assert server.tokens_used == 22
    assert left(endpoint) == []
    await endpoint.close()


@pytest.mark.parametrize("unknown", [1902, 1904, 4040])
async def test_a_vendor_that_says_that_it_knows_no_such_sound_is_believed_at_once(
    server: DeepCleerServer, unknown: int
) -> None:
    server.unknown_bt_id = unknown
    endpoint = endpoint_of(server, found_again_s=600.0)
    await endpoint.open()
    request = long_request(endpoint)
    await endpoint.premises.handles.opened("audio", bt_id_of(request))
    await endpoint.submit(request)
    assert len(server.calls) == 1
    await endpoint.close()


@pytest.mark.parametrize("nothing", [faults.garbage(), Fault(Kind.ANSWER, body=b'{"message": "busy"}')])
async def test_an_answer_that_cannot_be_read_while_looking_for_a_submission_does_not_have_it_paid_again(
    server: DeepCleerServer, nothing: Fault
) -> None:
    endpoint = endpoint_of(server, found_again_s=0.1)
    await endpoint.open()
    request = long_request(endpoint)
    await endpoint.premises.handles.opened("audio", bt_id_of(request))
    server.other_faults.when(lambda _: True, nothing)
    with pytest.raises(EndpointError):
        await endpoint.submit(request)
    assert server.calls == []
    assert left(endpoint) == [bt_id_of(request)]
    await endpoint.close()


async def test_trouble_while_looking_for_a_submission_does_not_have_it_paid_again(server: DeepCleerServer) -> None:
    endpoint = endpoint_of(server, found_again_s=0.1)
    await endpoint.open()
    request = long_request(endpoint)
    await endpoint.premises.handles.opened("audio", bt_id_of(request))
    server.other_faults.when(lambda _: True, faults.status(500))
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request)
    assert caught.value.failure is Failure.TRANSIENT
    assert server.calls == []
    assert left(endpoint) == [bt_id_of(request)]
    await endpoint.close()


@pytest.mark.parametrize(
    "trouble",
    [code(1901), code(1903), code(1101), faults.status(502), faults.garbage(), Fault(Kind.RESET_BEFORE_ANSWER)],
    ids=["1901", "1903", "1101", "502", "garbage", "reset"],
)
async def test_trouble_while_asking_after_a_sound_is_asked_through(
    endpoint: DeepCleer, server: DeepCleerServer, trouble: Fault
) -> None:
    server.other_faults.queue(trouble)
    answer = await endpoint.submit(long_request(endpoint))
    assert answer.tokens_charged == server.tokens_used == 22


@pytest.mark.parametrize(("number", "failure"), [(1905, Failure.REFUSED), (1904, Failure.TRANSIENT)])
async def test_a_result_that_is_a_failure_is_a_result(
    endpoint: DeepCleer, server: DeepCleerServer, number: int, failure: Failure
) -> None:
    server.other_faults.queue(code(number))
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(long_request(endpoint))
    assert (caught.value.failure, left(endpoint)) == (failure, [])


async def test_a_balance_that_ends_while_asking_stops_and_the_result_can_still_be_found(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    server.other_faults.queue(code(9100))
    request = long_request(endpoint)
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.FATAL, True)
    assert left(endpoint) == [bt_id_of(request)]


async def test_a_sound_that_is_never_done_is_given_up_and_found_again_later(server: DeepCleerServer) -> None:
    server.results_held = True
    endpoint = endpoint_of(server, poll_timeout_s=0.1)
    await endpoint.open()
    request = long_request(endpoint)
    with pytest.raises(EndpointError, match="poll_timeout_s") as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, True)
    server.results_held = False
    await endpoint.submit(request)
    assert (len(server.calls), server.tokens_used) == (1, 22)
    await endpoint.close()


async def test_a_submission_that_is_refused_leaves_nothing_to_look_for(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    server.faults.queue(code(1902))
    with pytest.raises(EndpointError):
        await endpoint.submit(long_request(endpoint))
    assert left(endpoint) == []


async def test_cancelled_while_asking_it_can_be_found_again(server: DeepCleerServer) -> None:
    submitted = asyncio.Event()

    async def pace(_size_bytes: int) -> None:  # asked before every call but the first
        submitted.set()

    endpoint = endpoint_of(server)
    endpoint.premises = Premises(pace=pace)
    await endpoint.open()
    server.results_held = True
    request = long_request(endpoint)
    asking = asyncio.create_task(endpoint.submit(request))
    await submitted.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    server.results_held = False
    await endpoint.submit(request)
    assert (len(server.calls), server.tokens_used) == (1, 22)
    await endpoint.close()


async def test_the_answer_about_another_submission_is_refused(endpoint: DeepCleer, server: DeepCleerServer) -> None:
    request = long_request(endpoint)
    answer = await endpoint.submit(request)
    other = replace(answer, raw=answer.raw.replace(request.key, "f" * 64))
    with pytest.raises(EndpointError, match="another submission") as caught:
        endpoint.read(request, other)
    assert caught.value.failure is Failure.REFUSED
    assert endpoint.read(replace(request, key=""), answer) == endpoint.read(request, answer)
