from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.deepcleer import images
from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import DeepCleer, build
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Digest
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.vocabulary import Category, Reason
from tests.endpoint.deepcleer.kit import frame_sample, picture, request_of, table_of
from tests.endpoint.deepcleer.test_files import code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.model import Request
    from batch_scan.sandbox.deepcleer.server import DeepCleerServer

PICTURES = [picture(0, 20 * number, 200) for number in range(11)] + [picture(250, 0, 0)]


@pytest.fixture
async def endpoint(server: DeepCleerServer) -> AsyncIterator[DeepCleer]:
    endpoint = build(DeepCleerConfig.model_validate(table_of(server.url)))
    await endpoint.open()
    yield endpoint
    await endpoint.close()


def twelve(endpoint: DeepCleer) -> Request:
    return request_of(endpoint, *(frame_sample(content, 5.0 * at) for at, content in enumerate(PICTURES)))


async def test_twelve_pictures_go_in_one_call_and_each_is_judged_at_its_own_second(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    request = twelve(endpoint)
    answer = await endpoint.submit(request)
    (seen,) = server.calls
    names = [image["btId"] for image in seen.fields["data"]["imgs"]]
    assert names == [f"{request.key[:24]}-{place:02}" for place in range(12)]
    assert seen.fields["type"] == "POLITY_EROTIC_VIOLENT"
    assert (answer.tokens_charged, server.tokens_used) == (12, 12)
    scores = endpoint.read(request, answer)
    assert len({score.sample_digest for score in scores}) == 12
    (bad,) = [score for score in scores if score.unclean]
    assert (bad.category, bad.start_s, bad.severity) == (Category.VIOLENCE, 55.0, "REJECT")
    assert endpoint.shortfall(request, answer) is None


async def test_one_picture_of_an_answer_can_be_read_again(endpoint: DeepCleer) -> None:
    request = twelve(endpoint)
    answer = await endpoint.submit(request)
    own = request.samples[11]
    blanks = tuple(sample if sample is own else replace(own, digest=Digest(""), data=b"") for sample in request.samples)
    again = replace(request, samples=blanks, key="")
    assert [score.unclean for score in endpoint.read(again, answer)] == [True]


async def test_a_picture_that_is_refused_leaves_the_others_answered_and_the_file_unfinished(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    small = frame_sample(picture(0, 0, 9, side=16), 60.0)
    request = request_of(endpoint, frame_sample(PICTURES[11], 5.0), small)
    answer = await endpoint.submit(request)
    assert (answer.tokens_charged, server.tokens_used, len(server.calls)) == (1, 1, 1)
    assert [score.start_s for score in endpoint.read(request, answer)] == [5.0]
    shortfall = endpoint.shortfall(request, answer)
    assert shortfall is not None
    assert (shortfall.reason, "1902" in shortfall.detail) == (Reason.SAMPLE_REFUSED, True)
    of_the_other = (request.samples[0], replace(small, digest=Digest(""), data=b""))
    assert endpoint.shortfall(replace(request, samples=of_the_other, key=""), answer) is None


async def test_a_call_in_which_every_picture_is_refused_is_refused(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    small = frame_sample(picture(0, 0, 9, side=16))
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, small))
    assert (caught.value.failure, caught.value.vendor_code) == (Failure.REFUSED, "1902")
    assert (caught.value.maybe_charged, server.tokens_used) == (False, 0)


@pytest.mark.parametrize("number", [1901, 1903, 1911])
async def test_a_picture_that_failed_for_now_is_asked_about_again_alone(
    endpoint: DeepCleer, server: DeepCleerServer, number: int
) -> None:
    server.image_codes[digest_bytes(PICTURES[3])] = [number]
    request = twelve(endpoint)
    answer = await endpoint.submit(request)
    first, second = server.calls
    assert [image["btId"] for image in second.fields["data"]["imgs"]] == [f"{request.key[:24]}-03"]
    assert len(first.fields["data"]["imgs"]) == 12
    assert (answer.tokens_charged, server.tokens_used) == (12, 12)
    assert len(endpoint.read(request, answer)) >= 12
    assert endpoint.shortfall(request, answer) is None


async def test_of_two_words_about_a_picture_asked_about_again_neither_counts(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    server.image_codes[digest_bytes(PICTURES[3])] = [1903]
    server.faults.queue(Fault(Kind.CHANGE, change=lambda body: body))
    server.faults.queue(Fault(Kind.CHANGE, change=lambda body: {**body, "imgs": body["imgs"] * 2}))
    request = twelve(endpoint)
    answer = await endpoint.submit(request)
    gap = endpoint.shortfall(request, answer)
    assert gap is not None
    assert "did not judge 1 picture" in gap.detail


async def test_a_picture_that_goes_on_failing_fails_the_request_to_be_asked_another_time(
    endpoint: DeepCleer, server: DeepCleerServer
) -> None:
    server.image_codes[digest_bytes(PICTURES[3])] = [1903] * images.ROUNDS
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(twelve(endpoint))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, True)
    assert len(server.calls) == images.ROUNDS


@pytest.mark.parametrize("number", [9100, 9101])
async def test_a_picture_over_which_the_account_is_refused_stops_the_endpoint(
    endpoint: DeepCleer, server: DeepCleerServer, number: int
) -> None:
    server.image_codes[digest_bytes(PICTURES[0])] = [number]
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(twelve(endpoint))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.FATAL, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"imgs": None},
        {"imgs": []},
        {"imgs": [{"code": 1100, "btId": "of-somebody-else", "riskLevel": "PASS"}]},
        {"imgs": [{"code": 1100, "riskLevel": "PASS"}]},
        {"imgs": [1]},
    ],
)
async def test_an_answer_that_does_not_speak_of_our_picture_is_paid_and_no_answer(
    endpoint: DeepCleer, server: DeepCleerServer, body: dict[str, Any]
) -> None:
    server.faults.queue(code(1100, **body))
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_of(endpoint, frame_sample(PICTURES[0])))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)


async def test_a_picture_under_a_url_is_named_by_it(endpoint: DeepCleer, server: DeepCleerServer) -> None:
    url = "https://media.example.com/a.jpg"
    server.urls[url] = PICTURES[0]
    request = request_of(endpoint, replace(frame_sample(PICTURES[0]), data=None, url=url))
    assert endpoint.read(request, await endpoint.submit(request))


async def test_the_largest_pictures_that_are_taken_fit_into_one_call(server: DeepCleerServer) -> None:
    for number in (1, 5, 12):
        table = table_of(server.url, images_per_request=number, limit={"max_attempts": 1})
        endpoint = build(DeepCleerConfig.model_validate(table))
        frame = endpoint.needs.frame
        assert frame is not None
        assert (frame.samples, frame.sample_bytes) == (number, endpoint.config.max_image_bytes)
        await endpoint.open()
        filler = [
            frame_sample(PICTURES[place].ljust(frame.sample_bytes, b"\0"), float(place)) for place in range(number)
        ]
        answer = await endpoint.submit(request_of(endpoint, *filler))
        assert answer.bytes_sent > 9_900_000
        await endpoint.close()
