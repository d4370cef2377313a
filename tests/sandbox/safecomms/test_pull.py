"""What the sandbox's SafeComms fetches by URL, and what it does not."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.sandbox.safecomms.contract import time_span
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY, SafeCommsServer
from tests.endpoint.pulled import MediaHost, sound

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = sound((440.0, 1.5))


@pytest.fixture
def host() -> Iterator[MediaHost]:
    with MediaHost() as host:
        yield host


def ask(server: SafeCommsServer, url: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    headers = {"X-Api-Key": DEFAULT_KEY}
    told = httpx.post(
        f"{server.url}/moderation/audio", headers=headers, json={"audio": url, **fields}, timeout=20, trust_env=False
    )
    return told.status_code, told.json()


def test_a_file_is_fetched_and_its_metadata_told_as_the_page_shows_them(
    safecomms_server: SafeCommsServer, host: MediaHost
) -> None:
    status, told = ask(safecomms_server, host.put("a.wav", FILE), extractMetadata=True)
    assert (status, host.asked) == (200, ["a.wav"])
    assert told["metadata"] == {"Format": "audio", "Size": str(len(FILE)), "Duration": "00:00:01.5000000"}
    assert safecomms_server.tokens_used == 51
    safecomms_server.tells_metadata = False
    assert "Duration" not in ask(safecomms_server, f"{host.url}/a.wav", extractMetadata=True)[1]["metadata"]
    assert "metadata" not in ask(safecomms_server, f"{host.url}/a.wav")[1]


@pytest.mark.parametrize(("redirects", "status"), [(0, 200), (3, 200), (4, 400)])
def test_three_redirects_are_followed(
    safecomms_server: SafeCommsServer, host: MediaHost, redirects: int, status: int
) -> None:
    host.put(f"{redirects}.wav", FILE)
    host.redirects |= {f"{at}.wav": f"/{at + 1}.wav" for at in range(redirects)}
    assert ask(safecomms_server, f"{host.url}/0.wav")[0] == status
    assert len(host.asked) == min(redirects, 3) + 1


@pytest.mark.parametrize(
    "url", ["http://10.0.0.7/a.wav", "http://[::1]:1/a.wav", "http://169.254.169.254/x", "https:///a"]
)
@pytest.mark.parametrize(("skipped", "status"), [(False, 400), (True, 200)])
def test_what_is_private_is_never_asked(
    safecomms_server: SafeCommsServer, url: str, status: int, *, skipped: bool
) -> None:
    safecomms_server.pulls_from_loopback, safecomms_server.private_is_skipped = False, skipped
    told = ask(safecomms_server, url, extractMetadata=True)
    assert told[0] == status
    assert "metadata" not in told[1]


def test_a_redirect_does_not_lead_where_the_url_itself_may_not(
    safecomms_server: SafeCommsServer, host: MediaHost
) -> None:
    host.redirects |= {"a.wav": "http://10.0.0.7/secret", "b.wav": "file:///etc/passwd"}
    for path in ("a.wav", "b.wav"):
        assert ask(safecomms_server, f"{host.url}/{path}")[0] == 400


def test_what_is_missing_late_or_too_large_is_a_problem(safecomms_server: SafeCommsServer, host: MediaHost) -> None:
    assert ask(safecomms_server, f"{host.url}/missing.wav?sig=x")[0] == 400
    safecomms_server.pull_refusal = 422
    status, told = ask(safecomms_server, f"{host.url}/missing.wav?sig=x")
    assert (status, "missing.wav?sig=x" in told["detail"]) == (422, True)
    safecomms_server.max_bytes = len(FILE) - 1
    assert ask(safecomms_server, host.put("a.wav", FILE))[0] == 413
    safecomms_server.pull_timeout_s = 0.05
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, told = ask(safecomms_server, f"http://127.0.0.1:{silent.getsockname()[1]}/a.wav")
    assert (status, "within 0.05 s" in json.dumps(told)) == (422, True)
    assert safecomms_server.tokens_used == 0


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "00:00:00.0000000"), (15.5, "00:00:15.5000000"), (3725.25, "01:02:05.2500000")]
)
def test_a_length_is_told_as_the_page_shows_it(seconds: float, told: str) -> None:
    assert time_span(seconds) == told
