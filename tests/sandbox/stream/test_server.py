from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from batch_scan.sandbox.faults import Kind
from batch_scan.sandbox.judge import Opinion
from batch_scan.sandbox.stream.judging import Flagged, gravest, judge_picture, judge_text
from batch_scan.sandbox.stream.server import JOB_POLICY, POLICY_KEY, StreamServer
from batch_scan.vocabulary import Category
from tests.sandbox.judges import Red
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "/api/v2/moderation/check"
CONFIG = "/api/v2/moderation/config"
QUEUE = "/api/v2/moderation/review_queue"
ACTION = "/api/v2/moderation/submit_action"
UPLOADS = "/api/v2/uploads/image"
JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def server() -> Iterator[StreamServer]:
    judge = ScriptedJudge(
        pictures={Red: [Opinion(Category.VIOLENCE, 0.9)]},
        words={"idiot": [Opinion(Category.HARASSMENT, 0.6, "idiot")], "damn": [Opinion(Category.PROFANITY, 0.9)]},
    )
    with StreamServer(judge=judge, async_delay_s=math.inf) as server:
        yield server


@pytest.fixture
def client(server: StreamServer) -> Iterator[httpx.Client]:
    token = jwt.encode({}, server.secret, algorithm="HS256")
    headers = {"authorization": token, "stream-auth-type": "jwt"}
    with httpx.Client(base_url=server.url, params={"api_key": server.key}, headers=headers, trust_env=False) as client:
        yield client


def check(*texts: str, **fields: Any) -> dict[str, Any]:
    body = {
        "entity_type": "external:call",
        "entity_id": "e1",
        "entity_creator_id": "u1",
        "config_key": POLICY_KEY,
        "moderation_payload": {"texts": list(texts or ("a fine day",))},
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def upload(client: httpx.Client, content: bytes = JPEG, user: str = '{"id": "u1"}') -> httpx.Response:
    return client.post(UPLOADS, data={"user": user}, files={"file": ("f.jpg", content, "image/jpeg")})


# ------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("params", "headers"),
    [
        ({"api_key": "another"}, {}),
        ({}, {"authorization": ""}),
        ({}, {"authorization": "Bearer x"}),
        ({}, {"authorization": jwt.encode({}, "y" * 64, algorithm="HS256")}),
        ({}, {"stream-auth-type": "anonymous"}),
    ],
)
def test_whoever_has_not_the_apps_key_and_secret_is_refused(
    server: StreamServer, client: httpx.Client, params: dict[str, str], headers: dict[str, str]
) -> None:
    answer = client.post(CHECK, params={**client.params, **params}, headers=headers, json=check())
    assert (answer.status_code, answer.json()["code"], answer.json()["StatusCode"]) == (401, 5, 401)
    assert set(answer.json()) == {"code", "message", "StatusCode", "duration", "more_info", "details"}
    assert server.tokens_used == 0


# ----------------------------------------------------------------------------------------------------------- checks


def test_a_clean_text_is_kept_and_has_no_item(server: StreamServer, client: httpx.Client) -> None:
    answer = client.post(CHECK, json=check())
    assert (answer.status_code, answer.json()) == (
        201,
        {"duration": "0.00ms", "status": "complete", "recommended_action": "keep"},
    )
    assert (server.tokens_used, server.calls[0].tokens) == (1, 1)


def test_the_gravest_action_over_all_texts_is_recommended(client: httpx.Client) -> None:
    answer = client.post(CHECK, json=check("good", "you idiot", "damn")).json()
    assert answer["recommended_action"] == answer["item"]["recommended_action"] == "flag"
    assert [flag["labels"] for flag in answer["item"]["flags"]] == [["INSULT"], ["profanity_en"]]
    assert answer["item"]["ai_text_severity"] == "medium"
    assert isinstance(answer["item"]["created_at"], int)
    assert answer["item"]["created_at"] > 1e18


@pytest.mark.parametrize(
    "body",
    [
        check(entity_id=None),
        check(entity_type=""),
        check(entity_creator_id=None),
        check(config_key=None),
        check(moderation_payload={}),
        check(moderation_payload={"texts": "x"}),
        check(moderation_payload={"texts": ["x"], "sounds": []}),
        check(moderation_payload={"images": [f"https://example.com/{n}.jpg" for n in range(31)]}),
        check(moderation_payload={"audios": [f"https://example.com/{n}.mp3" for n in range(11)]}),
        check(moderation_payload={"images": ["https://example.com/not-there.jpg"]}),
        check(entity_type="stream:chat:v1:message"),
        check(content_published_at="yesterday"),
        check(content_published_at=1767225600),
        check(options={"force_sync": "yes"}),
        check(options={"hurry": True}),
        check(surprise=1),
        [check()],
    ],
)
def test_what_breaks_the_contract_is_refused_and_not_charged(
    server: StreamServer, client: httpx.Client, body: Any
) -> None:
    answer = client.post(CHECK, json=body)
    assert (answer.status_code, answer.json()["code"], server.tokens_used) == (400, 4, 0)


@pytest.mark.parametrize(("content", "kind", "status"), [(b"{", "application/json", 400), (b"{}", "text/plain", 415)])
def test_a_body_that_is_not_json_is_refused(client: httpx.Client, content: bytes, kind: str, status: int) -> None:
    assert client.post(CHECK, content=content, headers={"content-type": kind}).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHECK),
        ("POST", "/api/v2/moderation/nothing"),
        ("PUT", CONFIG),
        ("GET", QUEUE),
        ("POST", "/"),
        ("GET", "/"),
    ],
)
def test_other_paths_and_methods_are_not_found(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path, json={}).status_code == 404


def test_a_policy_that_is_missing_is_not_found(server: StreamServer, client: httpx.Client) -> None:
    answer = client.post(CHECK, json=check(config_key="custom:none"))
    assert (answer.status_code, answer.json()["code"], server.tokens_used) == (404, 16, 0)


def test_the_rate_is_told_and_kept(server: StreamServer, client: httpx.Client) -> None:
    server.rate_limit = 2
    answers = [client.post(CHECK, json=check()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["code"] == 9
    assert int(answers[2].headers["x-ratelimit-reset"]) > 1_700_000_000
    assert 0 < int(answers[2].headers["retry-after"]) <= 60
    server.retry_after = server.rate_headers = False
    told = client.post(CHECK, json=check()).headers
    assert not {"retry-after", "x-ratelimit-limit"} & set(told)


def test_a_refusal_on_demand_speaks_the_vendors_words(server: StreamServer, client: httpx.Client) -> None:
    server.faults.queue(server.refusal(503))
    answer = client.post(CHECK, json=check())
    assert (answer.status_code, answer.json()["StatusCode"]) == (503, 503)
    assert server.calls[0].fault is Kind.ANSWER


# --------------------------------------------------------------------------------------------------------- pictures


def test_an_upload_lies_there_until_it_is_deleted(server: StreamServer, client: httpx.Client) -> None:
    url = upload(client).json()["file"]
    assert server.open_uploads == {url: JPEG}
    assert server.left_open == {"uploads": server.open_uploads}
    answer = client.post(CHECK, json=check(moderation_payload={"images": [url]})).json()
    assert (answer["status"], answer["recommended_action"]) == ("partial", "keep")
    assert server.pending == {"e1"}
    deleted = [client.delete(UPLOADS, params={**client.params, "url": url}).status_code for _ in range(2)]
    assert (deleted, server.left_open) == ([200, 404], {})


@pytest.mark.parametrize(
    ("content", "user"), [(b"no picture", '{"id": "u1"}'), (JPEG, "{}"), (JPEG, "u1"), (JPEG, '{"id": 1}')]
)
def test_an_upload_that_is_none_is_refused(
    server: StreamServer, client: httpx.Client, content: bytes, user: str
) -> None:
    assert upload(client, content, user).status_code == 400
    assert not server.open_uploads


def test_an_upload_without_its_file_or_its_form_is_refused(client: httpx.Client) -> None:
    assert client.post(UPLOADS, data={"user": '{"id": "u1"}'}, files={"other": b"x"}).status_code == 400
    assert client.post(UPLOADS, json={}).status_code == 415
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post(UPLOADS, content=b"nonsense", headers=broken).status_code == 400


# --------------------------------------------------------------------------------------------------------- policies


def test_a_policy_that_is_pushed_judges(client: httpx.Client) -> None:
    rules = {"rules": [{"label": "INSULT", "action": "bounce"}]}
    assert client.post(CONFIG, json={"key": "custom:mine", "ai_text_config": rules}).status_code == 201
    kept = client.get(f"{CONFIG}/custom%3Amine").json()["config"]
    assert (kept["key"], kept["ai_text_config"]) == ("custom:mine", rules)
    assert "Explicit" in [one["label"] for one in kept["ai_image_label_definitions"]]
    answer = client.post(CHECK, json=check("you idiot", "damn", config_key="custom:mine")).json()
    assert answer["recommended_action"] == "bounce"


def test_a_policy_is_replaced_as_a_whole(server: StreamServer, client: httpx.Client) -> None:
    before = client.get(f"{CONFIG}/{POLICY_KEY}").json()["config"]
    client.post(CONFIG, json={"key": POLICY_KEY})
    after = server.policies.by_key[POLICY_KEY]
    assert "ai_text_config" in before
    assert "ai_text_config" not in after
    assert after["created_at"] == before["created_at"] < after["updated_at"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key": 5},
        {"key": "k", "what": {}},
        {"key": "k", "ai_text_config": {"rules": [{"label": "INSULT", "action": "burn"}]}},
        {"key": "k", "ai_text_config": {"rules": [{"action": "flag"}]}},
        {"key": "k", "ai_text_config": {"rules": ["INSULT"]}},
        {"key": "k", "ai_text_config": {"rules": [{"label": "X", "severity_rules": [{"severity": "mild"}]}]}},
        {"key": "k", "block_list_config": {"rules": [{"action": "flag"}]}},
        {"key": "k", "ai_image_config": {"rules": [{"label": "Explicit", "action": "mask"}]}},
        {"key": "k", "ai_image_config": {"rules": [{"label": "Explicit", "action": "flag", "min_confidence": 101}]}},
        {"key": "k", "ai_image_config": {"surprise": []}},
    ],
)
def test_a_policy_that_cannot_be_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    assert client.post(CONFIG, json=body).status_code == 400


def test_severities_and_confidences_decide_as_the_policy_says() -> None:
    rule = {"label": "INSULT", "action": "flag", "severity_rules": [{"severity": "critical", "action": "remove"}]}
    policy = {"ai_text_config": {"rules": [rule]}, "ai_image_config": {"rules": [dict(JOB_POLICY["ai_image"][0])]}}
    told = [judge_text("x", [Opinion(Category.HARASSMENT, score)], policy, {})[0] for score in (0.2, 0.95)]
    assert [(one.severity, one.action) for one in told] == [("low", "flag"), ("critical", "remove")]
    assert [bool(judge_picture([Opinion(Category.SEXUAL, score)], policy)) for score in (0.5, 0.7)] == [False, True]
    assert gravest([Flagged("e", "a", "shadow"), Flagged("e", "b", "flag")]) == "shadow"
    assert gravest([]) == "keep"


def test_a_block_list_holds_what_it_is_given() -> None:
    policy = {"block_list_config": {"rules": [{"name": "rivals", "action": "mask"}]}}
    assert judge_text("buy ACME now", [], policy, {"rivals": ["acme"]}) == [Flagged("block_list", "rivals", "mask")]
    assert judge_text("buy now", [], policy, {"rivals": ["acme"]}) == []


# ------------------------------------------------------------------------------------------------------------ queue


def test_the_queue_is_filtered_and_paged(client: httpx.Client) -> None:
    for number in range(5):
        client.post(CHECK, json=check("you idiot", entity_id=f"e{number}"))
    first = client.post(QUEUE, json={"limit": 3, "filter": {"entity_type": "external:call"}}).json()
    rest = client.post(QUEUE, json={"limit": 3, "next": first["next"]}).json()
    assert [item["entity_id"] for item in first["items"] + rest["items"]] == [f"e{number}" for number in range(5)]
    assert "next" not in rest
    found = client.post(
        QUEUE, json={"filter": {"entity_id": {"$in": ["e3", "e9"]}, "status": {"$eq": "complete"}}}
    ).json()
    assert [item["entity_id"] for item in found["items"]] == ["e3"]
    newest = client.post(QUEUE, json={"sort": [{"field": "created_at", "direction": -1}], "limit": 1}).json()
    assert newest["items"][0]["entity_id"] == "e4"
    assert client.post(QUEUE, json={"filter": {"entity_id": "e9"}}).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 101},
        {"limit": "5"},
        {"next": "yours"},
        {"filter": []},
        {"filter": {"status": {"$like": "x"}}},
        {"page": 1},
    ],
)
def test_a_question_about_the_queue_that_is_none_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    client.post(CHECK, json=check("you idiot"))
    assert client.post(QUEUE, json=body).status_code == 400


def test_content_that_is_checked_again_is_the_same_item(server: StreamServer, client: httpx.Client) -> None:
    first, second = (client.post(CHECK, json=check("you idiot")).json()["item"] for _ in range(2))
    assert first["id"] == second["id"]
    assert first["updated_at"] < second["updated_at"]
    assert len(server.queue.items) == 1


def test_an_action_is_noted_on_its_item(client: httpx.Client) -> None:
    item = client.post(CHECK, json=check("you idiot")).json()["item"]
    body = {"action_type": "mark_reviewed", "item_id": item["id"], "mark_reviewed": {"decision_reason": "seen"}}
    told = client.post(ACTION, json=body).json()["item"]
    assert told["actions"][0]["decision_reason"] == "seen"
    assert client.post(QUEUE, json={"filter": {"reviewed": False}}).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action_type": "mark_reviewed", "item_id": "item-9"}, 404),
        ({"action_type": "explode", "item_id": "item-1"}, 400),
        ({"action_type": "ban"}, 400),
        ({"action_type": "ban", "item_id": "item-1", "custom": {}}, 400),
        ({"action_type": "ban", "item_id": "item-1", "ban": 5}, 400),
    ],
)
def test_an_action_that_cannot_be_is_refused(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    client.post(CHECK, json=check("you idiot"))
    assert client.post(ACTION, json=body).status_code == status


async def test_a_webhook_that_nobody_takes_does_no_harm(server: StreamServer, client: httpx.Client) -> None:
    server.webhook_url = "http://127.0.0.1:1/"
    answer = await asyncio.to_thread(client.post, CHECK, json=check())
    assert answer.status_code == 201


def test_rates_are_told_by_call(server: StreamServer, client: httpx.Client) -> None:
    server.rates = {"Check": 300}
    told = client.get("/api/v2/rate_limits").json()["server_side"]["Check"]
    assert (told["limit"], told["remaining"]) == (300, 300)


def test_a_job_finds_everything_it_needs(server: StreamServer) -> None:
    assert dict(server.secrets) == {"STREAM_API_KEY": server.key, "STREAM_API_SECRET": server.secret}
    assert server.table["base_url"] == server.url
    assert server.table["config_key"] in server.policies.by_key
