"""The vendor's own library and ours, against the same server: what goes over the wire is the same."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from batch_scan import __version__
from batch_scan.endpoint.stream import wire
from batch_scan.endpoint.stream.client import StreamClient
from batch_scan.endpoint.stream.followup import sorter
from batch_scan.secret import Secret
from tests.endpoint.stream.kit import picture_sample
from tests.sandbox.judges import Red

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the library's dependencies are warned of is not ours to mend
    from getstream import Stream
    from getstream.exceptions import StreamRateLimitException
    from getstream.models import ModerationPayload, OnlyUserID
    from getstream.webhook import verify_signature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_scan.sandbox.exchange import Seen
    from batch_scan.sandbox.stream.server import StreamServer
    from tests.endpoint.stream.kit import StreamHarness

PUBLISHED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIFFERENT = {
    "host",  # the same, but for the port of each server
    "user-agent",
    "x-stream-client",
    "x-client-request-id",
    "accept-encoding",
    "content-length",
    "content-type",
}
"""Headers that differ on purpose or by nature; each is looked at by itself."""


@pytest.fixture
def sdk(server: StreamServer) -> Iterator[Stream]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with httpx.Client(trust_env=False) as http:  # handed in, so that it can be closed
            yield Stream(api_key=server.key, api_secret=server.secret, base_url=server.url, http_client=http)


@pytest.fixture
async def ours(harness: StreamHarness) -> StreamClient:
    config = harness.endpoint(
        policy={"ai_text": [{"label": "INSULT", "action": "flag"}]}, content_published_at=PUBLISHED.isoformat()
    ).config
    return StreamClient(config)


def as_sent(seen: Seen, path: str) -> tuple[Any, ...]:
    """Return what must be the same: method, path, query, headers, body."""
    headers = {name: value for name, value in seen.headers.items() if name not in DIFFERENT}
    kind = seen.headers.get("content-type", "").partition(";")[0]
    return seen.method, seen.path, path, dict(seen.query), headers, kind, seen.fields, seen.digest, seen.status


def pair(server: StreamServer, number: int = 2) -> tuple[Seen, Seen]:
    """Return the latest two requests: the library's and ours."""
    assert len(server.requests) == number
    first, second = server.requests[-2:]
    return first, second


def assert_same(first: Seen, second: Seen) -> None:
    assert as_sent(first, first.path) == as_sent(second, second.path)
    assert first.status in {200, 201}
    assert json.dumps(first.fields, sort_keys=True) == json.dumps(second.fields, sort_keys=True)


async def test_a_policy_is_written_the_same(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    sdk.moderation.upsert_config(
        key="custom:archive", ai_text_config={"rules": [{"label": "INSULT", "action": "flag"}]}
    )
    async with ours:
        await ours.upsert_config(wire.policy_body("custom:archive", ours.config.policy))
    assert_same(*pair(server))


async def test_a_policy_is_read_the_same(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    config = sdk.moderation.get_config("custom:archive").data.config
    assert config is not None
    assert [rule.label for rule in config.ai_text_config.rules][:2] == ["INSULT", "HATE_SPEECH"]
    async with ours:
        await ours.get_config("custom:archive")
    assert_same(*pair(server))


async def test_texts_are_checked_the_same(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    told = sdk.moderation.check(
        entity_type="external:call",
        entity_id="bs-1",
        entity_creator_id="batch-scan",
        config_key="custom:archive",
        content_published_at=PUBLISHED,
        moderation_payload=ModerationPayload(texts=["you idiot", "a fine day"]),
    ).data
    assert (told.status, told.recommended_action) == ("complete", "flag")
    assert told.item.flags[0].labels == ["INSULT"]
    assert abs((told.item.created_at - datetime.now(UTC)).total_seconds()) < 60.0  # nanoseconds, as the library wants
    async with ours:
        await ours.check("bs-1", {"texts": ["you idiot", "a fine day"]})
    assert_same(*pair(server))


async def test_the_review_queue_is_asked_the_same(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    sdk.moderation.query_review_queue(filter={"entity_id": "bs-1"}, limit=10, next="at-5")
    async with ours:
        await ours.review_queue(wire.queue_body({"entity_id": "bs-1"}, limit=10, after="at-5"))
    assert_same(*pair(server))


async def test_an_action_is_submitted_the_same(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    async with ours:
        await ours.check("bs-1", {"texts": ["you idiot"]})
        sdk.moderation.submit_action(action_type="mark_reviewed", item_id="item-1", mark_reviewed={})
        await ours.submit_action(wire.action_body("mark_reviewed", "item-1", {}))
    assert_same(*pair(server, 3))


async def test_a_picture_is_uploaded_and_deleted_the_same(
    server: StreamServer, sdk: Stream, ours: StreamClient, tmp_path: Path
) -> None:
    picture = picture_sample(Red)
    assert picture.data is not None
    (tmp_path / "frame.jpg").write_bytes(picture.data)
    url = sdk.upload_image(str(tmp_path / "frame.jpg"), user=OnlyUserID(id="batch-scan")).data.file
    async with ours:
        reply = await ours.upload_image(picture.data, "image/jpeg")
        first, second = pair(server)
        assert_same(first, second)
        assert (first.file_name, first.mime) == (second.file_name, second.mime) == ("frame.jpg", "image/jpeg")
        assert first.headers["content-length"] == second.headers["content-length"]  # so the other parts are the same
        sdk.delete_image(url=url)
        await ours.delete_image(reply.json["file"])
    first, second = pair(server, 4)
    assert (first.method, first.path, set(first.query)) == (second.method, second.path, set(second.query))
    assert not server.open_uploads


async def test_rates_are_asked_the_same(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    server.rates = {"Check": 300}
    assert sdk.get_rate_limits(server_side=True).data.server_side["Check"].limit == 300
    async with ours:
        await ours.rate_limits()
    assert_same(*pair(server))


async def test_what_differs_is_this(server: StreamServer, sdk: Stream, ours: StreamClient) -> None:
    sdk.moderation.query_review_queue(limit=1, filter={})
    async with ours:
        await ours.review_queue(wire.queue_body({}, limit=1))
    first, second = pair(server)
    differing = {
        name: (first.headers.get(name), second.headers.get(name))
        for name in {*first.headers, *second.headers}
        if first.headers.get(name) != second.headers.get(name)
    }
    ids = differing.pop("x-client-request-id")
    assert all(value is not None and len(value) == 36 for value in ids)
    assert differing.pop("accept-encoding")[1] == "identity"  # no compressed answers: one can unpack to anything
    assert differing == {
        "user-agent": (f"python-httpx/{httpx.__version__}", f"batch-scan/{__version__}"),
        "x-stream-client": (f"stream-python-client-{version('getstream')}", f"batch-scan-{__version__}"),
    }
    assert jwt.decode(second.headers["authorization"], server.secret, algorithms=["HS256"]) == {}


def test_the_library_reads_a_429_of_the_server(server: StreamServer, sdk: Stream) -> None:
    server.rate_limit = 0
    with pytest.raises(StreamRateLimitException) as caught:
        sdk.moderation.check(
            entity_type="external:call",
            entity_id="bs-1",
            entity_creator_id="x",
            config_key="custom:archive",
            moderation_payload=ModerationPayload(texts=["hello"]),
        )
    assert caught.value.code == 9


def test_the_library_takes_our_signature_check_for_its_own(server: StreamServer) -> None:
    body = json.dumps({"type": "moderation_check.completed", "entity_id": "bs-1"}).encode()
    right = hmac.new(server.secret.encode(), body, hashlib.sha256).hexdigest()
    sort = sorter(Secret(server.secret))
    for signature in (right, right[:-1] + "0", right.upper(), "", "é"):
        theirs = signature.isascii() and verify_signature(body, signature, server.secret)
        assert (sort({"x-signature": signature}, body) == "bs-1") == theirs
