from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are closed to all but their owner."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        for one in directory.iterdir():
            one.chmod(0o700)
