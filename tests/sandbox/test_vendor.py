"""What every server of the sandbox inherits; the rest shows in SafeComms' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.sandbox import faults
from batch_scan.sandbox.judge import JudgeClosedError
from batch_scan.sandbox.vendor import Refusal, Seen, Told, VendorServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request


class ToyServer(VendorServer):
    name = "toy"

    def __init__(self) -> None:
        super().__init__()
        self.open_streams: dict[str, str] = {}
        self.open_uploads: set[str] = set()
        self.open_word = "ajar"

    @property
    def secrets(self) -> Mapping[str, str]:
        return {"TOY_KEY": "a-key"}

    @property
    def table(self) -> Mapping[str, Any]:
        return {"base_url": self.url}

    def judges(self, method: str, path: str) -> bool:
        return path == "/judge"

    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        if body == b"late":
            raise JudgeClosedError
        if body == b"bug":
            raise LookupError("a bug")
        if body == b"bad":
            raise Refusal(Told({"no": "thanks"}, 422))
        seen.tokens = 3
        return Told(["a", "list"])


@pytest.fixture
def server() -> Iterator[ToyServer]:
    with ToyServer() as started:
        yield started


def _ask(server: ToyServer, body: bytes = b"") -> httpx.Response:
    return httpx.post(f"{server.url}/judge", content=body, trust_env=False)


def test_what_is_open_is_told_by_kind_and_what_is_closed_is_not(server: ToyServer) -> None:
    assert dict(server.left_open) == {}
    server.open_streams["s1"] = "playing"
    server.open_uploads.update({"u1", "u2"})
    assert {kind: sorted(things) for kind, things in server.left_open.items()} == {
        "streams": ["s1"],
        "uploads": ["u1", "u2"],
    }
    server.open_uploads.clear()
    assert set(server.left_open) == {"streams"}


def test_answers_are_charged_and_refusals_are_not(server: ToyServer) -> None:
    assert _ask(server).json() == ["a", "list"]
    refused = _ask(server, b"bad")
    assert (refused.status_code, refused.json()) == (422, {"no": "thanks"})
    assert (server.tokens_used, len(server.calls), len(server.answered)) == (3, 2, 1)


def test_only_the_latest_requests_are_remembered_and_all_are_counted(server: ToyServer) -> None:
    server.keep_requests = 3
    for _ in range(11):
        _ask(server)
    assert 3 <= len(server.requests) < 6
    assert [seen.number for seen in server.requests][-3:] == [9, 10, 11]
    assert (server.arrived, server.noted, server.tokens_used) == (11, 11, 33)


def test_a_status_on_demand_has_no_body_where_the_vendor_says_nothing_of_it(server: ToyServer) -> None:
    server.faults.queue(server.refusal(503))
    answer = _ask(server)
    assert (answer.status_code, answer.content) == (503, b"")
    assert server.tokens_used == 0


def test_an_answer_that_is_no_object_stays_as_it_is_where_fields_should_be_changed(server: ToyServer) -> None:
    server.faults.queue(faults.changed(field=None))
    assert _ask(server).json() == ["a", "list"]


def test_an_answer_can_stand_in_for_another(server: ToyServer) -> None:
    server.faults.queue(Told({"slow": "down"}, 429, {"retry-after": "7"}).as_fault)
    answer = _ask(server)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (429, {"slow": "down"}, "7")
    assert answer.headers["content-type"] == "application/json"


def test_who_asks_when_the_judge_is_gone_gets_no_answer_and_nobody_is_to_blame() -> None:
    with ToyServer() as server, pytest.raises(httpx.RemoteProtocolError):
        _ask(server, b"late")


def test_a_bug_in_a_server_is_raised_where_it_is_stopped(expected_errors: list[str]) -> None:
    expected_errors.append("Exception in ASGI application")
    server = ToyServer().start()
    assert _ask(server, b"bug").status_code == 500
    with pytest.raises(LookupError, match="a bug"):
        server.stop()


def test_a_server_that_cannot_start_says_at_once_why() -> None:
    class Broken(ToyServer):
        async def _serve(self, listening: socket.socket) -> None:
            raise OSError(98, "the other port is taken")

    server = Broken()
    with pytest.raises(OSError, match="the other port is taken"):
        server.start()
    server.stop()


def test_a_taken_port_is_an_os_error(server: ToyServer) -> None:
    with pytest.raises(OSError, match="in use"):
        ToyServer().start(int(server.url.rpartition(":")[2]))
