"""The sandbox as a library: servers, job file, account. Judged by a script, so that nothing is loaded."""

from __future__ import annotations

import queue
import re
import socket
import stat
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.endpoint.safecomms.config import SafeCommsConfig
from batch_scan.errors import UsageError
from batch_scan.jobfile import load_job
from batch_scan.sandbox import tryout
from batch_scan.sandbox.engine_judge import EngineJudge
from batch_scan.sandbox.registry import SERVERS
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY, SafeCommsServer
from batch_scan.sandbox.serve import Options, serve
from batch_scan.secret import secrets_of
from tests.corpus_media import make
from tests.sandbox.scripted import ScriptedJudge
from tests.scan.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batch_scan.job import Job
    from batch_scan.sandbox.judge import Judge

_LAST = "Ctrl-C ends the sandbox."


@dataclass(slots=True)
class Serving:
    """A sandbox that runs in a thread."""

    options: Options
    judge: Judge = field(default_factory=ScriptedJudge)
    stop: threading.Event = field(default_factory=threading.Event)
    told: list[str] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def run(self) -> None:
        try:
            serve(self.options, self.stop, self._lines.put, self.judge)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test's own thread raises it
            self.failed.append(error)
        self._lines.put(None)

    def read_until(self, last: str | None) -> list[str]:
        lines: list[str] = []
        while not lines or lines[-1] != last:
            line = self._lines.get(timeout=30)
            if line is None:
                break
            lines.append(line)
        return lines


@contextmanager
def _serving(options: Options, judge: Judge | None = None) -> Iterator[Serving]:
    serving = Serving(options, judge or ScriptedJudge())
    thread = threading.Thread(target=serving.run)
    thread.start()
    try:
        serving.told = serving.read_until(_LAST)
        yield serving
    finally:
        serving.stop.set()
        thread.join(30)
        assert not thread.is_alive()
        if serving.failed:
            raise serving.failed[0]


def _job(place: Path) -> Job:
    return load_job(str(place / "job.toml"), environ={}).job


def _config(job: Job) -> SafeCommsConfig:
    config = job.endpoints["safecomms"]
    assert isinstance(config, SafeCommsConfig)
    return config


def _ask(url: str, path: str = "/moderation/image/upload") -> httpx.Response:
    files = {"image": ("x.jpg", b"\xff\xd8\xff")}
    return httpx.post(f"{url}{path}", headers={"x-api-key": DEFAULT_KEY}, files=files, trust_env=False)


def _only(tmp_path: Path, **options: Any) -> Options:
    return Options(**{"names": ("safecomms",), "directory": tmp_path / "out", "source": str(tmp_path), **options})


def test_the_job_file_is_valid_and_leads_to_a_server_that_knows_its_key(tmp_path: Path) -> None:
    with _serving(_only(tmp_path, source=str(tmp_path / "archive"))) as serving:
        job = _job(tmp_path / "out")
        config = _config(job)
        usage = httpx.get(
            f"{config.base_url}/usage", headers={"x-api-key": config.api_key.resolve().reveal()}, trust_env=False
        )
        assert usage.json()["tokenLimit"] is None
    assert (job.source.uri, job.report.uri) == (str(tmp_path / "archive"), str(tmp_path / "out" / "reports"))
    assert list(job.endpoints) == ["safecomms"]
    assert f"  batch-scan {tmp_path}/out/job.toml" in serving.told


def test_keys_are_for_their_owner_alone_and_not_in_the_job_file_or_on_the_screen(tmp_path: Path) -> None:
    for _ in range(2):  # the second time over the first one's files
        with _serving(_only(tmp_path)) as serving:
            told = "\n".join(serving.told)
        key = tmp_path / "out" / "secrets" / "safecomms_api_key"
        assert key.read_text() == f"{DEFAULT_KEY}\n"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
        assert DEFAULT_KEY not in (tmp_path / "out" / "job.toml").read_text() + told
        assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [
            "job.toml",
            "safecomms_api_key",
            "secrets",
        ]


def test_the_job_asks_every_server_and_finds_every_key(tmp_path: Path) -> None:
    with _serving(_only(tmp_path, names=tuple(SERVERS))) as serving:
        job = _job(tmp_path / "out")
    services = {**job.endpoints, job.transcribe.engine: job.transcribe.config}
    assert set(services) == set(SERVERS)
    assert [line.split()[0] for line in serving.told if line.startswith("  ")] == [*SERVERS, "batch-scan"]
    found = [reference for config in services.values() for _, reference in secrets_of(config)]
    written = {path for path in (tmp_path / "out" / "secrets").iterdir() if path.read_text().strip()}
    assert {reference.file for reference in found if reference.file is not None} == written
    assert all(reference.resolve().reveal() for reference in found if reference.file is not None)
    assert {config.limit.model_dump()["timeout_s"] for config in services.values()} == {1800.0}


def test_without_a_source_the_line_to_type_leaves_room_for_one(tmp_path: Path) -> None:
    place = tmp_path / "with space"
    with _serving(_only(tmp_path, directory=place, source=None)) as serving:
        assert f"  batch-scan SOURCE --job '{place}/job.toml'" in serving.told
        loaded = load_job(str(tmp_path), place / "job.toml", environ={})
    assert loaded.job.source.uri == str(tmp_path)


def test_without_a_directory_every_sandbox_has_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for number in (1, 2):
        with _serving(_only(tmp_path, directory=None)):
            assert len(list(tmp_path.glob("batch-scan-sandbox-*/job.toml"))) == number


def test_rate_and_quota_are_those_of_the_command_line(tmp_path: Path) -> None:
    with _serving(_only(tmp_path, rate=2, tokens=19)):
        url = _config(_job(tmp_path / "out")).base_url
        usage = httpx.get(f"{url}/usage", headers={"x-api-key": DEFAULT_KEY}, trust_env=False).json()
        assert (usage["rateLimit"], usage["tokenLimit"]) == (2, 19)
        assert [_ask(url).status_code for _ in range(3)] == [402, 402, 429]


def test_it_misbehaves_as_told_and_accounts_for_what_was_asked(tmp_path: Path) -> None:
    with _serving(_only(tmp_path, faults="safecomms:503@2")) as serving:
        url = _config(_job(tmp_path / "out")).base_url
        assert [_ask(url).status_code for _ in range(3)] == [415, 503, 415]
        serving.stop.set()
        assert serving.read_until(None) == ["safecomms: 0 tokens charged for 3 requests"]


def test_servers_follow_a_port_and_a_taken_one_is_an_error_of_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with _serving(_only(tmp_path, port=port)) as serving:
        assert any(line.split() == ["safecomms", f"http://127.0.0.1:{port}"] for line in serving.told)
        with (
            pytest.raises(UsageError, match=rf"cannot listen on 127.0.0.1:{port} for safecomms"),
            _serving(_only(tmp_path, directory=tmp_path / "other", port=port)),
        ):
            pass
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"faults": "stream:429"}, "no server 'stream' is started; there are: safecomms"),
        ({"names": ("nobody",)}, "no server 'nobody'"),
        ({"source": "/archive/\udcff"}, "not valid UTF-8"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_use(tmp_path: Path, options: Mapping[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)), _serving(_only(tmp_path, **options)):
        pass


def test_a_directory_that_cannot_be_written_is_an_error_of_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="the job file cannot be written"),
        _serving(_only(tmp_path, directory=tmp_path / "file" / "out")),
    ):
        pass


def test_its_end_waits_for_no_sound_that_is_being_written_down(tmp_path: Path) -> None:
    story = str(ROOT / "sample_media" / "two_cities.mp3")
    sound = make(tmp_path / "long.mp3", "-stream_loop", "39", "-i", story, "-c", "copy").read_bytes()
    judge = EngineJudge()
    failed: list[httpx.HTTPError] = []

    def ask(url: str) -> None:
        headers = {"x-api-key": DEFAULT_KEY}
        try:
            httpx.post(
                f"{url}/moderation/audio/upload", headers=headers, files={"audio": sound}, timeout=60, trust_env=False
            )
        except httpx.HTTPError as error:
            failed.append(error)

    with _serving(_only(tmp_path), judge) as serving:
        client = threading.Thread(target=ask, args=(_config(_job(tmp_path / "out")).base_url,))
        client.start()
        while client.is_alive() and not judge.is_listening:
            client.join(0.01)
        serving.stop.set()
        assert serving.read_until(None) == ["safecomms: 0 tokens charged for 1 request"]
    client.join(20)
    assert [type(error) for error in failed] == [httpx.RemoteProtocolError]


class _Words(SafeCommsServer):
    """A server of a transcriber whose job needs callbacks."""

    name = "words"
    parent = "transcribe"
    needs_callbacks = True

    @property
    def secrets(self) -> Mapping[str, str]:
        return {"WORDS_ACCESS_TOKEN": "t", "WORDS_API_KEY": "k"}

    @property
    def table(self) -> Mapping[str, Any]:
        return {"base_url": self.url, "limit": {"concurrency": 2, "timeout_s": 5.0}}


def test_each_service_stands_in_its_own_table_and_callbacks_where_one_needs_them() -> None:
    tables = tryout.job_tables([SafeCommsServer(), _Words()], None, 4321)
    words = tables["transcribe"]["words"]
    assert (tables["transcribe"]["engine"], list(tables["endpoints"])) == ("words", ["safecomms"])
    assert words["access_token"] == {"file": "secrets/words_access_token"}
    assert words["api_key"] == {"file": "secrets/words_api_key"}
    assert words["limit"] == {"concurrency": 2, "timeout_s": 5.0}
    assert tables["callbacks"] == {"bind": "127.0.0.1:4321", "public_url": "http://127.0.0.1:4321"}
    assert "source" not in tables
