"""The page on extending is true: its code, installed as a package of its own, scans with the real command line."""

from __future__ import annotations

import json
import re
import shutil
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.scan.harness import ROOT, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "extending.md"
KEY = "acme-key-0123456789"
URL = "http://127.0.0.1:8765"
SAID = [{"start": 1.0, "end": 2.5, "text": "it was the best of times"}, {"start": 3.0, "end": 4.0, "text": "you FOOL"}]


def blocks() -> dict[str, str]:
    """Return the files that the page shows, by name."""
    shown = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(shown)


class SpeechServer(ThreadingHTTPServer):
    """The speech server of the page's example."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, bytes]] = []
        self.says: Any = SAID

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: SpeechServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, self.headers.get("authorization", ""), body))
        told = json.dumps(self.server.says).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@pytest.fixture
def speech() -> Iterator[SpeechServer]:
    with SpeechServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path, speech: SpeechServer) -> Place:
    """A working directory with the page's job, the page's package installed, and one file to scan."""
    site = tmp_path / "site"
    install(site)
    archive = tmp_path / "archive"
    archive.mkdir()
    shutil.copy(ROOT / "sample_media" / "two_cities.mp3", archive)
    environment = {"PYTHONPATH": f"{ROOT}:{site}", "ACME_API_KEY": KEY}
    place = Place(tmp_path, environment, key=None)
    text = blocks()["job.toml"]
    assert URL in text
    place.write_job(text.replace(URL, speech.url))
    return place


def install(site: Path) -> None:
    """Put the page's modules where an installer would, with the metadata that it would write."""
    shown = blocks()
    metadata = site / "acme_scan-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scan\nVersion: 1.0\n")
    groups = tomllib.loads(shown["pyproject.toml"])["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in of.items()) for group, of in groups.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    for name in ("acme_speech.py", "wordlist.py"):
        (site / name).write_text(shown[name])


def test_the_pages_transcriber_and_endpoint_scan_a_file(place: Place, speech: SpeechServer) -> None:
    ended = place.run()
    assert ended.code == 1, ended.stderr
    (file,) = place.rows("files", ended.run_id)
    assert (file["verdict"], file["status"], file["endpoints"]) == ("flag", "complete", ["transcribe.acme", "wordlist"])
    said = [(row["start_s"], row["text"], row["engine"]) for row in place.rows("transcripts", ended.run_id)]
    start_s = next(
        row["start_s"] for row in place.rows("requests", ended.run_id) if row["endpoint"] == "transcribe.acme"
    )
    assert said == [(start_s + one["start"], one["text"], "acme") for one in SAID]
    (finding,) = place.rows("findings", ended.run_id)
    assert (finding["endpoint"], finding["category"], finding["text"]) == ("wordlist", "profanity", "FOOL")
    assert (finding["start_s"], finding["end_s"]) == (start_s + 3.0, start_s + 4.0)
    ((path, authorization, body),) = speech.asked
    assert (path, authorization) == ("/transcribe?language=en", f"Bearer {KEY}")
    assert body.startswith(b"RIFF")
    assert file["tokens_charged"] == pytest.approx(file["duration_s"], abs=2.0)
    assert file["cost"] == pytest.approx(file["tokens_charged"] * 0.001)
    shown = ended.stdout + ended.stderr + "".join(str(row) for row in place.rows("requests", ended.run_id))
    assert KEY not in shown


def test_the_pages_answers_are_paid_once(place: Place, speech: SpeechServer) -> None:
    first, again = place.run(), place.run()
    assert (first.code, again.code) == (1, 1), again.stderr
    assert len(speech.asked) == 1
    assert again.said["tokens_charged"] == 0


@pytest.mark.parametrize("says", [{}, None, "", {"error": "later"}, [{}]])
def test_what_is_no_transcript_is_not_silence_to_the_pages_transcriber(
    place: Place, speech: SpeechServer, says: Any
) -> None:
    speech.says = says
    ended = place.run()
    (file,) = place.rows("files", ended.run_id)
    assert (file["verdict"], file["reason"]) == ("unknown", "unrecognised_answer")


def test_a_table_of_the_pages_package_is_checked_like_any_other(place: Place) -> None:
    place.write_job(place.job.read_text().replace("words =", "wrods ="))
    ended = place.run()
    assert ended.code == 2
    assert "wrods" in ended.stderr
