from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.sandbox.deepcleer.server import DEFAULT_KEY, DeepCleerServer
from tests.endpoint.deepcleer.kit import BAD_HZ, GOOD_HZ, judge, picture
from tests.endpoint.pulled import MediaHost, sound

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVELOPE = {"accessKey": DEFAULT_KEY, "appId": "sandbox", "eventId": "archive", "type": "POLITY_DIRTY"}


@pytest.fixture
def server() -> Iterator[DeepCleerServer]:
    with DeepCleerServer(judge=judge()) as server:
        yield server


def ask(server: DeepCleerServer, path: str, fields: Any) -> dict[str, Any]:
    told = httpx.post(f"{server.url}{path}", json=fields, trust_env=False, timeout=20)
    assert told.status_code == 200
    body: dict[str, Any] = told.json()
    return body


def of_sound(content: bytes = b"", /, bt_id: str = "b1", **fields: Any) -> dict[str, Any]:
    data = {"tokenId": "t", "formatInfo": "wav", "returnAllText": 1}
    text = base64.b64encode(content or sound((BAD_HZ, 2.0))).decode()
    return {**ENVELOPE, "btId": bt_id, "contentType": "RAW", "content": text, "data": data, **fields}


def of_pictures(*images: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**ENVELOPE, "type": "POLITY_VIOLENT", "data": {"tokenId": "t", "imgs": list(images)}, **fields}


def image(content: bytes, bt_id: str = "i0") -> dict[str, Any]:
    return {"img": base64.b64encode(content).decode(), "btId": bt_id}


def of_stream(url: str, /, callback: str = "http://127.0.0.1:1/", **data: Any) -> dict[str, Any]:
    told = {"tokenId": "t", "btId": "s1", "streamType": "NORMAL", "url": url, "lang": "zh", "returnFinishInfo": 1}
    return {**ENVELOPE, "callback": callback, "data": {**told, **data}}


def test_a_sync_answer_is_nested_and_a_polled_one_is_not(server: DeepCleerServer) -> None:
    sync = ask(server, "/audiomessage/v4", of_sound())
    assert (sync["code"], sync["btId"], sync["detail"]["riskLevel"]) == (1100, "b1", "REJECT")
    assert "riskLevel" not in sync
    assert set(ask(server, "/audio/v4", of_sound(bt_id="b2"))) == {"code", "message", "requestId", "btId"}
    polled: dict[str, Any] = {"code": 1101}
    while polled["code"] == 1101:
        polled = ask(server, "/query_audio/v4", {"accessKey": DEFAULT_KEY, "btId": "b2"})
    assert (polled["code"], polled["riskLevel"], polled["audioTime"]) == (1100, "REJECT", 2)
    assert "detail" not in polled
    (stretch,) = polled["audioDetail"]
    assert (stretch["audioStarttime"], stretch["audioEndtime"]) == (0, 2.0)


def test_a_submission_is_remembered_and_paid_once(server: DeepCleerServer) -> None:
    for _ in range(3):
        assert ask(server, "/audio/v4", of_sound())["code"] == 1100
    assert (server.submissions["b1"].times, server.tokens_used) == (3, 2)
    server.remembered_s = 0.0
    assert ask(server, "/query_audio/v4", {"accessKey": DEFAULT_KEY, "btId": "b1"})["code"] == 1101


@pytest.mark.parametrize(
    "broken",
    [
        {"accessKey": "wrong"},
        {"appId": "another"},
        {"eventId": "another"},
    ],
)
def test_who_is_not_authorised_is_told_9101(server: DeepCleerServer, broken: dict[str, Any]) -> None:
    assert ask(server, "/audiomessage/v4", of_sound(**broken))["code"] == 9101


@pytest.mark.parametrize(
    "broken",
    [
        {"type": ""},
        {"type": "QRCODE"},
        {"businessType": "SING"},
        {"btId": ""},
        {"btId": "b" * 129},
        {"contentType": "FILE"},
        {"content": ""},
        {"content": "no base64"},
        {"data": {}},
        {"data": {"tokenId": "a b", "formatInfo": "wav"}},
        {"data": {"tokenId": "t"}},
        {"data": {"tokenId": "t", "formatInfo": "flac"}},
        {"data": {"tokenId": "t", "formatInfo": "pcm"}},
        {"data": {"tokenId": "t", "formatInfo": "wav", "lang": "xx"}},
        {"data": {"tokenId": "t", "formatInfo": "wav", "unknown": 1}},
        {"unknown": 1},
        {"callback": "http://x"},
    ],
)
def test_a_sound_that_breaks_the_contract_is_told_1902(server: DeepCleerServer, broken: dict[str, Any]) -> None:
    assert ask(server, "/audiomessage/v4", of_sound(**broken))["code"] == 1902
    assert server.tokens_used == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (of_pictures(), 1902),
        (of_pictures(*(image(b"x", f"i{at}") for at in range(13))), 1902),
        (of_pictures(image(b"x"), image(b"y")), 1902),
        (of_pictures(image(b"x", "i" * 31)), 1902),
        (of_pictures({"img": "eA=="}), 1902),
        (of_pictures(image(b"x"), type="DIRTY"), 1902),
        (of_pictures(image(b"x"), businessType="FACE"), 1902),
        (of_pictures(image(b"x"), eventId="another"), 9101),
    ],
)
def test_pictures_that_break_the_contract_are_refused(
    server: DeepCleerServer, fields: dict[str, Any], code: int
) -> None:
    assert ask(server, "/images/v4", fields)["code"] == code


def test_every_picture_has_a_code_of_its_own(server: DeepCleerServer) -> None:
    by_url = {"img": "https://media.example.com/a.jpg", "btId": "i3"}
    prefixed = {"img": "data:image/jpeg;base64,eA==", "btId": "i4"}
    told = ask(
        server,
        "/images/v4",
        of_pictures(image(picture(250, 0, 0)), image(picture(9, 9, 9, 16), "i1"), image(b"x", "i2"), by_url, prefixed),
    )
    assert told["code"] == 1100
    codes = [(one["btId"], one["code"]) for one in told["imgs"]]
    assert codes == [("i0", 1100), ("i1", 1902), ("i2", 1902), ("i3", 1911), ("i4", 1902)]
    assert (told["imgs"][0]["riskLevel"], server.tokens_used) == ("REJECT", 1)


@pytest.mark.parametrize(
    "broken",
    [{"url": "file:///x"}, {"streamType": "AGORA"}, {"lang": "xx"}, {"btId": ""}, {"returnAllText": 2}, {"unknown": 1}],
)
def test_a_stream_that_breaks_the_contract_is_told_1902(server: DeepCleerServer, broken: dict[str, Any]) -> None:
    assert ask(server, "/audiostream/v4", of_stream("http://127.0.0.1:1/a.wav", **broken))["code"] == 1902
    assert not server.open_streams


def test_a_stream_needs_somewhere_to_post_to(server: DeepCleerServer) -> None:
    assert ask(server, "/audiostream/v4", of_stream("http://127.0.0.1:1/a.wav", callback=""))["code"] == 1902


def test_a_stream_is_open_until_it_is_closed_and_the_same_again_is_named(
    server: DeepCleerServer, host: MediaHost
) -> None:
    server.stream_pause_s, server.callback_retries = 3600.0, 0
    url = host.put("a.wav", sound((GOOD_HZ, 2.0)))
    first = ask(server, "/audiostream/v4", of_stream(url))
    again = ask(server, "/audiostream/v4", of_stream(url))
    assert again["detail"] == {"errorcode": 1001, "dupRequestId": first["requestId"]}
    server.max_streams = 1
    assert ask(server, "/audiostream/v4", of_stream(f"{url}?other"))["code"] == 1901
    closing = {"accessKey": DEFAULT_KEY, "requestId": first["requestId"]}
    assert [ask(server, "/finish_audiostream/v4", closing)["code"] for _ in range(2)] == [1100, 1902]
    assert not server.open_streams
    assert [one.request_id for one in server.closed_streams] == [first["requestId"]]


@pytest.fixture
def host() -> Iterator[MediaHost]:
    with MediaHost() as host:
        yield host


def test_what_is_no_json_or_elsewhere_is_refused(server: DeepCleerServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        assert client.post("/images/v4", content=b"{}").json()["code"] == 1902
        assert client.post("/images/v4", content=b"{", headers={"content-type": "application/json"}).status_code == 200
        assert client.post("/elsewhere", json={}).status_code == 404
        assert client.get("/images/v4").status_code == 405


def test_an_account_has_a_rate_and_a_balance(server: DeepCleerServer) -> None:
    server.token_limit = 1
    assert ask(server, "/audiomessage/v4", of_sound())["code"] == 9100
    server.rate_limit = 1
    assert ask(server, "/audiomessage/v4", of_sound())["code"] == 1901


def test_a_sound_longer_than_a_minute_is_not_for_the_sync_call(server: DeepCleerServer) -> None:
    assert ask(server, "/audiomessage/v4", of_sound(sound((0.0, 60.5))))["code"] == 1902
    assert ask(server, "/audiomessage/v4", of_sound(b"no sound"))["code"] == 1905


def test_a_job_is_told_all_it_needs(server: DeepCleerServer) -> None:
    assert server.secrets == {"DEEPCLEER_ACCESS_KEY": DEFAULT_KEY}
    assert json.dumps(server.table)
    assert set(server.table["urls"].values()) == {server.url}
    assert (server.needs_callbacks, DeepCleerServer(judge=judge(), mode="stream").needs_callbacks) == (False, True)


@pytest.mark.parametrize(("status", "code"), [(401, 9101), (402, 9100), (429, 1901), (400, 1902), (500, 1903)])
def test_a_status_on_demand_is_said_as_the_vendor_says_it(server: DeepCleerServer, status: int, code: int) -> None:
    server.faults.queue(server.refusal(status))
    assert ask(server, "/audiomessage/v4", of_sound())["code"] == code
