"""Killed at any moment, the same command leaves nothing open at any vendor and pays nothing twice but what was out."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.scan.corpus import stretches
from tests.scan.harness import Ended, Place, Running, comparable
from tests.scan.sandboxed import INSULT_HZ, Sandbox, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
KILLS = 5
MOST_IN_FLIGHT = {"safecomms": 8, "stream": 8, "visionular": 2, "deepcleer": 8, "transcribe.deepgram": 16}
MOST_TOKENS = {"safecomms": 60, "stream": 21, "visionular": 5, "deepcleer": 12, "transcribe.deepgram": 5}
"""Of one request."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films of four seconds, told apart by their colours; one in three has an insult and two a red second."""
    directory = tmp_path_factory.mktemp("vendors") / "media"
    directory.mkdir()
    for at in range(6):
        middle = "red" if at % 3 == 0 else "gray"
        colours = ((f"0x{40 + at * 20:02x}9090", 2.0), (middle, 1.0), (f"0x90{40 + at * 20:02x}90", 1.0))
        hz = INSULT_HZ if at % 2 == 0 else 300.0 + at
        stretches(directory / f"film {at}.mp4", colours, f"sine=frequency={hz:g}:duration=3")
    return directory


@pytest.fixture(scope="module")
def web(archive: Path) -> Iterator[str]:
    """Serve the films over HTTP, for those who pull them; yields host and port."""
    handler = functools.partial(_Quiet, directory=str(archive))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def prepare(place: Place, served: Sandbox, archive: Path, web: str) -> None:
    """Write a manifest of films on the disk and under URLs, and the job over it; sound under a URL is pulled."""
    manifest = place.directory / "manifest.csv"
    films = sorted(archive.iterdir())
    rows = [str(film) for film in films[:4]] + [f"http://{web}/{film.name.replace(' ', '%20')}" for film in films[4:]]
    manifest.write_text("\n".join(["uri", *rows]) + "\n")

    def change(tables: dict[str, Any]) -> None:
        tables["source"] = {"uri": str(manifest), "root": str(archive), "allow_hosts": [web]}
        tables["extract"] = {"frame_interval": 1.0}
        tables["endpoints"]["deepcleer"]["mode"] = "stream"

    place.job.write_bytes(served.write(place.directory, manifest, change).read_bytes())


def killed_after(running: Running, seconds: float) -> bool:
    """SIGKILL it when it has had so many seconds; False where it ended before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(seconds)
        return False
    running.process.send_signal(signal.SIGKILL)
    return running.process.wait() == -signal.SIGKILL


def report_of(place: Place, ended: Ended) -> dict[str, Any]:
    """Return what two runs must agree on; what is found while playing live may differ by a picture, and is left out."""
    files = ("verdict", "status", "reason")
    findings = [row for row in place.rows("findings", ended.run_id) if row["medium"] != "stream"]
    return {
        "files": sorted((row["uri"], *(row[name] for name in files)) for row in place.rows("files", ended.run_id)),
        "findings": comparable(findings, "evidence"),
    }


def test_killed_at_random_nothing_stays_open_and_nothing_is_paid_twice(archive: Path, web: str, tmp_path: Path) -> None:
    calm, shaken = Place(tmp_path / "calm"), Place(tmp_path / "shaken")
    with sandbox() as served:
        prepare(calm, served, archive, web)
        undisturbed = calm.run()
        assert undisturbed.code == 1, undisturbed.stderr
        assert served.left_open == {}
        expected, paid = report_of(calm, undisturbed), served.tokens
    chance = random.Random(20261122)
    with sandbox() as served:
        prepare(shaken, served, archive, web)
        kills = 0
        for _ in range(KILLS):
            if not killed_after(shaken.start(), chance.uniform(1.5, 6.0)):
                break
            kills += 1
        ended = shaken.run()
        assert ended.code == undisturbed.code, ended.stderr
        assert served.left_open == {}
        assert report_of(shaken, ended) == expected
        assert kills >= 2, "it was too quick to be killed"
        for name, tokens in served.tokens.items():
            doubtful = kills * MOST_IN_FLIGHT[name] * MOST_TOKENS[name]
            assert paid[name] <= tokens <= paid[name] + doubtful, name
