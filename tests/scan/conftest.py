from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.scan.corpus import JUDGE, Corpus, build
from tests.scan.harness import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    directory = tmp_path_factory.mktemp("corpus")
    return Corpus(directory, build(directory))


@pytest.fixture
def server() -> Iterator[SafeCommsServer]:
    with SafeCommsServer(judge=JUDGE) as started:
        yield started


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
