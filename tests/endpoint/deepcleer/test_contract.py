from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.endpoint.contract import EndpointContract, HttpEndpointContract
from tests.endpoint.deepcleer.kit import DeepCleerHarness, premises

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from batch_scan.sandbox.deepcleer.server import DeepCleerServer
    from tests.endpoint.pulled import MediaHost


class TestFiles(HttpEndpointContract):
    @pytest.fixture
    def harness(self, server: DeepCleerServer) -> DeepCleerHarness:
        return DeepCleerHarness(server)


class TestStreams(EndpointContract):
    @pytest.fixture
    async def harness(
        self, server: DeepCleerServer, host: MediaHost, tmp_path: Path
    ) -> AsyncIterator[DeepCleerHarness]:
        async with premises(tmp_path / "state") as given:
            yield DeepCleerHarness(server, host, given)
