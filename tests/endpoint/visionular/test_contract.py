from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.visionular.server import VisionularServer
from tests.endpoint.contract import HttpEndpointContract
from tests.endpoint.visionular.live import VisionularHarness, judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.endpoint.harness import HttpHarness


class TestContract(HttpEndpointContract):
    @pytest.fixture
    def harness(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpHarness]:
        with VisionularServer(judge=judge()) as server:
            yield VisionularHarness(server, tmp_path, monkeypatch)
            assert not server.left_open
