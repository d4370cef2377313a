from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from batch_scan.endpoint.visionular.gathering import Gathering
from batch_scan.endpoint.visionular.ids import stream_digest
from batch_scan.errors import EndpointError, Failure
from tests.endpoint.visionular.live import detection, quick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from batch_scan.endpoint.visionular.api import LiveApi

KEY = "202601-0a1b2c3d"
SESSION = base64.urlsafe_b64encode(f"n2h243q7-{KEY}-1763554494".encode()).decode().rstrip("=")
PASSED, REJECTED = ([detection("nude", 0.1, "pass")], [detection("nude", 0.9, "reject")])


def row(number: Any, said: Any, event_id: str = "e-1") -> dict[str, Any]:
    told = said if isinstance(said, str) else json.dumps(said)
    return {
        "id": number,
        "event_id": event_id,
        "channel_id": SESSION,
        "detect_info": told,
        "review_at": 1_763_554_495_000,
    }


def event(alerts: Any) -> bytes:
    info = {"stream_id": "s", "stream_session_id": SESSION}
    whole = {"type": "audit_check", "id": "e-1", "created_at": "2025-11-19T12:14:55Z"}
    return json.dumps(whole | {"data": {"stream_info": info, "alerts": alerts}}).encode()


class Listed:
    """The records that are there, look by look; the last ones stay."""

    def __init__(self, *looks: list[dict[str, Any]] | EndpointError) -> None:
        self.looks = list(looks)

    async def records(self, session: str, page_size: int, max_pages: int) -> AsyncIterator[Mapping[str, Any]]:
        assert session in {"", SESSION}
        assert page_size > 0
        assert max_pages > 0
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, EndpointError):
            raise look
        for one in look:
            yield one


class Posted:
    """A mailbox with these callbacks in it."""

    url = ""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)

    async def next(self, subject: str, timeout_s: float) -> bytes:
        assert (subject, timeout_s) == ("s", 0.0)
        if not self.bodies:
            raise TimeoutError
        return self.bodies.pop(0)

    def forget(self, subject: str) -> None: ...


def gathering(api: Listed, mailbox: Posted | None = None, **table: Any) -> Gathering:
    return Gathering(cast("LiveApi", api), quick(**table), stream_digest(KEY), "s", mailbox)


def said(gathered: Gathering) -> list[Any]:
    return [json.loads(record["detect_info"]) for record in gathered.records]


@pytest.mark.parametrize("number", [7, None])
async def test_a_better_word_does_not_cover_the_worse_that_was_said_of_the_same_picture(number: Any) -> None:
    gathered = gathering(Listed([row(number, REJECTED), row(number, PASSED)], [row(number, PASSED)]))
    await gathered.look()
    await gathered.look()
    assert said(gathered) == [REJECTED, PASSED]


async def test_a_record_that_said_nothing_yet_gives_way_to_what_it_says_later() -> None:
    gathered = gathering(Listed([row(7, [])], [row(7, PASSED)]))
    await gathered.look()
    await gathered.look()
    assert said(gathered) == [PASSED]


@pytest.mark.parametrize("alerts", [None, [], {"type": "nude"}, "nude"])
async def test_an_alert_that_cannot_be_read_is_not_dropped(alerts: Any) -> None:
    gathered = gathering(Listed([]), Posted(event(alerts)))
    await gathered.look()
    assert said(gathered) == [None]


async def test_two_events_of_one_name_are_both_kept() -> None:
    alerts = [[{"type": "nude", "detection_info": one[0]}] for one in (REJECTED, PASSED)]
    gathered = gathering(Listed([]), Posted(*map(event, alerts)))
    await gathered.look()
    assert said(gathered) == [REJECTED, PASSED]


async def test_a_play_of_which_nothing_came_yet_is_waited_for_to_the_end() -> None:
    gathered = gathering(Listed(*[[]] * 8, [row(7, PASSED)]), settle_s=0.0, poll_interval_s=0.01)
    await gathered.settle()
    assert said(gathered) == [PASSED]


BUSY = EndpointError(Failure.TRANSIENT, "503")


async def test_a_play_of_which_something_came_is_not_lost_where_later_looks_fail() -> None:
    gathered = gathering(Listed([row(7, PASSED)], BUSY), settle_s=0.02, settle_max_s=0.1, poll_interval_s=0.01)
    await gathered.settle()
    assert said(gathered) == [PASSED]
    assert not gathered.is_settled


async def test_records_that_go_on_coming_are_not_settled() -> None:
    looks = [[row(number, PASSED)] for number in range(10_000)]
    gathered = gathering(Listed(*looks), settle_s=0.05, settle_max_s=0.1, poll_interval_s=0.001)
    await gathered.settle()
    assert not gathered.is_settled


async def test_records_are_settled_when_none_came_for_a_while_and_no_look_failed() -> None:
    gathered = gathering(Listed(BUSY, [row(7, PASSED)]), settle_s=0.02, settle_max_s=5.0, poll_interval_s=0.01)
    await gathered.settle()
    assert gathered.is_settled


async def test_where_not_one_look_succeeds_the_failure_is_told() -> None:
    gathered = gathering(Listed(BUSY), settle_max_s=0.05, poll_interval_s=0.01)
    with pytest.raises(EndpointError) as caught:
        await gathered.settle()
    assert caught.value is BUSY


async def test_records_without_end_are_not_kept_without_end() -> None:
    gathered = gathering(Listed([row(7, [detection("nude", at / 1000)]) for at in range(1000)]))
    with pytest.raises(EndpointError) as caught:
        await gathered.look()
    assert caught.value.failure is Failure.REFUSED
