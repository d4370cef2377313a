from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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
