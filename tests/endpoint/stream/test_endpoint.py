from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.callbacks.receiver import open_receiver
from batch_scan.endpoint.premises import MemoryHandles, Premises
from batch_scan.endpoint.stream.endpoint import checks_per_minute
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.job import LogFormat
from batch_scan.ledger import Ledger
from batch_scan.logs import set_up_logs
from batch_scan.model import Digest
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.sandbox.stream.policies import JOB_POLICY, POLICY_KEY, pushed
from batch_scan.sandbox.stream.server import StreamServer
from batch_scan.vocabulary import Category, Medium
from tests.callbacks.posting import HERE, RUN, receiving, vendor
from tests.endpoint.stream.kit import StreamHarness, judge, picture_sample, request_of, text_sample
from tests.sandbox.judges import Blue, Green, Red

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.endpoint.stream.endpoint import Stream
    from batch_scan.model import Answer, Request, Sample, Score

FINE = ("a fine day", "a walk in the park", "good bread")


async def ask(endpoint: Stream, *samples: Sample) -> tuple[Request, Answer]:
    request = request_of(endpoint, *samples)
    return request, await endpoint.submit(request)


async def scores_of(endpoint: Stream, *samples: Sample) -> list[Score]:
    request, answer = await ask(endpoint, *samples)
    return endpoint.read(request, answer)


def texts(*said: str) -> list[Sample]:
    return [text_sample(text, 10.0 * number) for number, text in enumerate(said)]


def told(harness: StreamHarness) -> list[Any]:
    return [seen.fields["moderation_payload"].get("texts") for seen in harness.server.calls]


# ------------------------------------------------------------------------------------------------------- many texts


async def test_texts_that_are_all_clean_cost_one_check(harness: StreamHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.open()
    request, answer = await ask(endpoint, *texts(*FINE))
    assert (request.tokens_max, answer.tokens_charged, harness.tokens_charged()) == (4, 1, 1)
    assert told(harness) == [list(FINE)]
    assert endpoint.read(request, answer) == []
    await endpoint.close()


async def test_an_unclean_text_among_many_is_found_at_its_own_seconds(harness: StreamHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.open()
    samples = texts("a fine day", "you idiot", "good bread", "i will kill you")
    request, answer = await ask(endpoint, *samples)
    assert told(harness) == [
        [sample.data.decode() for sample in samples if sample.data],
        *([t] for t in told(harness)[0]),
    ]
    assert request.tokens_max == answer.tokens_charged == harness.tokens_charged() == 5
    found = [
        (score.start_s, score.category, score.vendor_label, score.severity, score.score, score.unclean)
        for score in endpoint.read(request, answer)
    ]
    assert found == [
        (10.0, Category.HARASSMENT, "INSULT", "flag", 0.6, True),
        (30.0, Category.VIOLENCE, "THREAT", "remove", 0.9, True),
    ]
    await endpoint.close()


async def test_one_sample_of_a_kept_answer_reads_alone(harness: StreamHarness) -> None:
    """As the core reads a remembered answer: the others stand in as blanks, and there is no key."""
    endpoint = harness.endpoint()
    await endpoint.open()
    samples = texts("a fine day", "you idiot", "good bread")
    request, answer = await ask(endpoint, *samples)
    for at, number in ((0, 0), (1, 1), (2, 0)):
        own = replace(samples[at], data=None, start_s=70.0, end_s=75.0)
        blank = replace(own, digest=Digest(""), data=b"")
        again = replace(request, samples=tuple(own if n == at else blank for n in range(3)), key="")
        scores = [score for score in endpoint.read(again, answer) if score.sample_digest]
        assert [score.start_s for score in scores] == [70.0] * number
    await endpoint.close()


async def test_an_unclean_verdict_over_texts_that_are_clean_alone_stands_over_all(harness: StreamHarness) -> None:
    """Two halves of an insult: nobody can say which text it is, and none of them is taken for clean."""
    harness.server.block_lists["pairs"] = {"bread"}
    harness.server.faults.at(1, faults.changed(recommended_action="remove", item=None))
    endpoint = harness.endpoint()
    await endpoint.open()
    scores = await scores_of(endpoint, *texts(*FINE))
    assert [(score.start_s, score.severity, score.vendor_label) for score in scores] == [
        (0.0, "remove", "remove"),
        (10.0, "remove", "remove"),
        (20.0, "remove", "remove"),
    ]
    assert len(harness.server.calls) == 4
    await endpoint.close()


async def test_further_calls_wait_for_their_turn(harness: StreamHarness) -> None:
    turns: list[int] = []

    async def pace(size_bytes: int) -> None:
        turns.append(size_bytes)

    endpoint = harness.endpoint()
    endpoint.premises = Premises(pace=pace)
    await endpoint.open()
    await ask(endpoint, *texts("you idiot", "good bread"))
    assert turns == [len("you idiot"), len("good bread")]
    await endpoint.close()


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (faults.rate_limited("1"), Failure.RATE_LIMITED),
        (faults.status(503), Failure.TRANSIENT),
        (Fault(Kind.RESET_BEFORE_ANSWER), Failure.TRANSIENT),
    ],
)
async def test_checks_that_were_answered_are_not_paid_again(
    harness: StreamHarness, fault: Fault, failure: Failure
) -> None:
    harness.server.faults.at(3, fault)
    endpoint = harness.endpoint()
    await endpoint.open()
    request = request_of(endpoint, *texts("a fine day", "you idiot", "good bread"))
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, caught.value.maybe_charged) == (failure, True)
    answer = await endpoint.submit(request)
    assert answer.tokens_charged == harness.tokens_charged() == 4
    assert len(harness.server.calls) == 5
    assert [score.vendor_label for score in endpoint.read(request, answer)] == ["INSULT"]
    await endpoint.close()


async def test_what_cannot_be_read_is_not_asked_about_further(harness: StreamHarness) -> None:
    harness.server.faults.at(1, faults.changed(recommended_action=None))
    endpoint = harness.endpoint()
    await endpoint.open()
    request, answer = await ask(endpoint, *texts("you idiot", "good bread"))
    with pytest.raises(EndpointError, match="recommended_action is missing"):
        endpoint.read(request, answer)
    assert len(harness.server.calls) == 1
    await endpoint.close()


# ------------------------------------------------------------------------------------------------------- on the wire


async def test_content_has_a_name_that_is_the_same_in_every_run(harness: StreamHarness) -> None:
    names = []
    for _ in range(2):
        endpoint = harness.endpoint()
        await endpoint.open()
        await ask(endpoint, text_sample("a fine day"))
        await ask(endpoint, *texts(*FINE))
        await endpoint.close()
        names.append([seen.fields["entity_id"] for seen in harness.server.calls[-2:]])
    assert names[0] == names[1]
    assert names[0][0] == f"bs-{text_sample('a fine day').digest}"
    assert re.fullmatch(r"bs-[0-9a-f]{64}", names[0][1])


async def test_a_check_says_what_the_job_says(harness: StreamHarness) -> None:
    endpoint = harness.endpoint(
        entity_type="archive:talk", creator_id="auditor", content_published_at="2026-01-02T03:04:05Z", force_sync=True
    )
    await endpoint.open()
    await ask(endpoint, text_sample("a fine day"))
    (seen,) = harness.server.calls
    assert seen.fields == {
        "entity_type": "archive:talk",
        "entity_id": f"bs-{text_sample('a fine day').digest}",
        "entity_creator_id": "auditor",
        "config_key": "custom:archive",
        "content_published_at": "2026-01-02T03:04:05+00:00",
        "moderation_payload": {"texts": ["a fine day"]},
        "options": {"force_sync": True},
    }
    await endpoint.close()


async def test_the_api_key_is_in_no_log_and_no_error(
    harness: StreamHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(LogFormat.TEXT)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        endpoint = harness.endpoint()
        await endpoint.open()
        _, answer = await ask(endpoint, text_sample("you idiot"))
        harness.stop_server()
        with pytest.raises(EndpointError) as caught:
            await ask(endpoint, text_sample("good bread"))
        await endpoint.close()
    finally:
        logging.getLogger().setLevel(logging.WARNING)
    shown = f"{caught.value!r} {answer!r} {endpoint.config!r} {''.join(capsys.readouterr())}"
    assert harness.server.key not in shown
    assert harness.server.secret not in shown


# ---------------------------------------------------------------------------------------------------------- opening


async def test_a_missing_policy_says_so_before_anything_is_spent(harness: StreamHarness) -> None:
    with pytest.raises(EndpointError, match=r"no policy 'custom:other'.*batch-scan policy push JOB") as caught:
        await harness.endpoint(config_key="custom:other").open()
    assert caught.value.failure is Failure.FATAL
    assert harness.calls() == 0


async def test_a_policy_that_lacks_rules_of_the_job_says_which(harness: StreamHarness) -> None:
    policy = {
        "ai_text": [{"label": "INSULT", "action": "remove"}],
        "block_lists": [{"name": "slurs", "action": "flag"}],
    }
    with pytest.raises(EndpointError, match=r"text INSULT -> remove, block list slurs -> flag") as caught:
        await harness.endpoint(policy=policy).open()
    assert caught.value.failure is Failure.FATAL


@pytest.mark.parametrize(
    ("section", "laxer"),
    [
        ("ai_image_config", {"min_confidence": 99.0}),
        ("ai_text_config", {"severity_rules": [{"severity": "low", "action": "keep"}]}),
        ("block_list_config", {"team": "another"}),
    ],
)
async def test_a_policy_that_is_laxer_than_the_job_begins_no_scan(
    harness: StreamHarness, section: str, laxer: dict[str, Any]
) -> None:
    config = harness.server.policies.by_key[POLICY_KEY][section]
    config["rules"] = [{**rule, **laxer} for rule in config["rules"]]
    with pytest.raises(EndpointError, match="or has laxer ones") as caught:
        await harness.endpoint().open()
    assert (caught.value.failure, caught.value.vendor_code) == (Failure.FATAL, "other_policy")


async def test_a_job_without_rules_takes_the_policy_as_it_is(harness: StreamHarness) -> None:
    endpoint = harness.endpoint(policy={})
    assert (await endpoint.open()).note == ""
    await endpoint.close()


@pytest.mark.parametrize("section", ["ai_text_config", "block_list_config", "ai_image_config"])
async def test_rules_that_are_switched_off_are_rules_that_are_not_there(harness: StreamHarness, section: str) -> None:
    harness.server.policies.by_key[POLICY_KEY][section]["enabled"] = False
    with pytest.raises(EndpointError, match="switched off") as caught:
        await harness.endpoint().open()
    assert (caught.value.failure, caught.value.vendor_code) == (Failure.FATAL, "other_policy")


BROKEN = [faults.status(500), faults.rate_limited("0"), Fault(Kind.RESET_BEFORE_ANSWER)]


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_policy_that_cannot_be_looked_at_is_looked_at_before_the_first_check(
    harness: StreamHarness, fault: Fault
) -> None:
    harness.server.other_faults.when(lambda seen: "/config/" in seen.path, fault)
    endpoint = harness.endpoint()
    assert (await endpoint.open()).note.startswith("policy not looked at: ")
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("a fine day"))
    assert caught.value.failure in {Failure.TRANSIENT, Failure.RATE_LIMITED}
    assert not caught.value.maybe_charged
    harness.server.other_faults.clear()
    harness.server.policies.by_key[POLICY_KEY]["ai_text_config"]["rules"] = []
    with pytest.raises(EndpointError, match="lacks rules of this job"):
        await ask(endpoint, text_sample("a fine day"))
    assert harness.calls() == 0
    harness.server.policies.keep({"key": POLICY_KEY, **pushed(JOB_POLICY)})
    assert await scores_of(endpoint, text_sample("a fine day")) == []
    await endpoint.close()


@pytest.mark.parametrize("fault", [faults.garbage(), faults.changed(config=None), faults.changed(config=[])])
async def test_a_policy_that_cannot_be_compared_with_the_jobs_begins_no_scan(
    harness: StreamHarness, fault: Fault
) -> None:
    harness.server.other_faults.queue(fault)
    with pytest.raises(EndpointError, match=r"holds the rules of this job cannot be told") as caught:
        await harness.endpoint().open()
    assert caught.value.failure is Failure.FATAL


@pytest.mark.parametrize("fault", [faults.garbage(), faults.changed(config=None)])
async def test_a_policy_of_the_dashboard_that_cannot_be_looked_at_is_a_note(
    harness: StreamHarness, fault: Fault
) -> None:
    harness.server.other_faults.queue(fault)
    endpoint = harness.endpoint(policy={})
    assert (await endpoint.open()).note.startswith("policy not looked at: ")
    await endpoint.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_stops(harness: StreamHarness, status: int) -> None:
    harness.server.other_faults.queue(harness.server.refusal(status))
    with pytest.raises(EndpointError) as caught:
        await harness.endpoint().open()
    assert (caught.value.failure, caught.value.http_status) == (Failure.FATAL, status)


async def test_the_rate_is_taken_from_the_vendor_where_it_says_one(harness: StreamHarness) -> None:
    endpoint = harness.endpoint()
    assert (await endpoint.open()).requests_per_minute is None
    await endpoint.close()
    harness.server.rates = {"SendMessage": 1000, "Check": 300}
    assert (await endpoint.open()).requests_per_minute == 300.0
    await endpoint.close()


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"server_side": []}, {"server_side": {"Check": {"limit": True}}}, {"server_side": {"Check": 5}}],
)
def test_a_rate_that_is_not_told_is_not_guessed(answer: Any) -> None:
    assert checks_per_minute(answer) is None


async def test_a_webhook_without_a_receiver_is_the_users_to_mend(harness: StreamHarness) -> None:
    with pytest.raises(UsageError, match=r"\[callbacks\]"):
        await harness.endpoint(webhook=True).open()
    assert harness.server.requests == []


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "body", "failure", "code"),
    [
        (400, {"code": 4, "message": "bad", "StatusCode": 400, "duration": "0ms", "details": []}, Failure.REFUSED, "4"),
        (400, {}, Failure.REFUSED, ""),
        (401, {"code": 5, "message": "bad"}, Failure.FATAL, "5"),
        (403, {"code": 17}, Failure.FATAL, "17"),
        (404, {"code": 16, "message": "no policy"}, Failure.FATAL, "16"),
        (413, {"code": 22}, Failure.REFUSED, "22"),
        (429, {"code": 9}, Failure.RATE_LIMITED, "9"),
        (500, {"code": -1}, Failure.TRANSIENT, "-1"),
        (503, [], Failure.TRANSIENT, ""),
        (429, {"code": 9, "unrecoverable": True}, Failure.REFUSED, "9"),
        (500, {"code": -1, "unrecoverable": True}, Failure.REFUSED, "-1"),
        (503, {"unrecoverable": True}, Failure.REFUSED, ""),
        (500, {"unrecoverable": "true"}, Failure.TRANSIENT, ""),
        (403, {"unrecoverable": True}, Failure.FATAL, ""),
    ],
)
async def test_every_error_is_taken_for_what_it_is(
    harness: StreamHarness, status: int, body: Any, failure: Failure, code: str
) -> None:
    harness.go_wrong(faults.status(status, json.dumps(body).encode()))
    endpoint = harness.endpoint()
    await endpoint.open()
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("a fine day"))
    assert (caught.value.failure, caught.value.vendor_code) == (failure, code)
    await endpoint.close()


async def test_a_page_of_a_proxy_is_survived(harness: StreamHarness) -> None:
    harness.go_wrong(faults.bad_gateway())
    endpoint = harness.endpoint()
    await endpoint.open()
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("a fine day"))
    assert (caught.value.failure, caught.value.http_status) == (Failure.TRANSIENT, 502)
    await endpoint.close()


@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        ({"retry_after": "7"}, 7.0, 7.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:09 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 9.0, 9.0),
        ({"x_ratelimit_reset": "1767225630", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 30.0, 30.0),
        ({"x_ratelimit_reset": "1767225630,1767229200", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 30.0, 30.0),
        ({"retry_after": "40", "x_ratelimit_reset": "1767225630", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 40.0, 40.0),
    ],
)
async def test_the_pause_of_a_429_is_read_in_each_of_its_forms(
    harness: StreamHarness, headers: dict[str, str], least_s: float, most_s: float
) -> None:
    harness.go_wrong(faults.status(429, b'{"code":9}', **headers))
    endpoint = harness.endpoint()
    await endpoint.open()
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("a fine day"))
    assert caught.value.retry_after_s is not None
    assert least_s <= caught.value.retry_after_s <= most_s
    await endpoint.close()


async def test_a_rate_that_is_used_up_rests_the_endpoint(harness: StreamHarness) -> None:
    harness.server.rate_limit = 2
    endpoint = harness.endpoint()
    await endpoint.open()
    _, first = await ask(endpoint, text_sample("a fine day"))
    _, second = await ask(endpoint, text_sample("good bread"))
    assert first.rest_s is None
    assert second.rest_s is not None
    assert 55.0 < second.rest_s <= 61.0
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("a walk"))
    assert caught.value.failure is Failure.RATE_LIMITED
    assert caught.value.retry_after_s is not None
    await endpoint.close()


async def test_a_rest_longer_than_a_request_is_retried_ends_it(harness: StreamHarness) -> None:
    harness.server.rate_limit = 1
    endpoint = harness.endpoint(limit={"max_retry_s": 5.0})
    await endpoint.open()
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, *texts("you idiot", "good bread"))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.RATE_LIMITED, True)
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 5.0
    assert len(harness.server.calls) == 1
    await endpoint.close()


# ---------------------------------------------------------------------------------------- checks that are not final


@pytest.mark.parametrize("word", ["partial", "pending", "quarantined"])
async def test_a_check_that_goes_on_is_followed_into_the_queue(harness: StreamHarness, word: str) -> None:
    harness.server.async_texts, harness.server.open_status = True, word
    endpoint = harness.endpoint()
    await endpoint.open()
    request, answer = await ask(endpoint, text_sample("you idiot"))
    (score,) = endpoint.read(request, answer)
    assert (score.vendor_label, score.severity) == ("INSULT", "flag")
    assert json.loads(answer.raw)["checks"][0]["final"]["by"] == "review_queue"
    assert answer.tokens_charged == 1
    await endpoint.close()


async def test_what_is_not_in_the_queue_is_not_clean(harness: StreamHarness) -> None:
    harness.server.async_texts = True
    endpoint = harness.endpoint(follow_up_s=0.2)
    await endpoint.open()
    with pytest.raises(EndpointError, match=r"was not final within follow_up_s = 0\.2 s") as caught:
        await ask(endpoint, text_sample("a fine day"))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)
    await endpoint.close()


async def test_a_check_that_never_ends_is_given_up_at_the_deadline(harness: StreamHarness) -> None:
    harness.server.async_texts, harness.server.async_delay_s = True, math.inf
    endpoint = harness.endpoint(follow_up_s=0.2)
    await endpoint.open()
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("you idiot"))
    assert caught.value.vendor_code == "not_final"
    assert harness.server.pending
    await endpoint.close()


async def test_a_late_keep_in_the_queue_is_clean(harness: StreamHarness) -> None:
    harness.server.async_texts = harness.server.keeps_in_queue = True
    endpoint = harness.endpoint()
    await endpoint.open()
    assert await scores_of(endpoint, text_sample("a fine day")) == []
    await endpoint.close()


async def test_a_keep_of_an_earlier_check_is_not_this_checks(harness: StreamHarness) -> None:
    harness.server.async_texts = harness.server.keeps_in_queue = True
    endpoint = harness.endpoint(follow_up_s=0.3)
    await endpoint.open()
    await ask(endpoint, text_sample("a fine day"))
    harness.server.async_delay_s = math.inf
    with pytest.raises(EndpointError, match="not final"):
        await ask(endpoint, text_sample("a fine day"))
    await endpoint.close()


@pytest.mark.parametrize("fault", [faults.status(500), faults.rate_limited("0"), Fault(Kind.RESET_BEFORE_ANSWER)])
async def test_a_look_into_the_queue_that_fails_is_looked_again(harness: StreamHarness, fault: Fault) -> None:
    harness.server.async_texts = True
    endpoint = harness.endpoint()
    await endpoint.open()
    harness.server.other_faults.queue(fault)
    assert len(await scores_of(endpoint, text_sample("you idiot"))) == 1
    await endpoint.close()


async def test_a_queue_that_is_refused_ends_the_wait(harness: StreamHarness) -> None:
    harness.server.async_texts = True
    endpoint = harness.endpoint()
    await endpoint.open()
    harness.server.other_faults.queue(harness.server.refusal(403))
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, text_sample("you idiot"))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.FATAL, True)
    await endpoint.close()


async def test_the_webhook_tells_the_end_also_of_what_is_clean(harness: StreamHarness, tmp_path: Path) -> None:
    harness.server.async_texts = True
    endpoint = harness.endpoint(webhook=True, poll_s=10.0)
    async with receiving(tmp_path) as receiver:
        endpoint.premises = Premises(callbacks=receiver)
        note = (await endpoint.open()).note
        harness.server.webhook_url = note.removeprefix("webhooks are awaited at ")
        request, answer = await ask(endpoint, text_sample("a fine day"))
        assert endpoint.read(request, answer) == []
        assert json.loads(answer.raw)["checks"][0]["final"]["by"] == "webhook"
        (score,) = await scores_of(endpoint, text_sample("you idiot"))
        assert (score.vendor_label, score.severity) == ("INSULT", "flag")
        await endpoint.close()


def event(entity_id: str, **fields: Any) -> bytes:
    """Return what the webhook posts of the end of a check."""
    told = {"type": "moderation_check.completed", "entity_type": "external:call", "entity_id": entity_id}
    return json.dumps({**told, "recommended_action": "keep", **fields}).encode()


async def post(harness: StreamHarness, body: bytes) -> None:
    signature = hmac.new(harness.server.secret.encode(), body, hashlib.sha256).hexdigest()
    async with vendor() as client:
        reply = await client.post(harness.server.webhook_url, content=body, headers={"x-signature": signature})
    assert reply.status_code == 200


@pytest.mark.parametrize("stale", [{"created_at": 1_700_000_000_000_000_000}, {"entity_type": "another:call"}])
async def test_the_keep_of_another_check_of_the_same_content_is_not_this_checks(
    harness: StreamHarness, tmp_path: Path, stale: dict[str, Any]
) -> None:
    harness.server.async_texts, harness.server.async_delay_s = True, math.inf
    endpoint = harness.endpoint(webhook=True, follow_up_s=0.5, poll_s=10.0)
    sample = text_sample("you idiot")
    async with receiving(tmp_path) as receiver:
        endpoint.premises = Premises(callbacks=receiver)
        harness.server.webhook_url = (await endpoint.open()).note.removeprefix("webhooks are awaited at ")
        await post(harness, event(f"bs-{sample.digest}", **stale))
        with pytest.raises(EndpointError, match="not final"):
            await ask(endpoint, sample)
        await endpoint.close()


@pytest.mark.parametrize("fields", [{}, {"created_at": "yesterday"}, {"created_at": 4_000_000_000_000_000_000}])
async def test_a_webhook_that_tells_no_time_before_the_check_is_believed(
    harness: StreamHarness, tmp_path: Path, fields: dict[str, Any]
) -> None:
    harness.server.async_texts, harness.server.async_delay_s = True, math.inf
    endpoint = harness.endpoint(webhook=True, poll_s=10.0)
    sample = text_sample("a fine day")
    async with receiving(tmp_path) as receiver:
        endpoint.premises = Premises(callbacks=receiver)
        harness.server.webhook_url = (await endpoint.open()).note.removeprefix("webhooks are awaited at ")
        await post(harness, event(f"bs-{sample.digest}", **fields))
        assert await scores_of(endpoint, sample) == []
        await endpoint.close()


async def test_webhooks_about_checks_that_ended_at_once_are_not_kept(harness: StreamHarness, tmp_path: Path) -> None:
    endpoint = harness.endpoint(webhook=True)
    sample = text_sample("a fine day")
    async with Ledger.open(tmp_path) as ledger, open_receiver(HERE, ledger, RUN) as receiver:
        endpoint.premises = Premises(callbacks=receiver)
        url = (await endpoint.open()).note.removeprefix("webhooks are awaited at ")
        assert await scores_of(endpoint, sample) == []
        harness.server.webhook_url = url
        await post(harness, event(f"bs-{sample.digest}"))
        assert ledger.callbacks.kept(RUN, "stream") == []
        await endpoint.close()


# ----------------------------------------------------------------------------------------------------------- frames


async def test_frames_are_off_unless_they_are_wanted(harness: StreamHarness) -> None:
    assert harness.endpoint().needs.frame is None
    assert harness.endpoint(samples=["frame"]).needs.utterance is None


async def test_a_frame_is_uploaded_judged_later_and_deleted(harness: StreamHarness) -> None:
    endpoint = harness.endpoint(samples=["frame"])
    await endpoint.open()
    sample = picture_sample(Red, 40.0)
    request, answer = await ask(endpoint, sample)
    (score,) = endpoint.read(request, answer)
    assert (score.medium, score.start_s, score.category, score.vendor_label) == (
        Medium.FRAME,
        40.0,
        Category.VIOLENCE,
        "Violence",
    )
    assert [seen.digest for seen in harness.server.requests if seen.operation == "upload"] == [sample.digest]
    assert request.tokens_max == answer.tokens_charged == harness.tokens_charged() == 1
    assert not harness.server.open_uploads
    assert endpoint.premises.handles.left_open("upload") == []
    await endpoint.close()


async def test_with_force_sync_a_clean_frame_needs_nobody_to_tell(harness: StreamHarness) -> None:
    endpoint = harness.endpoint(samples=["frame"], force_sync=True)
    assert (await endpoint.open()).note == ""
    assert await scores_of(endpoint, picture_sample(Blue)) == []
    assert [score.vendor_label for score in await scores_of(endpoint, picture_sample(Green))] == ["Non-Explicit Nudity"]
    await endpoint.close()


async def test_without_webhook_or_force_sync_the_start_says_what_frames_will_come_to(harness: StreamHarness) -> None:
    endpoint = harness.endpoint(samples=["frame"])
    assert "clean ones stay unanswered" in (await endpoint.open()).note
    await endpoint.close()


@pytest.mark.parametrize(
    "fault",
    [faults.status(400), faults.status(500), faults.rate_limited(), Fault(Kind.RESET_BEFORE_ANSWER), faults.garbage()],
)
async def test_the_upload_is_deleted_whatever_becomes_of_the_check(harness: StreamHarness, fault: Fault) -> None:
    harness.go_wrong(fault)
    endpoint = harness.endpoint(samples=["frame"])
    await endpoint.open()
    with pytest.raises(EndpointError):
        await ask(endpoint, picture_sample(Red))
    assert not harness.server.open_uploads
    await endpoint.close()


async def test_the_upload_is_deleted_when_the_request_is_cancelled(harness: StreamHarness) -> None:
    harness.go_wrong(Fault(Kind.HANG))
    endpoint = harness.endpoint(samples=["frame"])
    await endpoint.open()
    asking = asyncio.create_task(ask(endpoint, picture_sample(Red)))
    await asyncio.to_thread(harness.server.wait_for_calls, 1)
    assert harness.server.open_uploads
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not harness.server.open_uploads
    await endpoint.close()


async def test_what_an_earlier_process_left_is_deleted_at_the_start(harness: StreamHarness) -> None:
    handles = MemoryHandles()
    first = harness.endpoint(samples=["frame"], force_sync=True)
    first.premises = Premises(handles=handles)
    await first.open()
    harness.server.other_faults.when(lambda seen: seen.method == "DELETE", faults.status(500))
    assert len(await scores_of(first, picture_sample(Red))) == 1
    await first.close()
    harness.server.other_faults.clear()
    (url,) = harness.server.open_uploads
    assert handles.left_open("upload") == [url]

    second = harness.endpoint()
    second.premises = Premises(handles=handles)
    await second.open()
    assert not harness.server.open_uploads
    assert handles.left_open("upload") == []
    await second.close()


async def test_an_upload_that_could_not_be_deleted_is_deleted_at_the_end(harness: StreamHarness) -> None:
    endpoint = harness.endpoint(samples=["frame"], force_sync=True)
    await endpoint.open()
    harness.server.other_faults.when(lambda seen: seen.method == "DELETE", faults.status(500))
    await ask(endpoint, picture_sample(Red))
    assert len(harness.server.open_uploads) == 1
    harness.server.other_faults.clear()
    await endpoint.close()
    assert not harness.server.open_uploads
    assert endpoint.premises.handles.left_open("upload") == []


async def test_an_upload_that_is_gone_already_is_struck_from_the_book(harness: StreamHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.premises.handles.opened("upload", f"{harness.base_url}/cdn/gone.jpg")
    await endpoint.open()
    assert endpoint.premises.handles.left_open("upload") == []
    await endpoint.close()


async def test_an_upload_that_cannot_be_deleted_at_the_start_is_a_note(harness: StreamHarness) -> None:
    harness.server.other_faults.when(lambda seen: seen.method == "DELETE", faults.status(500))
    endpoint = harness.endpoint()
    await endpoint.premises.handles.opened("upload", f"{harness.base_url}/cdn/x.jpg")
    assert "1 uploaded pictures of an earlier run could not be deleted" in (await endpoint.open()).note
    await endpoint.close()


async def test_an_upload_without_a_place_is_no_upload(harness: StreamHarness) -> None:
    harness.server.other_faults.when(lambda seen: seen.path.endswith("image"), faults.changed(file=None))
    endpoint = harness.endpoint(samples=["frame"])
    await endpoint.open()
    with pytest.raises(EndpointError, match="did not say where it lies") as caught:
        await ask(endpoint, picture_sample(Red))
    assert (caught.value.failure, caught.value.maybe_charged, harness.calls()) == (Failure.REFUSED, False, 0)
    await endpoint.close()


# --------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("change", "text_changes", "frame_changes"),
    [
        ({"policy": {"ai_text": [{"label": "SCAM", "action": "flag"}]}}, True, True),
        ({"config_key": "custom:other"}, True, True),
        ({"entity_type": "talk"}, True, True),
        ({"api_key": {"env": "OTHER"}}, False, False),
        ({"texts_per_check": 5}, False, False),
        ({"force_sync": True}, False, False),
        ({"follow_up_s": 5.0}, False, False),
        ({"action_scores": {"flag": 0.5}}, False, False),
    ],
)
def test_settings_change_with_what_changes_an_answer(
    harness: StreamHarness, change: dict[str, Any], *, text_changes: bool, frame_changes: bool
) -> None:
    plain, other = harness.endpoint(), harness.endpoint(**change)
    assert (plain.settings_for(Medium.UTTERANCE) != other.settings_for(Medium.UTTERANCE)) == text_changes
    assert (plain.settings_for(Medium.FRAME) != other.settings_for(Medium.FRAME)) == frame_changes


def test_rules_for_pictures_leave_the_answers_for_texts_valid(harness: StreamHarness) -> None:
    more = {"ai_image": [{"label": "Explicit", "action": "flag"}]}
    plain, other = harness.endpoint(policy={}), harness.endpoint(policy=more)
    assert plain.settings_for(Medium.UTTERANCE) == other.settings_for(Medium.UTTERANCE)
    assert plain.settings_for(Medium.FRAME) != other.settings_for(Medium.FRAME)


async def test_submitting_before_opening_is_a_mistake_of_the_caller(harness: StreamHarness) -> None:
    with pytest.raises(RuntimeError, match="before open"):
        await ask(harness.endpoint(), text_sample("a fine day"))


async def test_a_key_that_is_not_the_apps_is_found_before_the_first_check(
    harness: StreamHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_API_SECRET", "x" * 64)
    with pytest.raises(EndpointError, match="not signed") as caught:
        await harness.endpoint().open()
    assert caught.value.failure is Failure.FATAL


def test_a_server_of_its_own_is_all_it_takes() -> None:
    with StreamServer(judge=judge()) as server:
        assert set(server.table) == {"base_url", "config_key", "policy"}
