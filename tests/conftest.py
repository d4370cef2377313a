"""What every test has: an environment without keys and proxies, a guard on the error log, and the vendors' servers."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.source import stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.source.stores import StoreServer

_SCRUBBED = re.compile(
    r"^(?:(?:https?|all|no|ftp)_proxy|ssl_cert_(?:file|dir)|sslkeylogfile|requests_ca_bundle|curl_ca_bundle|netrc|"
    r"batch_scan_.*|.*_(?:api_key|api_secret|access_key|access_token|secret_key))$",
    re.IGNORECASE,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's proxies, certificates or keys."""
    for name in list(os.environ):
        if _SCRUBBED.match(name):
            monkeypatch.delenv(name)


@pytest.fixture
def expected_errors() -> list[str]:
    """Regular expressions of error messages that a test expects in the log; append to it."""
    return []


@pytest.fixture(autouse=True)
def _no_unexpected_errors(caplog: pytest.LogCaptureFixture, expected_errors: list[str]) -> Iterator[None]:
    """Fail a test during which something logged an error that it did not expect."""
    yield
    logged = [record for when in ("setup", "call") for record in caplog.get_records(when)]
    own = [record for record in logged if not record.name.startswith("libav.")]  # what libav says of hostile media
    errors = [record.getMessage() for record in own if record.levelno >= logging.ERROR]
    unexpected = [error for error in errors if not any(re.search(pattern, error) for pattern in expected_errors)]
    assert not unexpected, f"logged and not expected: {unexpected}"


@pytest.fixture
def safecomms_server() -> Iterator[SafeCommsServer]:
    """A SafeComms-shaped server that finds everything clean; a test changes its judge, limits and faults."""
    with SafeCommsServer() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[StoreServer]:
    """S3, one server for all tests of a process; so are the others."""
    with stores.moto() as server:
        yield server


@pytest.fixture(scope="session")
def nanio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """S3 that checks signatures."""
    with stores.nanio(tmp_path_factory.mktemp("nanio")) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[StoreServer]:
    """Google Cloud Storage."""
    with stores.fake_gcs() as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """Azure."""
    with stores.azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server
