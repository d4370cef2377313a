"""What the user got wrong is named with its place and its mend; nothing is scanned, sent or written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scan.harness import Place


@dataclass(frozen=True, slots=True)
class Case:
    """A wrong job and what has to be said about it."""

    job: str
    says: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ("scan",)


PLAN_TOO = ("scan", "plan")
GOOD = '[source]\nuri = "media"\n[endpoints.safecomms]\nbase_url = "{url}"\n'
CASES = {
    "not TOML": Case("[source\n", ("job.toml", "not valid TOML", "line 1")),
    "not UTF-8": Case(GOOD + "# \udcff\n", ("job.toml", "not valid TOML")),
    "an unknown table": Case(GOOD + "[extrat]\n", ("job.toml", "extrat", "extract")),
    "an unknown key": Case(
        GOOD + "[extract]\nframe_intervall = 3\n", ("[extract]", "did you mean 'frame_interval'?"), commands=PLAN_TOO
    ),
    "a wrong type": Case(GOOD + '[extract]\nframe_size = "big"\n', ("[extract]", "frame_size", "'big'")),
    "out of range": Case(GOOD + "[extract]\nframe_interval = 0\n", ("frame_interval", "greater than 0")),
    "a wrong duration": Case(GOOD + '[run]\nmax_time = "soon"\n', ("[run]", "max_time", "soon")),
    "an unknown endpoint": Case('[source]\nuri = "media"\n[endpoints.safecoms]\n', ("safecoms", "safecomms")),
    "an unknown key of the endpoint": Case(
        GOOD + "sampels = []\n", ("[endpoints.safecomms]", "did you mean 'samples'?")
    ),
    "an unknown key of its limits": Case(
        GOOD + "[endpoints.safecomms.limit]\nrequest_per_minute = 3\n", ("limit", "did you mean 'requests_per_minute'?")
    ),
    "a key in the job itself": Case(GOOD + 'api_key = "sc-live-oops"\n', ("api_key", "env")),
    "a key from nowhere": Case(GOOD + 'api_key = { env = "NO_SUCH_KEY" }\n', ("NO_SUCH_KEY",)),
    "a key in no file": Case(GOOD + 'api_key = { file = "no/key" }\n', ("no/key",)),
    "plain http to a stranger": Case(GOOD.replace("{url}", "http://api.example.org"), ("base_url", "https")),
    "thresholds the wrong way round": Case(
        GOOD + "[policy.default]\nflag = 0.9\nremove = 0.2\n", ("policy", "remove (0.2) is below flag (0.9)")
    ),
    "an unknown category": Case(GOOD + "[policy.categories]\nsexuel = { flag = 0.5 }\n", ("policy", "sexuel")),
    "nothing to take out": Case(
        GOOD + "[extract]\naudio = false\nvideo = false\n", ("audio and video are both false",)
    ),
    "samples and extraction exclude each other": Case(
        GOOD + 'samples = ["audio"]\n[extract]\naudio = false\n', ("[endpoints.safecomms] would get nothing to judge",)
    ),
    "no source": Case('[endpoints.safecomms]\nbase_url = "{url}"\n', ("nothing to scan", "[source] uri")),
    "a source that is not there": Case(GOOD.replace('"media"', '"gone"'), ("gone",), commands=PLAN_TOO),
    "a bucket": Case(GOOD.replace('"media"', '"s3://archive/x"'), ("s3://archive",)),
    "a source of a kind nobody reads": Case(
        GOOD.replace('"media"', '"list.xlsx"'), ("list.xlsx", ".csv"), {"list.xlsx": b"PK"}
    ),
    "a manifest without a column of files": Case(
        GOOD.replace('"media"', '"list.csv"'),
        ("list.csv", "its columns are 'title', 'date'"),
        {"list.csv": b"title,date\na,b\n"},
        commands=PLAN_TOO,
    ),
    "a manifest that is empty": Case(GOOD.replace('"media"', '"list.csv"'), ("list.csv",), {"list.csv": b""}),
    "a manifest that is no Parquet": Case(
        GOOD.replace('"media"', '"list.parquet"'), ("list.parquet",), {"list.parquet": b"PAR0"}
    ),
    "a report in a place of a kind nobody writes": Case(
        GOOD + '[report]\nuri = "sftp://host/reports"\n', ("sftp:// holds no report", "s3://")
    ),
    "a report where a file is": Case(GOOD + '[report]\nuri = "taken"\n', ("taken",), {"taken": b""}),
    "a state directory where a file is": Case(
        GOOD + '[state]\ndir = "taken"\n', ("state directory", "taken"), {"taken": b""}
    ),
    "a wrong flag": Case(GOOD, ("--fail-on", "invalid choice"), arguments=("--fail-on", "maybe")),
    "a flag out of range": Case(GOOD, ("frame_interval", "greater than 0"), arguments=("--interval", "0")),
    "a wrong environment": Case(GOOD, ("max_time",), environment={"BATCH_SCAN_MAX_TIME": "tomorrow"}),
    "an endpoint that is not in the job": Case(GOOD, ("stream-of-doom",), arguments=("--endpoint", "stream-of-doom")),
    "an ffmpeg that is none": Case(GOOD, ("ffmpeg",), environment={"BATCH_SCAN_FFMPEG": "/bin/true"}),
    "an ffmpeg that is not there": Case(
        GOOD, ("ffmpeg",), environment={"BATCH_SCAN_FFMPEG": "/no/such/ffmpeg"}, commands=PLAN_TOO
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[SafeCommsServer]:
    with SafeCommsServer() as started:
        yield started


@pytest.mark.parametrize(
    ("command", "case"),
    [pytest.param(command, case, id=f"{command}: {name}") for name, case in CASES.items() for command in case.commands],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    case: Case, command: str, place: Place, server: SafeCommsServer
) -> None:
    (place.directory / "media").mkdir()
    tone(place.directory / "media/one.wav", 0.1)
    for name, data in case.files.items():
        (place.directory / name).write_bytes(data)
    place.job.write_bytes(case.job.replace("{url}", server.url).encode("utf-8", "surrogateescape"))
    place.environment.update(case.environment)
    before, requests = _everything(place), len(server.requests)
    arguments: list[str | Path] = [place.job, *case.arguments]
    ended = place.run(*(("plan", *arguments) if command == "plan" else arguments))
    assert ended.code == 2, ended.stderr
    for words in case.says:
        assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "sc-live" not in ended.stderr
    if command == "plan":
        assert ended.stdout == ""
    else:
        assert (ended.said["run_id"], ended.said["items"], ended.said["exit_code"]) == (None, 0, 2)
    assert _everything(place) == before
    assert len(server.requests) == requests


def _everything(place: Place) -> list[str]:
    found = (os.path.relpath(path, place.directory) for path in place.directory.rglob("*"))
    return sorted(name for name in found if not name.startswith("out-"))


def test_a_plan_needs_no_key(place: Place, server: SafeCommsServer) -> None:
    place.key = None
    (place.directory / "media").mkdir()
    tone(place.directory / "media/one.wav", 0.1)
    place.write_job(GOOD.replace("{url}", server.url))
    assert place.run("plan", place.job).said["tokens"] == 50
    ended = place.run()
    assert ended.code == 2
    assert "SAFECOMMS_API_KEY is empty or not set" in ended.stderr
    assert not place.report.exists()


def test_no_arguments_at_all_say_what_to_do(place: Place) -> None:
    ended = place.start("--no-progress").wait()
    assert ended.code == ended.said["exit_code"] == 2
    assert "name a manifest, a directory or a job file" in ended.stderr


def test_a_report_that_is_none_is_said_to_be_none(place: Place) -> None:
    ended = place.run("report", place.directory / "nowhere")
    assert (ended.code, ended.stdout) == (2, "")
    assert "nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr
