from __future__ import annotations

import argparse
import asyncio
import json
import tomllib
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from batch_scan.endpoint.registry import ENDPOINTS, ServiceType
from batch_scan.endpoint.stream.client import StreamClient
from batch_scan.endpoint.stream.command import (
    add_policy,
    add_review,
    run_policy,
    run_review,
)
from batch_scan.errors import UsageError
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.sandbox.stream.server import StreamServer
    from tests.endpoint.stream.kit import StreamHarness

JOB = """
[endpoints.stream]
base_url = "{url}"
config_key = "custom:talks"

[endpoints.stream.policy]
ai_text = [{{ label = "INSULT", action = "flag", severity_rules = [{{ severity = "high", action = "remove" }}] }}]
block_lists = [{{ name = "profanity_en", action = "remove" }}]
ai_image = [{{ label = "Explicit", action = "remove", min_confidence = 80 }}, {{ label = "Frobs", action = "flag" }}]
"""
TYPE: Any = ServiceType("batch_scan.endpoint.stream.config:StreamConfig", "batch_scan.endpoint.stream.endpoint:build")


@pytest.fixture
def job(harness: StreamHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ENDPOINTS, "stream", TYPE)
    path = tmp_path / "job.toml"
    path.write_text(JOB.format(url=harness.base_url))
    return path


def policy(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    add_policy(parser)
    return run_policy(parser.parse_args(list(argv)))


def review(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    add_review(parser)
    return run_review(parser.parse_args(list(argv)))


# ----------------------------------------------------------------------------------------------------------- policy


def test_a_policy_is_pushed_as_the_job_says_it(
    job: Path, server: StreamServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert policy("push", str(job)) == 0
    assert server.requests[-1].fields == {
        "key": "custom:talks",
        "ai_text_config": {
            "rules": [
                {"label": "INSULT", "action": "flag", "severity_rules": [{"severity": "high", "action": "remove"}]}
            ]
        },
        "ai_image_config": {
            "rules": [
                {"label": "Explicit", "action": "remove", "min_confidence": 80.0},
                {"label": "Frobs", "action": "flag"},
            ]
        },
        "block_list_config": {"rules": [{"name": "profanity_en", "action": "remove"}]},
    }
    assert capsys.readouterr().out.splitlines()[:5] == [
        "policy custom:talks",
        "  text: INSULT -> flag, high remove",
        "  block list: profanity_en -> remove",
        "  image: Explicit -> remove from 80 %",
        "  image: Frobs -> flag",
    ]
    assert "does not list 'Frobs' among its image labels" in caplog.text


def test_a_policy_is_read_back_as_text_and_as_json(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy("push", str(job))
    pushed = capsys.readouterr().out
    assert policy("show", str(job)) == 0
    assert capsys.readouterr().out == pushed
    assert policy("show", str(job), "--json") == 0
    assert json.loads(capsys.readouterr().out)["key"] == "custom:talks"


def test_what_was_pushed_is_what_a_scan_wants(job: Path, harness: StreamHarness) -> None:
    policy("push", str(job))
    endpoint = harness.endpoint(**tomllib.loads(job.read_text())["endpoints"]["stream"])

    async def open_and_close() -> str:
        note = (await endpoint.open()).note
        await endpoint.close()
        return note

    assert asyncio.run(open_and_close()) == ""


def test_a_policy_that_is_not_there_is_said(
    job: Path, caplog: pytest.LogCaptureFixture, expected_errors: list[str]
) -> None:
    expected_errors.append("no policy")
    assert policy("show", str(job)) == 6
    assert "batch-scan policy push JOB" in caplog.text


def test_a_push_that_is_refused_is_said(job: Path, server: StreamServer, expected_errors: list[str]) -> None:
    expected_errors.append("answered 403")
    server.other_faults.queue(server.refusal(403))
    assert policy("push", str(job)) == 6


def test_an_answer_without_a_policy_is_said(job: Path, server: StreamServer, expected_errors: list[str]) -> None:
    expected_errors.append("holds no policy")
    server.other_faults.queue(faults.changed(config=None))
    assert policy("push", str(job)) == 6


def test_a_job_without_rules_has_nothing_to_push(job: Path, harness: StreamHarness) -> None:
    job.write_text(f'[endpoints.stream]\nbase_url = "{harness.base_url}"\n')
    with pytest.raises(UsageError, match="has no policy to push"):
        policy("push", str(job))


def test_a_job_without_stream_is_the_users_to_mend(job: Path) -> None:
    job.write_text("[endpoints.local]\n")
    with pytest.raises(UsageError, match=r"there is no \[endpoints\.stream\]"):
        policy("show", str(job))


# ----------------------------------------------------------------------------------------------------------- review


@pytest.fixture
def flagged(harness: StreamHarness) -> list[str]:
    """Put three items into the queue."""

    async def fill() -> None:
        async with StreamClient(harness.endpoint().config) as client:
            for text in ("you idiot", "=HYPERLINK damn \x1b[31m", "i will kill you"):
                await client.check(f"bs-{text[:3]}", {"texts": [text]})

    asyncio.run(fill())
    return [item["id"] for item in harness.server.queue.items.values()]


def test_the_queue_is_shown_as_a_table(job: Path, flagged: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert review(str(job)) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["item", "created", "action", "status", "reviewed", "labels", "text"]
    assert [row.split()[0] for row in rows] == flagged
    assert "\x1b" not in "".join(rows)
    assert "'=HYPERLINK" in rows[1]


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (["--recommended-action", "remove"], ["item-3"]),
        (["--status", "partial"], []),
        (["--status", "complete", "--entity-type", "external:call"], ["item-1", "item-2", "item-3"]),
        (["--limit", "2"], ["item-1", "item-2"]),
    ],
)
@pytest.mark.usefixtures("flagged")
def test_the_queue_is_filtered_by_the_vendor(
    job: Path, capsys: pytest.CaptureFixture[str], filters: list[str], shown: list[str]
) -> None:
    assert review(str(job), *filters) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == shown
    assert shown or lines == ["the review queue holds nothing that fits"]


def test_every_page_is_fetched_and_written(
    job: Path, harness: StreamHarness, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> None:
        async with StreamClient(harness.endpoint().config) as client:
            for number in range(630):
                await client.check(f"bs-{number}", {"texts": [f"idiot {number} \U0001f600"]})

    asyncio.run(fill())
    parquet = tmp_path / "queue.parquet"
    assert review(str(job), "--parquet", str(parquet)) == 0
    rows = pq.read_table(parquet).to_pylist()
    assert [row["entity_id"] for row in rows] == [f"bs-{number}" for number in range(630)]
    assert (rows[7]["labels"], rows[7]["texts"]) == (["INSULT"], ["idiot 7 \U0001f600"])
    assert rows[0]["created_at"].year >= 2020
    assert json.loads(rows[0]["item"])["id"] == rows[0]["id"]
    limits = [seen.fields["limit"] for seen in harness.server.requests if seen.path.endswith("review_queue")]
    assert limits == [100] * 7
    assert pq.ParquetFile(parquet).num_row_groups == 2, "the queue is written as it comes"
    assert capsys.readouterr().out.endswith(f"and 580 more\n630 items written to {parquet}\n")
    assert [path.name for path in tmp_path.glob("*queue*")] == ["queue.parquet"]


@pytest.mark.usefixtures("flagged")
def test_a_file_that_cannot_be_written_is_the_users_to_mend(job: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        review(str(job), "--parquet", str(tmp_path / "missing" / "queue.parquet"))


@pytest.mark.usefixtures("flagged")
def test_an_action_is_submitted_because_somebody_named_it(
    job: Path, server: StreamServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = '{"decision_reason": "heard it"}'
    assert review(str(job), "--action", "mark_reviewed", "--item", "item-2", "--options", options) == 0
    assert server.requests[-1].fields == {
        "action_type": "mark_reviewed",
        "item_id": "item-2",
        "mark_reviewed": {"decision_reason": "heard it"},
    }
    assert capsys.readouterr().out.startswith("mark_reviewed submitted for item-2\n")
    assert [bool(item["reviewed_by"]) for item in server.queue.items.values()] == [False, True, False]


def test_an_item_that_is_not_there_is_said(job: Path, expected_errors: list[str]) -> None:
    expected_errors.append("does not exist")
    assert review(str(job), "--action", "mark_reviewed", "--item", "item-9") == 6


@pytest.mark.parametrize(
    "argv",
    [
        ["--action", "ban"],
        ["--item", "item-1"],
        ["--limit", "0"],
        ["--options", "5"],
        ["--action", "ban", "--item", "i", "--options", "{"],
        ["--action", "ban", "--item", "i", "--options", '{"days": NaN}'],
        ["--action", "ban", "--item", "i", "--options", "[" * 100_000],
        ["--action", "ban", "--item", "i", "--options", '{"reason": "\\ud800"}'],
        ["--action", "ban", "--item", "\udcff"],
        ["--status", "\udcff"],
    ],
)
def test_arguments_that_do_not_go_together_are_refused(job: Path, server: StreamServer, argv: list[str]) -> None:
    with pytest.raises(UsageError):
        review(str(job), *argv)
    assert server.requests == []


def test_an_answer_without_a_queue_is_said(job: Path, server: StreamServer, expected_errors: list[str]) -> None:
    expected_errors.append("holds no review queue")
    server.other_faults.queue(faults.changed(items=None))
    assert review(str(job)) == 6


@pytest.mark.usefixtures("flagged")
def test_a_page_that_leads_round_in_a_circle_ends(
    job: Path, server: StreamServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.other_faults.when(lambda seen: seen.path.endswith("review_queue"), faults.changed(next="at-0"))
    assert review(str(job), "--parquet", str(tmp_path / "q.parquet")) == 0
    assert "6 items written" in capsys.readouterr().out


def test_pages_of_nothing_without_end_come_to_an_end(job: Path, server: StreamServer) -> None:
    def page(_answer: dict[str, Any]) -> dict[str, Any]:
        return {"items": [5] * 10, "next": f"at-{len(server.requests)}"}

    server.other_faults.when(lambda seen: seen.path.endswith("review_queue"), Fault(Kind.CHANGE, change=page))
    assert review(str(job), "--limit", "30") == 0
    assert len(server.requests) == 3


@pytest.mark.usefixtures("flagged")
def test_items_of_any_shape_are_shown(job: Path, server: StreamServer, tmp_path: Path) -> None:
    odd = [
        {},
        5,
        {"id": None, "flags": 3, "created_at": 1e300, "severity": 1e300, "moderation_payload": []},
        {"flags": [1, {"labels": 2}]},
    ]
    server.other_faults.queue(faults.changed(items=odd, next=""))
    assert review(str(job), "--parquet", str(tmp_path / "q.parquet")) == 0
    assert pq.read_table(tmp_path / "q.parquet").num_rows == 3
