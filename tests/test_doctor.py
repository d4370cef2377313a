from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from batch_scan.callbacks.table import CallbacksTable
from batch_scan.cli import main
from batch_scan.doctor import Check, examine_place
from batch_scan.job import Job
from batch_scan.jobfile import load_job
from batch_scan.media.program import FFMPEG_VARIABLE
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY
from batch_scan.secret import SecretRef
from batch_scan.totals import Exit
from batch_scan.transcribe.config import LocalTranscriberConfig

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from batch_scan.sandbox.safecomms.server import SafeCommsServer


async def checks_of(directory: Path, text: str) -> dict[str, Check]:
    job = directory / "job.toml"
    job.write_text(f'[source]\nuri = "x"\n{text}', encoding="utf-8")
    return {check.what: check for check in await examine_place(load_job(str(job), None, None, {}).job)}


def asking(server: SafeCommsServer) -> str:
    return f'[endpoints.safecomms]\nbase_url = "{server.url}"\n'


async def test_the_embedded_engine_needs_nothing_that_is_not_here(tmp_path: Path) -> None:
    checks = await checks_of(tmp_path, "[endpoints.local]\n")
    assert [check.what for check in checks.values() if not check.good] == []
    assert {"batch-scan", "Python", "SQLite", "ffmpeg", "decoders", "local", "transcribe.local"} <= set(checks)
    assert checks["local"].found.startswith("reachable")


async def test_a_service_that_answers_is_reachable_and_says_what_is_left(
    tmp_path: Path, safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFECOMMS_API_KEY", DEFAULT_KEY)
    checks = await checks_of(tmp_path, asking(safecomms_server))
    assert checks["safecomms api_key"].found == "present in environment variable SAFECOMMS_API_KEY"
    assert checks["safecomms"].good
    assert checks["safecomms"].found.startswith("reachable, ")
    assert "requests a minute" in checks["safecomms"].found
    assert not any(DEFAULT_KEY in check.found for check in checks.values())


async def test_a_missing_key_is_a_problem_and_not_an_error(tmp_path: Path, safecomms_server: SafeCommsServer) -> None:
    checks = await checks_of(tmp_path, asking(safecomms_server))
    assert not checks["safecomms api_key"].good
    assert "SAFECOMMS_API_KEY is empty or not set" in checks["safecomms api_key"].found
    assert not checks["safecomms"].good
    assert safecomms_server.requests == []


async def test_a_key_that_is_refused_is_a_problem_and_is_not_shown(
    tmp_path: Path, safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFECOMMS_API_KEY", "sk-wrong-4711")
    checks = await checks_of(tmp_path, asking(safecomms_server))
    assert not checks["safecomms"].good
    assert checks["safecomms"].found.startswith("refused: ")
    assert not any("sk-wrong-4711" in check.found for check in checks.values())


async def test_an_ffmpeg_that_does_not_start_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FFMPEG_VARIABLE, str(tmp_path / "none"))
    checks = await checks_of(tmp_path, "[endpoints.local]\n")
    assert not checks["ffmpeg"].good
    assert FFMPEG_VARIABLE in checks["ffmpeg"].found


def test_the_command_marks_problems_and_ends_with_usage(
    tmp_path: Path, safecomms_server: SafeCommsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.toml").write_text(f'[source]\nuri = "x"\n{asking(safecomms_server)}')
    assert main(["doctor", str(tmp_path / "job.toml")]) == Exit.USAGE
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("PROBLEM")] == [
        "PROBLEM safecomms api_key",
        "PROBLEM safecomms",
    ]
    assert all(line.startswith(("ok      ", "PROBLEM ")) for line in lines)


def called_back(table: CallbacksTable) -> Job:
    return Job.model_validate({"endpoints": {"local": {}}, "callbacks": table})


async def test_callbacks_are_a_problem_where_nothing_can_listen(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        checks = {check.what: check for check in await examine_place(called_back(CallbacksTable(bind=bind)))}
    assert not checks["callbacks"].good
    assert f"nothing can listen at {bind}: Address already in use" in checks["callbacks"].found
    assert checks["local"].good


async def test_callbacks_are_fine_where_something_can(tmp_path: Path) -> None:
    (tmp_path / "path").write_text("k" * 40)
    table = CallbacksTable(
        bind="127.0.0.1:0", public_url="https://hooks.example", path=SecretRef(file=tmp_path / "path")
    )
    checks = {check.what: check for check in await examine_place(called_back(table))}
    assert checks["callbacks path"].good
    assert checks["callbacks"].found == "can listen at 127.0.0.1:0; vendors are told https://hooks.example/…"
    assert not any("k" * 40 in check.found for check in checks.values())


async def test_a_probe_posts_to_the_public_url_and_says_whether_it_came(tmp_path: Path) -> None:
    async def reached(**table: str) -> tuple[bool, str]:
        job = called_back(CallbacksTable(**table))
        checks = {check.what: check for check in await examine_place(job, probe=True)}
        return checks["callbacks public_url"].good, checks["callbacks public_url"].found

    assert await reached(bind="127.0.0.1:0") == (True, "reached from here")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert await reached(bind="127.0.0.1:0", public_url=f"http://127.0.0.1:{port}") == (
        False,
        "not reached from here (ConnectError)",
    )


async def test_somebody_elses_answer_is_not_ours(safecomms_server: SafeCommsServer) -> None:
    job = called_back(CallbacksTable(bind="127.0.0.1:0", public_url=safecomms_server.url))
    checks = {check.what: check for check in await examine_place(job, probe=True)}
    assert not checks["callbacks public_url"].good
    assert "something answers 401 there" in checks["callbacks public_url"].found


async def test_a_transcribers_key_is_looked_for_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyedConfig(LocalTranscriberConfig):
        api_key: SecretRef = SecretRef(env="TOY_TRANSCRIBER_API_KEY")

    job = Job.model_validate({"endpoints": {"local": {}}})
    keyed = job.model_copy(
        update={"transcribe": job.transcribe.model_copy(update={"services": {"local": KeyedConfig()}})}
    )
    for key, good in (("", False), ("secret-4711", True)):
        monkeypatch.setenv("TOY_TRANSCRIBER_API_KEY", key)
        checks = {check.what: check for check in await examine_place(keyed)}
        assert checks["transcribe.local api_key"].good is good
        assert not any("secret-4711" in check.found for check in checks.values())


async def test_how_large_a_fetched_file_may_be_is_said_before_any_is_fetched(tmp_path: Path) -> None:
    for limit, good in ((1_000_000, True), (1 << 60, False)):
        keys = f"scratch_bytes = {limit}\nmax_file_bytes = 500\n[endpoints.local]\n"
        found = (await checks_of(tmp_path, keys))["scratch"]
        assert f"at most {limit} bytes" in found.found
        assert "more than 500 bytes is not fetched" in found.found
        assert found.good is good
