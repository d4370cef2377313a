from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.report import buckets

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with buckets.moto() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> buckets.Bucket:
    """An empty bucket, and the keys to it in the environment."""
    for name, value in buckets.KEYS.items():
        monkeypatch.setenv(name, value)
    found = buckets.Bucket(s3_url, f"bucket-{uuid4().hex[:12]}")
    buckets.make_bucket(found.url, found.name)
    return found


@pytest.fixture
def line(bucket: buckets.Bucket) -> Iterator[buckets.Line]:
    """A line to the server that can be disturbed."""
    with buckets.Line(bucket.url) as opened:
        yield opened
