from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.stream.server import StreamServer
from tests.endpoint.stream.kit import StreamHarness, judge

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[StreamServer]:
    with StreamServer(judge=judge(), async_delay_s=0.0) as server:
        yield server


@pytest.fixture
def harness(server: StreamServer, monkeypatch: pytest.MonkeyPatch) -> StreamHarness:
    return StreamHarness(server, monkeypatch)
