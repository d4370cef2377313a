from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.errors import MediaError
from batch_scan.media.play import PlaySpec, play
from batch_scan.sandbox.judge import Opinion
from batch_scan.sandbox.visionular.pictures import Taker
from batch_scan.sandbox.visionular.server import DEFAULT_TOKEN, VisionularServer
from batch_scan.sandbox.visionular.streams import detections
from batch_scan.vocabulary import Category
from tests.corpus_media import numbered_video
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAMS = "/live/v1/live-streams"
RECORDS = "/audit/v1/records/moderation-records"
AUDIT = {"frame_interval": 1, "models": {"nude": 0.6, "weapon": 0.8}}


@pytest.fixture
def server() -> Iterator[VisionularServer]:
    with VisionularServer(judge=ScriptedJudge()) as running:
        yield running


@pytest.fixture
def client(server: VisionularServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {DEFAULT_TOKEN}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as made:
        yield made


def made(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(STREAMS, json={"user_metadata": "x", "audit_settings": AUDIT, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def test_a_stream_is_made_as_on_the_vendors_page(client: httpx.Client) -> None:
    answer = client.post(STREAMS, json={"user_metadata": "Demo", "latency_mode": "low", "audit_settings": AUDIT})
    body = answer.json()
    assert (body["code"], body["message"]) == (0, "success")
    told = {name: body["data"][name] for name in ("status", "user_metadata", "audit_settings")}
    assert told == {"status": "idle", "user_metadata": "Demo", "audit_settings": AUDIT}
    assert client.get(f"{STREAMS}/{body['data']['id']}").json()["data"] == body["data"]
    assert client.get(STREAMS).json()["data"] == [body["data"]]


def test_audit_settings_are_changed_and_deleted(client: httpx.Client, server: VisionularServer) -> None:
    stream = made(client)
    changed = {"frame_interval": 5, "models": {"nude": 0.8}}
    answer = client.put(f"{STREAMS}/{stream['id']}/audit-settings", json={"audit_settings": changed})
    assert answer.json()["data"] == {"live_stream_id": stream["id"], "audit_settings": changed}
    answer = client.delete(f"{STREAMS}/{stream['id']}/audit-settings")
    assert (answer.status_code, answer.content) == (204, b"")
    assert server.open_streams == [stream["id"]]
    assert client.put(f"{STREAMS}/{stream['id']}/disable").json()["code"] == 0
    assert not server.left_open
    assert client.put(f"{STREAMS}/{stream['id']}/enable").json()["code"] == 0
    assert server.open_streams == [stream["id"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "unknown"},
        {"user_metadata": 7},
        {"record": 1},
        {"reconnect_window": True},
        {"audit_settings": {"frame_interval": 1}},
        {"audit_settings": AUDIT | {"more": 1}},
        {"audit_settings": AUDIT | {"frame_interval": 0}},
        {"audit_settings": AUDIT | {"frame_interval": 1.5}},
        {"audit_settings": AUDIT | {"frame_interval": True}},
        {"audit_settings": AUDIT | {"models": {}}},
        {"audit_settings": AUDIT | {"models": {"gore": 0.5}}},
        {"audit_settings": AUDIT | {"models": {"nude": 1.5}}},
    ],
)
def test_a_field_that_is_wrong_is_refused(client: httpx.Client, fields: dict[str, Any]) -> None:
    answer = client.post(STREAMS, json=fields)
    assert answer.status_code == answer.json()["code"] == 400
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live/v1/streams", 404),
        ("DELETE", STREAMS, 404),
        ("GET", f"{STREAMS}/nobody", 404),
        ("PUT", f"{STREAMS}/nobody/disable", 404),
        ("GET", f"{RECORDS}?page=0", 400),
        ("GET", f"{RECORDS}?limit=x", 400),
        ("GET", f"{RECORDS}?alert_type=gore", 400),
        ("GET", f"{RECORDS}?order=asc", 400),
        ("POST", "/audit/v1/tasks/stop-audit-task", 400),
    ],
)
def test_a_request_that_is_wrong_is_refused(client: httpx.Client, method: str, path: str, status: int) -> None:
    assert client.request(method, path).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": DEFAULT_TOKEN},
        {"authorization": f"Bearer {DEFAULT_TOKEN}", "auth-type": "use-basic"},
        {"authorization": "Basic dnMtYWNjZXNzLTAxMjM0NTY3ODk6dnMtc2VjcmV0LTAxMjM0NTY3ODk="},
    ],
)
def test_a_key_that_is_wrong_is_refused(server: VisionularServer, headers: dict[str, str]) -> None:
    assert httpx.get(server.url + STREAMS, headers=headers, trust_env=False).status_code == 401


def test_what_is_played_is_looked_at_every_second_and_listed(
    server: VisionularServer, client: httpx.Client, tmp_path: Path
) -> None:
    stream = made(client)
    path = numbered_video(tmp_path / "film.mp4", 2.5)
    asyncio.run(_push(server, stream["stream_key"], path))
    server.wait_until_quiet()
    (session,) = server.sessions
    rows = client.get(RECORDS, params={"stream_session_id": session.id, "alert_type": "nude"}).json()["data"]
    moments_s = [row["review_at"] / 1000 - session.started_s for row in rows]
    assert moments_s == sorted(moments_s, reverse=True)
    assert moments_s[-1] < 1.5
    assert all(0.5 < late - early < 2.5 for early, late in zip(moments_s[1:], moments_s, strict=False))
    assert len(rows) >= 2
    assert {one["risk_level"] for row in rows for one in json.loads(row["detect_info"])} == {"pass"}
    assert client.get(RECORDS, params={"page": "2", "limit": "1"}).json()["data"] == rows[1:2]
    assert server.tokens_used == 3
    assert server.open_audit_tasks == [session.id]
    answer = client.post("/audit/v1/tasks/stop-audit-task", json={"stream_session_id": session.id})
    assert answer.json()["message"] == "stop audit task success"
    assert not server.open_audit_tasks


async def test_nobody_publishes_under_a_key_that_is_unknown_disabled_or_in_use(
    server: VisionularServer, client: httpx.Client, tmp_path: Path
) -> None:
    path = numbered_video(tmp_path / "film.mp4", 20)
    disabled, used = server.create_stream(), server.create_stream()
    await asyncio.to_thread(client.put, f"{STREAMS}/{disabled.id}/disable")
    pushing = asyncio.create_task(_push(server, used.key, path))
    await asyncio.to_thread(server.wait_for_sessions, 1)
    for key in ("202601-nobodys", disabled.key, used.key):
        with pytest.raises(MediaError, match="there is no such stream"):
            await _push(server, key, path)
    await asyncio.to_thread(client.put, f"{STREAMS}/{used.id}/disable")  # cuts off whoever publishes
    with pytest.raises(MediaError):
        await pushing
    await asyncio.to_thread(server.wait_until_quiet)
    assert len(server.sessions) == 1


async def _push(server: VisionularServer, key: str, path: Path) -> None:
    await play(path, 0, f"{server.ingest_url}/{key}", PlaySpec(), duration_s=20.0)


@pytest.mark.parametrize(
    ("score", "risk"), [(0.0, "pass"), (0.44, "pass"), (0.5, "review"), (0.6, "reject"), (1.0, "reject")]
)
def test_a_confidence_is_graded_by_its_threshold(score: float, risk: str) -> None:
    said = detections({"models": {"nude": 0.6}}, [Opinion(Category.SEXUAL, score), Opinion(Category.WEAPON, 1.0)])
    assert said == [{"model": "nude", "confidence": score, "risk_level": risk, "bounding_box": [0, 0, 0, 0]}]


@pytest.mark.parametrize("tag", [b"", b"\x17", b"\x12\x00\x00\x00\x00", b"\x90hvc1\x00\x00"])
def test_anything_but_h264_is_refused(tag: bytes) -> None:
    with pytest.raises(ValueError, match=r"H\.264"):
        Taker(1.0).take(tag, 0.0)


def test_a_server_says_what_a_job_needs_to_ask_it(server: VisionularServer) -> None:
    assert server.table == {"base_url": server.url, "ingest_url": server.ingest_url, "settle_max_s": 60.0}
    assert server.secrets == {"VISIONULAR_ACCESS_TOKEN": DEFAULT_TOKEN}
    assert server.ingest_url.startswith("rtmp://127.0.0.1:")
