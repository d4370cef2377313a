from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.endpoint.contract import HttpEndpointContract
from tests.endpoint.stream.kit import StreamHarness

if TYPE_CHECKING:
    from batch_scan.sandbox.stream.server import StreamServer
    from tests.endpoint.harness import HttpHarness


class TestTexts(HttpEndpointContract):
    @pytest.fixture
    def harness(self, server: StreamServer, monkeypatch: pytest.MonkeyPatch) -> HttpHarness:
        return StreamHarness(server, monkeypatch)


class TestFrames(HttpEndpointContract):
    @pytest.fixture
    def harness(self, server: StreamServer, monkeypatch: pytest.MonkeyPatch) -> HttpHarness:
        return StreamHarness(server, monkeypatch, samples=["frame", "utterance"], force_sync=True)
