"""Every documented error of every vendor, once, in a whole scan: what comes of the run, and of the other endpoints."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from batch_scan.engine.one_machine import run_scan
from batch_scan.jobfile import load_job
from batch_scan.progress import Progress
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.totals import Exit
from tests.scan.corpus import stretches
from tests.scan.sandboxed import CHAT_HZ, Sandbox, sandbox

if TYPE_CHECKING:
    from pathlib import Path

NEIGHBOUR = {"safecomms": "deepcleer", "deepcleer": "safecomms", "visionular": "safecomms"}
FINAL = [
    *(("safecomms", status) for status in (401, 402, 403)),
    *(("stream", status) for status in (401, 403)),
    *(("deepgram", status) for status in (401, 402, 403, 404)),
    *(("visionular", status) for status in (401, 404)),
    *(("deepcleer", code) for code in (9100, 9101)),
]
PASSING = [
    *(("safecomms", status) for status in (429, 500, 502, 503)),
    *(("stream", status) for status in (429, 500, 503)),
    *(("deepgram", status) for status in (408, 409, 429, 500, 504)),
    *(("visionular", status) for status in (429, 500)),
    *(("deepcleer", code) for code in (1903, 1911)),
    pytest.param("deepcleer", 1901, marks=pytest.mark.slow, id="deepcleer-1901"),  # no pause is asked for: 15 s
]
REFUSING = [
    *(("safecomms", status) for status in (400, 413, 415, 422)),
    *(("stream", status) for status in (400, 413)),
    *(("deepgram", status) for status in (400, 413)),
    *(("visionular", status) for status in (400,)),
    *(("deepcleer", code) for code in (1902, 1905)),
]


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan of one film came to."""

    exit: Exit
    file: dict[str, Any]
    requests: list[dict[str, Any]]

    def of(self, name: str) -> list[dict[str, Any]]:
        """The requests to one service."""
        return [row for row in self.requests if row["endpoint"].removeprefix("transcribe.") == name]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clean film of two seconds, in which somebody chats."""
    directory = tmp_path_factory.mktemp("failing") / "media"
    directory.mkdir()
    stretches(directory / "film.mp4", (("gray", 1.0), ("0x609090", 1.0)), f"sine=frequency={CHAT_HZ:g}:duration=2")
    return directory


def served_with(name: str) -> tuple[str, ...]:
    """Return who is asked beside the vendor that fails: one that needs nothing of it, and what it needs itself."""
    if name in {"stream", "deepgram"}:
        return ("stream", "deepgram", "safecomms")
    return (name, NEIGHBOUR[name])


def error_of(served: Sandbox, name: str, code: int) -> Fault:
    """Return the vendor's error in its own form; where it asks for a pause, for none to speak of."""
    if name == "deepcleer":
        body = json.dumps({"code": code, "message": "as told", "requestId": "r"}).encode()
        return Fault(Kind.ANSWER, 200, {"content-type": "application/json"}, body)
    fault = served.servers[name].refusal(code)
    return replace(fault, headers={**fault.headers, "retry-after": "0"}) if code == 429 else fault


def scan(served: Sandbox, archive: Path, directory: Path) -> Scanned:
    """Scan in this process, as the command does."""

    def change(tables: dict[str, Any]) -> None:
        tables["extract"] = {"frame_interval": 1.0, "dedup_frames": False}

    job = load_job(str(served.write(directory, archive, change))).job
    outcome = asyncio.run(run_scan(job, Progress(enabled=False), asyncio.Event()))
    tables = {
        table: [row for part in sorted((directory / "reports" / table).rglob("*.parquet")) for row in rows_of(part)]
        for table in ("files", "requests")
    }
    (file,) = tables["files"]
    return Scanned(outcome.exit, file, tables["requests"])


def rows_of(part: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(part).read().to_pylist()  # type: ignore[no-any-return]


def neighbours_answered(done: Scanned, name: str) -> bool:
    """Tell whether everybody who needs nothing of the vendor was asked and has answered."""
    others = [other for other in served_with(name) if other not in {"stream", "deepgram", name}]
    return all(done.of(other) and all(row["outcome"] == "answered" for row in done.of(other)) for other in others)


@pytest.mark.parametrize(("name", "code"), FINAL)
def test_what_is_final_stops_that_endpoint_and_its_samples_are_not_clean(
    archive: Path, tmp_path: Path, name: str, code: int
) -> None:
    with sandbox(names=served_with(name)) as served:
        served.servers[name].faults.when(lambda _: True, error_of(served, name, code))
        done = scan(served, archive, tmp_path)
    assert done.exit is Exit.ENDPOINT_REFUSED
    assert (done.file["verdict"], done.file["status"]) == ("unknown", "partial")
    assert done.file["reason"] == "endpoint_stopped"
    assert all(row["outcome"] != "answered" for row in done.of(name))
    assert neighbours_answered(done, name)


@pytest.mark.parametrize(("name", "code"), PASSING)
def test_what_passes_is_asked_again(archive: Path, tmp_path: Path, name: str, code: int) -> None:
    with sandbox(names=served_with(name)) as served:
        served.servers[name].faults.queue(error_of(served, name, code))
        done = scan(served, archive, tmp_path)
    assert done.exit is Exit.CLEAN
    assert (done.file["verdict"], done.file["status"]) == ("keep", "complete")
    assert max(row["attempts"] for row in done.of(name)) == 2
    assert neighbours_answered(done, name)


@pytest.mark.parametrize(("name", "code"), REFUSING)
def test_what_refuses_a_sample_leaves_it_unexamined_and_goes_on(
    archive: Path, tmp_path: Path, name: str, code: int
) -> None:
    with sandbox(names=served_with(name)) as served:
        served.servers[name].faults.queue(error_of(served, name, code))
        done = scan(served, archive, tmp_path)
    assert done.exit is Exit.INCOMPLETE
    assert (done.file["verdict"], done.file["status"]) == ("unknown", "partial")
    assert done.file["reason"] in {"sample_refused", "unrecognised_answer"}
    assert [row["outcome"] for row in done.of(name)].count("failed") == 1
    assert [row["attempts"] for row in done.of(name) if row["outcome"] == "failed"] == [1]
    assert neighbours_answered(done, name)
