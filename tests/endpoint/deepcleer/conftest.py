from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.deepcleer.server import DEFAULT_KEY, DeepCleerServer
from tests.endpoint.deepcleer.kit import KEY_VARIABLE, judge
from tests.endpoint.pulled import MediaHost

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, DEFAULT_KEY)


@pytest.fixture
def server() -> Iterator[DeepCleerServer]:
    with DeepCleerServer(judge=judge()) as server:
        yield server


@pytest.fixture
def host() -> Iterator[MediaHost]:
    with MediaHost() as host:
        yield host
