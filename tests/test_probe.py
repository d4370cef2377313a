from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.config import BudgetTable, ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.errors import EndpointError, Failure
from batch_scan.job import Job
from batch_scan.media.interface import AudioSpec
from batch_scan.model import Answer, Request, Score, Shortfall
from batch_scan.probe import fields_read, plan_probe, run_trials
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY
from batch_scan.totals import Exit
from batch_scan.vocabulary import Category, Medium, Reason
from tests.asking_kit import BREAKS_ADAPTER, UNREADABLE, ToyEndpoint, ToyTranscriber

if TYPE_CHECKING:
    from batch_scan.check import Check
    from batch_scan.probe import Asked
    from batch_scan.sandbox.safecomms.server import SafeCommsServer

ROOT = Path(__file__).parents[1]
FRAMES = Needs(frame=BatchLimits())


class ObjectEndpoint(ToyEndpoint):
    """Answers with an object, of which it reads two fields."""

    def usual(self, request: Request) -> str:
        return json.dumps({"isClean": True, "labels": [], "id": "v-1", "new": {"a": 1}})

    def read(self, request: Request, answer: Answer) -> list[Score]:
        fields = json.loads(answer.raw)
        if not isinstance(fields.get("isClean"), bool):
            raise EndpointError(Failure.REFUSED, "does not say whether it is clean")
        (sample,) = request.samples
        clean = Score(self.name, sample.medium, 0.0, 0.0, Category.OTHER, str(fields["labels"]), 0.0)
        return [clean]


async def probed(service: Asked, scratch: Path, job: Job | None = None) -> dict[str, Check]:
    planned = await plan_probe(job or Job(), {service.name: service}, scratch)
    return {check.what: check for check in await run_trials(service, planned[service.name])}


async def test_one_sample_of_each_kind_is_sent_and_its_price_is_said_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "batch_scan")
    needs = Needs(AudioSpec(), BatchLimits(), BatchLimits(), StreamNeeds(pictures=True))
    toy = ObjectEndpoint(needs=needs, config=ServiceConfig(token_price=0.25))
    planned = await plan_probe(Job(), {"toy": toy}, tmp_path)
    assert toy.submitted == []
    assert [record.getMessage() for record in caplog.records] == [
        "probe of toy sends frame, audio, utterance, stream: at most 8 tokens, which cost 2"
    ]
    checks = await run_trials(toy, planned["toy"])
    assert [request.medium for request in toy.submitted] == [
        *(Medium.FRAME, Medium.AUDIO, Medium.UTTERANCE, Medium.STREAM)
    ]
    assert all(check.good for check in checks)
    assert len({request.key for request in toy.submitted}) == 4
    assert all(len(request.key) == 64 and request.tokens_max == 2 for request in toy.submitted)


async def test_it_says_what_came_and_what_was_made_of_it(tmp_path: Path) -> None:
    checks = await probed(ObjectEndpoint(needs=FRAMES), tmp_path)
    assert checks["toy frame"].found.startswith("HTTP 200, 1 tokens charged, 2 quoted, request id v-1, ")
    assert checks["toy frame read"].found == "other 0.00 ([])"
    assert checks["toy frame fields"].found == "read: isClean, labels; not read: id, new"


async def test_an_answer_that_is_no_object_has_no_fields(tmp_path: Path) -> None:
    checks = await probed(ToyEndpoint('["fine"]', needs=FRAMES), tmp_path)
    assert checks["toy frame read"].found == "other 0.10 (fine)"
    assert checks["toy frame fields"].found == "read: none; not read: none"


async def test_a_transcriber_is_probed_too(tmp_path: Path) -> None:
    checks = await probed(ToyTranscriber('["well", "then"]'), tmp_path)
    assert checks["toy audio read"].found == '0.0 to 1.0 s: "well"; 1.0 to 2.0 s: "then"'


async def test_what_was_not_judged_is_a_problem_and_never_clean(tmp_path: Path) -> None:
    class Half(ObjectEndpoint):
        def read(self, request: Request, answer: Answer) -> list[Score]:
            return []

        def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:
            return Shortfall(Reason.UNRECOGNISED_ANSWER, "half of it") if "new" in json.loads(answer.raw) else None

    checks = await probed(Half(needs=FRAMES), tmp_path)
    assert checks["toy frame read"].found == "not wholly judged: half of it"
    assert not checks["toy frame read"].good
    assert checks["toy frame fields"].found == "read: new; not read: id, isClean, labels"


async def test_a_transcriber_that_hears_nothing_calls_nothing_clean(tmp_path: Path) -> None:
    assert (await probed(ToyTranscriber("[]"), tmp_path))["toy audio read"].found == "nothing was said"


@pytest.mark.parametrize(
    ("step", "what", "found"),
    [
        (EndpointError(Failure.FATAL, "no\x1b such key", http_status=401), "toy frame", "fatal: no"),
        (
            EndpointError(Failure.TRANSIENT, "cut", maybe_charged=True),
            "toy frame",
            "transient: cut; may have been charged",
        ),
        (KeyError("isClean"), "toy frame", "KeyError: 'isClean'"),
        (UNREADABLE, "toy frame read", "cannot be read: the answer says nothing of 1 sample"),
        (BREAKS_ADAPTER, "toy frame read", "KeyError: 'isClean'"),
    ],
)
async def test_whatever_goes_wrong_is_a_problem_and_no_error(
    step: str | Exception, what: str, found: str, tmp_path: Path
) -> None:
    toy = ToyEndpoint(step, needs=FRAMES)
    checks = await probed(toy, tmp_path)
    assert not checks[what].good
    assert checks[what].found.startswith(found)
    assert "\x1b" not in checks[what].found
    assert len(toy.submitted) == 1  # asked once, whatever becomes of it


async def test_charging_more_than_was_quoted_is_a_problem(tmp_path: Path) -> None:
    class Dear(ObjectEndpoint):
        async def submit(self, request: Request) -> Answer:
            return Answer(self.usual(request), tokens_charged=3)

    checks = await probed(Dear(needs=FRAMES), tmp_path)
    assert not checks["toy frame"].good
    assert checks["toy frame"].found.startswith("answered, 3 tokens charged, 2 quoted, request id not given")


@pytest.mark.parametrize(
    ("job", "config"),
    [
        (Job(budget=BudgetTable(tokens=1)), ServiceConfig()),
        (Job(), ServiceConfig(budget=BudgetTable(tokens=1))),
    ],
)
async def test_a_budget_holds_here_too(job: Job, config: ServiceConfig, tmp_path: Path) -> None:
    toy = ObjectEndpoint(needs=FRAMES, config=config)
    checks = await probed(toy, tmp_path, job)
    assert not checks["toy frame"].good
    assert "budget" in checks["toy frame"].found
    assert toy.submitted == []


async def test_files_that_are_pulled_by_url_are_not_probed_and_it_says_so(tmp_path: Path) -> None:
    toy = ToyEndpoint(needs=Needs(stream=StreamNeeds(sound=True, by_url=True)))
    checks = await probed(toy, tmp_path)
    assert checks["toy stream"].found.startswith("not probed: it pulls files by their URL")
    assert toy.submitted == []


async def test_fields_of_an_answer_that_is_no_json_are_not_looked_for(tmp_path: Path) -> None:
    toy = ObjectEndpoint(needs=FRAMES)
    planned = await plan_probe(Job(), {"toy": toy}, tmp_path)
    assert fields_read(toy, planned["toy"].trials[0].request, Answer("no JSON", 0)) == ([], [])


def doctor(directory: Path, server: SafeCommsServer, *flags: str) -> subprocess.CompletedProcess[str]:
    (directory / "job.toml").write_text(
        f'[source]\nuri = "x"\n[endpoints.safecomms]\nbase_url = "{server.url}"\n', encoding="utf-8"
    )
    code = "from batch_scan.cli import entry_point; entry_point()"
    return subprocess.run(
        [sys.executable, "-c", code, "doctor", str(directory / "job.toml"), *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SAFECOMMS_API_KEY": DEFAULT_KEY},
    )


def test_the_command_sends_nothing_unless_it_is_told_to(tmp_path: Path, safecomms_server: SafeCommsServer) -> None:
    done = doctor(tmp_path, safecomms_server)
    assert (done.returncode, safecomms_server.calls, safecomms_server.tokens_used) == (Exit.CLEAN, [], 0)


def test_the_command_probes_and_tells(tmp_path: Path, safecomms_server: SafeCommsServer) -> None:
    done = doctor(tmp_path, safecomms_server, "--probe")
    assert done.returncode == Exit.CLEAN, done.stdout + done.stderr
    assert done.stderr == "batch-scan: probe of safecomms sends frame, audio: at most 70 tokens\n"
    lines = dict(line[8:].split(": ", 1) for line in done.stdout.splitlines())
    for kind, tokens in (("frame", 20), ("audio", 50)):
        assert f"HTTP 200, {tokens} tokens charged, {tokens} quoted, request id req_" in lines[f"safecomms {kind}"]
        assert "violence 0.00 (Violence)" in lines[f"safecomms {kind} read"]
        assert lines[f"safecomms {kind} fields"].startswith("read: categoryScores, isClean")
    assert safecomms_server.tokens_used == 70
    assert [seen.operation for seen in safecomms_server.calls] == ["image", "audio"]
    assert DEFAULT_KEY not in done.stdout + done.stderr


def test_a_refusal_ends_with_usage(tmp_path: Path, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.max_bytes = 1_000
    done = doctor(tmp_path, safecomms_server, "--probe")
    assert done.returncode == Exit.USAGE
    assert "PROBLEM safecomms frame: refused: safecomms answered 413" in done.stdout
