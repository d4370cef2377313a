from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.source import stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.source.stores import StoreServer


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are closed to all but their owner."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        for one in directory.iterdir():
            one.chmod(0o700)


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


@pytest.fixture
def store_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StoreServer:
    """The server that a test names as its parameter, its credentials and no others in the environment."""
    server: StoreServer = request.getfixturevalue(request.param)
    only_these_credentials(monkeypatch, server.env)
    return server


def only_these_credentials(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    """Have these credentials in the environment, and none of the machine's own."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
