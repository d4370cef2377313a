from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import DeepCleer, build
from batch_scan.endpoint.deepcleer.heard import task_of
from batch_scan.endpoint.deepcleer.streams import sort_callback
from batch_scan.endpoint.premises import Premises
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.model import Answer, Request, Sample
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.vocabulary import Category
from tests.endpoint.deepcleer.kit import BAD_HZ, GOOD_HZ, premises, request_of, stream_raw, stream_sample, table_of
from tests.endpoint.deepcleer.test_files import code
from tests.endpoint.pulled import MediaHost, sound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from batch_scan.sandbox.deepcleer.server import DeepCleerServer

SIGNATURE = "X-Amz-Signature=0123456789abcdef&X-Amz-Expires=3600"
FILE = sound((GOOD_HZ, 12.0), (BAD_HZ, 4.0), (GOOD_HZ, 9.0))
FILE_S = 25.0
HOUR_S = 3600.0


@pytest.fixture
async def given(tmp_path: Path) -> AsyncIterator[Premises]:
    async with premises(tmp_path / "state") as given:
        yield given


def endpoint_of(server: DeepCleerServer, given: Premises, **table: Any) -> DeepCleer:
    endpoint = build(DeepCleerConfig.model_validate(table_of(server.url, mode="stream", **table)))
    endpoint.premises = given
    return endpoint


@pytest.fixture
async def endpoint(server: DeepCleerServer, given: Premises) -> AsyncIterator[DeepCleer]:
    endpoint = endpoint_of(server, given)
    await endpoint.open()
    yield endpoint
    await endpoint.close()


def file_request(endpoint: DeepCleer, host: MediaHost, duration_s: float = FILE_S) -> Request:
    url = host.put("archive/a call.wav".replace(" ", "_"), FILE, f"?{SIGNATURE}")
    return request_of(endpoint, stream_sample(url, FILE, duration_s))


def finished(server: DeepCleerServer) -> list[str]:
    return [seen.fields["requestId"] for seen in server.requests if seen.path == "/finish_audiostream/v4"]


def left(endpoint: DeepCleer) -> list[str]:
    return endpoint.premises.handles.left_open("stream")


async def opened(server: DeepCleerServer, endpoint: DeepCleer) -> str:
    """Return the stream that is open now, once the endpoint has it in its book."""
    async with asyncio.timeout(20):
        while not left(endpoint):  # noqa: ASYNC110 - the book is the ledger's, which tells nobody
            await asyncio.sleep(0.01)
    (stream,) = server.open_streams
    return stream


async def test_a_file_is_pulled_by_its_url_and_findings_stand_at_their_own_seconds(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost
) -> None:
    request = file_request(endpoint, host)
    answer = await endpoint.submit(request)
    (seen,) = server.calls
    assert seen.fields["data"] | {"extra": 0} == {
        "tokenId": "batch-scan",
        "btId": request.key,
        "streamType": "NORMAL",
        "url": request.samples[0].url,
        "lang": "zh",
        "returnAllText": 1,
        "returnFinishInfo": 1,
        "extra": 0,
    }
    scores = endpoint.read(request, answer)
    assert [(score.category, score.start_s, score.end_s) for score in scores if score.unclean] == [
        (Category.HARASSMENT, 10.0, 20.0)
    ]
    assert (answer.tokens_charged, server.tokens_used) == (25, 25)
    assert (server.open_streams, left(endpoint)) == ({}, [])
    assert finished(server) == [answer.vendor_request_id]


async def test_a_clean_file_has_one_clean_score(endpoint: DeepCleer, host: MediaHost) -> None:
    content = sound((GOOD_HZ, 11.0))
    request = request_of(endpoint, stream_sample(host.put("good.wav", content), content, 11.0))
    (score,) = endpoint.read(request, await endpoint.submit(request))
    assert (score.unclean, score.score, score.start_s, score.end_s) == (False, 0.0, 0.0, 11.0)


async def test_the_signed_url_is_nowhere_in_what_is_kept(endpoint: DeepCleer, host: MediaHost) -> None:
    answer = await endpoint.submit(file_request(endpoint, host))
    assert "0123456789abcdef" not in repr(answer)
    assert "archive/" not in answer.raw


async def test_the_signed_url_is_nowhere_in_an_error(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost
) -> None:
    request = file_request(endpoint, host)
    url = request.samples[0].url
    server.faults.queue(code(1902, message=f"cannot take {url}"), faults.status(400, f'{{"detail":"{url}"}}'.encode()))
    for _ in range(2):
        with pytest.raises(EndpointError, match=r"\[url\]") as caught:
            await endpoint.submit(request)
        assert "Signature" not in caught.value.detail + str(caught.value)


async def test_a_stream_that_is_open_already_is_closed_and_the_file_submitted_again(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost
) -> None:
    """The answer to the first submission is lost: nobody knows the stream's id."""
    server.stream_pause_s = HOUR_S
    server.faults.queue(Fault(Kind.RESET_MID_ANSWER))
    request = file_request(endpoint, host)
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, True)
    (lost,) = server.open_streams
    server.stream_pause_s = 0.0
    answer = await endpoint.submit(request)
    assert finished(server) == [lost, answer.vendor_request_id]
    assert (server.open_streams, left(endpoint)) == ({}, [])


@pytest.mark.parametrize("outer", [1100, 1902, 1001])
async def test_a_duplicate_is_seen_whatever_the_outer_code(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost, outer: int
) -> None:
    server.faults.queue(code(outer, detail={"errorCode": 1001, "dupRequestId": "an-older-one"}))
    await endpoint.submit(file_request(endpoint, host))
    assert finished(server)[0] == "an-older-one"


async def test_the_same_url_twice_in_one_run_is_not_taken_from_the_first(
    server: DeepCleerServer, given: Premises, host: MediaHost
) -> None:
    server.stream_pause_s = HOUR_S
    endpoint = endpoint_of(server, given)
    await endpoint.open()
    request = file_request(endpoint, host)
    first = asyncio.create_task(endpoint.submit(request))
    stream = await opened(server, endpoint)
    with pytest.raises(EndpointError, match="another request of this run") as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, False)
    assert list(server.open_streams) == [stream]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await endpoint.close()


async def test_cancelled_in_mid_stream_it_is_closed(server: DeepCleerServer, given: Premises, host: MediaHost) -> None:
    server.stream_pause_s = HOUR_S
    endpoint = endpoint_of(server, given)
    await endpoint.open()
    asking = asyncio.create_task(endpoint.submit(file_request(endpoint, host)))
    stream = await opened(server, endpoint)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (finished(server), server.open_streams, left(endpoint)) == ([stream], {}, [])
    await endpoint.close()


async def test_cancelled_while_the_vendor_answers_it_is_closed(
    server: DeepCleerServer, given: Premises, host: MediaHost
) -> None:
    server.stream_pause_s = HOUR_S
    server.faults.queue(Fault(Kind.DELAY))
    endpoint = endpoint_of(server, given)
    await endpoint.open()
    asking = asyncio.create_task(endpoint.submit(file_request(endpoint, host)))
    await asyncio.to_thread(server.wait_for_calls, 1)
    asking.cancel()
    await asyncio.sleep(0)
    server.release()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await endpoint.close()
    assert (len(finished(server)), server.open_streams, left(endpoint)) == (1, {}, [])


async def test_a_stream_that_never_ends_is_given_up_and_closed(
    server: DeepCleerServer, given: Premises, host: MediaHost
) -> None:
    server.stream_pause_s = HOUR_S
    endpoint = endpoint_of(server, given, stream={"slack_s": 0.0, "wait_factor": 1.0})
    await endpoint.open()
    with pytest.raises(EndpointError, match="did not end") as caught:
        await endpoint.submit(file_request(endpoint, host, duration_s=0.5))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)
    assert (len(finished(server)), server.open_streams, left(endpoint)) == (1, {}, [])
    await endpoint.close()


async def test_what_an_earlier_process_left_open_is_closed_at_the_start(
    server: DeepCleerServer, given: Premises
) -> None:
    await given.handles.opened("stream", "left-open")
    endpoint = endpoint_of(server, given)
    assert (await endpoint.open()).note == ""
    assert (finished(server), left(endpoint)) == (["left-open"], [])
    await endpoint.close()


async def test_what_cannot_be_closed_at_the_start_is_a_note_and_tried_next_time(
    server: DeepCleerServer, given: Premises
) -> None:
    await given.handles.opened("stream", "left-open")
    server.other_faults.when(lambda seen: "finish" in seen.path, code(1903))
    endpoint = endpoint_of(server, given)
    assert "1 streams of before" in (await endpoint.open()).note
    assert left(endpoint) == ["left-open"]
    await endpoint.close()


async def test_a_closing_that_is_answered_with_a_code_nobody_knows_is_tried_next_time(
    server: DeepCleerServer, given: Premises
) -> None:
    await given.handles.opened("stream", "left-open")
    for number, still in ((4040, ["left-open"]), (1902, [])):
        server.other_faults.clear()
        server.other_faults.when(lambda seen: "finish" in seen.path, code(number))
        endpoint = endpoint_of(server, given)
        await endpoint.open()
        assert left(endpoint) == still
        await endpoint.close()


async def test_of_two_words_about_one_stretch_the_better_does_not_cover_the_worse(
    server: DeepCleerServer, given: Premises, host: MediaHost
) -> None:
    server.stream_pause_s = HOUR_S
    endpoint = endpoint_of(server, given)
    await endpoint.open()
    request = file_request(endpoint, host)
    asking = asyncio.create_task(endpoint.submit(request))
    stream = await opened(server, endpoint)
    told = [stretch(0, 0, 25), stretch(0, 0, 25, riskLevel="REJECT", riskLabel1="abuse"), END]
    async with httpx.AsyncClient() as vendor:
        for callback in told:
            body = {**callback, "requestId": f"{stream}_0", "btId": request.key}
            assert (await vendor.post(server.calls[0].fields["callback"], json=body)).status_code == 200
    assert any(score.unclean for score in endpoint.read(request, await asking))
    await endpoint.close()


async def test_streams_need_callbacks_and_say_so(server: DeepCleerServer) -> None:
    with pytest.raises(UsageError, match=r"\[callbacks\]"):
        await endpoint_of(server, Premises()).open()
    assert server.requests == []


async def test_too_many_streams_at_once_is_a_rate(
    server: DeepCleerServer, endpoint: DeepCleer, host: MediaHost
) -> None:
    server.max_streams = 0
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(file_request(endpoint, host))
    assert (caught.value.failure, caught.value.vendor_code) == (Failure.RATE_LIMITED, "1901")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://host/a.wav"])
async def test_a_file_without_a_url_that_can_be_pulled_is_refused(
    endpoint: DeepCleer, server: DeepCleerServer, url: str
) -> None:
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, stream_sample(url, FILE, FILE_S)))
    assert (caught.value.failure, server.calls) == (Failure.REFUSED, [])


async def test_a_file_of_unknown_length_is_refused_before_it_costs(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost
) -> None:
    with pytest.raises(EndpointError, match="how long"):
        await endpoint.submit(file_request(endpoint, host, duration_s=0.0))
    assert server.calls == []


# --------------------------------------------------------------------------------------------- what was not heard


@pytest.mark.parametrize(
    ("content", "vendor_code"),
    [(None, "3001"), (b"no sound", "3002"), (sound((0.0, 0.0)), "3004")],
    ids=["gone", "junk", "none"],
)
async def test_a_file_that_the_vendor_cannot_hear_is_not_answered(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost, content: bytes | None, vendor_code: str
) -> None:
    url = f"{host.url}/gone.wav" if content is None else host.put("x.wav", content)
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, stream_sample(url, b"x", FILE_S)))
    error = caught.value
    assert (error.failure, error.vendor_code, error.maybe_charged) == (Failure.REFUSED, vendor_code, False)
    assert (server.tokens_used, left(endpoint)) == (0, [])


@pytest.mark.parametrize(
    ("end", "failure"),
    [(3001, "refused"), (3002, "refused"), (3003, "transient"), (3004, "refused"), (3005, "refused"), (4, "refused")],
)
async def test_a_stream_that_ended_badly_is_not_answered_and_may_be_paid(
    endpoint: DeepCleer, server: DeepCleerServer, host: MediaHost, end: int, failure: str
) -> None:
    server.end_code = end
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(file_request(endpoint, host))
    error = caught.value
    assert (error.failure, error.vendor_code, error.maybe_charged) == (failure, str(end), True)


async def test_an_end_that_the_user_knows_as_natural_is_one(
    server: DeepCleerServer, given: Premises, host: MediaHost
) -> None:
    server.end_code = 3003
    endpoint = endpoint_of(server, given, stream={"natural_ends": [3003]})
    await endpoint.open()
    request = file_request(endpoint, host)
    assert endpoint.read(request, await endpoint.submit(request))
    await endpoint.close()


def of_callbacks(callbacks: list[Any], duration_s: float = 25.0, **table: Any) -> list[Any]:
    endpoint = build(DeepCleerConfig.model_validate(table))
    request = request_of(endpoint, sample_of(duration_s))
    whole = {"code": 1100, "requestId": "task", "btId": request.key, "callbacks": callbacks}
    return endpoint.read(request, Answer(json.dumps(whole), 1))


def sample_of(duration_s: float) -> Sample:
    return stream_sample("https://host/a.wav", FILE, duration_s)


def stretch(number: int, start_s: float, end_s: float, **told: Any) -> dict[str, Any]:
    times = {"audioStartTime": 1_000_000 + start_s * 1000, "audioEndTime": 1_000_000 + end_s * 1000}
    detail = {"riskLevel": "PASS", "auxInfo": times, **told}
    return {"code": 1100, "requestId": f"task_{number}", "statCode": 0, "audioDetail": detail}


END = {"code": 1100, "requestId": "task_9", "statCode": 1, "auxInfo": {}}


def test_a_file_heard_whole_is_answered_in_whatever_order_it_came() -> None:
    bad = stretch(1, 10, 20, riskLevel="REJECT", riskLabel1="abuse")
    (score,) = of_callbacks([END, bad, stretch(2, 20, 25), stretch(0, 0, 10)])
    assert (score.start_s, score.end_s) == (10.0, 20.0)


@pytest.mark.parametrize(
    "callbacks",
    [
        [],
        [END],
        [stretch(0, 0, 10), stretch(1, 10, 20), stretch(2, 20, 25)],
        [stretch(0, 0, 10), stretch(1, 10, 20), END],
        [stretch(0, 0, 10), stretch(2, 20, 25), END],
        [stretch(0, 0, 10), stretch(1, 0, 10), stretch(2, 0, 10), END],
        [stretch(0, 0, 10), {**END, "auxInfo": {"errorCode": 3003}}],
        [stretch(0, 0, 25, auxInfo={}), END],
        [stretch(0, 0, 25, riskLevel=None), END],
        [{**stretch(0, 0, 25), "requestId": "another_0"}, END],
        [{**stretch(0, 0, 25), "code": 1903}, END],
        [{**stretch(0, 0, 25), "btid": "another"}, END],
        [{"code": 1100, "requestId": "task_0", "statCode": 0}, stretch(1, 0, 25), END],
    ],
)
def test_a_file_that_was_not_heard_whole_is_no_answer(callbacks: list[Any]) -> None:
    with pytest.raises(EndpointError) as caught:
        of_callbacks(callbacks)
    assert caught.value.failure is Failure.REFUSED


def test_an_end_that_was_bad_stays_bad() -> None:
    bad_end = {**END, "auxInfo": {"errorCode": 3002}}
    for ends in ([bad_end, END], [END, bad_end]):
        with pytest.raises(EndpointError, match="no valid data"):
            of_callbacks([stretch(0, 0, 25), *ends])


def test_how_much_may_be_missing_is_the_users_to_say() -> None:
    assert of_callbacks([stretch(0, 0, 10), stretch(1, 10, 20), END], stream={"tolerance_s": 5.0})


def test_streams_are_told_by_the_callbacks_id_and_their_own() -> None:
    assert [task_of(told) for told in ("abc_0", "abc_12", "abc", "a_b_3", "_3", "")] == [
        "abc",
        "abc",
        "abc",
        "a_b",
        "_3",
        "",
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"{}", b'{"requestId": null}', b"\xff", b'{"requestId": []}'])
def test_what_strangers_post_is_nobodys(body: bytes) -> None:
    assert sort_callback({}, body) is None


def test_callbacks_are_sorted_whatever_the_case_of_their_names() -> None:
    assert sort_callback({}, b'{"requestid": "abc_7"}') == "abc"


async def test_a_callback_with_another_word_than_ours_does_not_count(
    server: DeepCleerServer, given: Premises, host: MediaHost
) -> None:
    """Posted to the right address, about the right stream, by somebody who does not know the word we gave."""
    server.stream_pause_s = HOUR_S
    endpoint = endpoint_of(server, given, stream={"slack_s": 1.5, "wait_factor": 1.0})
    await endpoint.open()
    asking = asyncio.create_task(endpoint.submit(file_request(endpoint, host, duration_s=0.5)))
    stream = await opened(server, endpoint)
    forged = stream_raw(digest_bytes(b"x"), {"riskLevel": "PASS"}, seconds=0.5)["callbacks"]
    await post(server, stream, forged)
    with pytest.raises(EndpointError, match="did not end"):
        await asking
    await endpoint.close()


async def post(server: DeepCleerServer, stream: str, callbacks: list[dict[str, Any]]) -> None:

    async with httpx.AsyncClient(trust_env=False) as client:
        for number, callback in enumerate(callbacks):
            told = callback | {"requestId": f"{stream}_{number + 50}"}
            assert (await client.post(server.open_streams[stream].callback, json=told)).status_code == 200


async def test_needs_are_streams_by_url_and_chunks_of_all_else(endpoint: DeepCleer) -> None:
    assert endpoint.needs.stream is not None
    assert (endpoint.needs.stream.sound, endpoint.needs.stream.by_url) == (True, True)
    assert endpoint.needs.audio is not None


def test_a_stream_lasts_as_long_as_its_file_where_the_user_says_so() -> None:
    for live, lasts_s in ((False, 0.0), (True, 25.0)):
        config = DeepCleerConfig.model_validate({"stream": {"plays_live": live}})
        sample = sample_of(25.0)
        assert build(config).lasts_s(sample.medium, [sample]) == lasts_s
