"""Buckets for reports at the servers of other clouds than S3's."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from tests.report.buckets import Bucket
from tests.report.gcs_front import xml_front
from tests.source import stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLOUDS = ("azure", "google")
_NOBODY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
"""A key file as obstore takes it for emulators: writing wants one, where reading does without."""


@contextlib.contextmanager
def bucket_of(cloud: str, data: Path) -> Iterator[Bucket]:
    """Have an empty bucket at a server of its own while the context lasts."""
    if cloud == "azure":
        with stores.azurite(data) as server:
            name = server.make_bucket().name
            yield Bucket(server.endpoint, name, "az", server.env, "AZURE_STORAGE_ENDPOINT")
        return
    with stores.fake_gcs() as server, xml_front(server.endpoint) as url:
        name = server.make_bucket().name
        yield Bucket(url, name, "gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(_NOBODY)}, "GOOGLE_BASE_URL")
