"""Plays one film, with handles in a file: a process for a test to kill in the middle of it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from batch_scan.endpoint.premises import MemoryHandles, Premises
from batch_scan.endpoint.visionular.endpoint import build
from tests.endpoint.visionular.live import quick, request_for, sample_of


class FileHandles(MemoryHandles):
    """Handles that outlive the process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        for kind, handle in json.loads(path.read_text()) if path.exists() else ():
            self._open[kind, handle] = None

    async def opened(self, kind: str, handle: str) -> None:
        await super().opened(kind, handle)
        self._write()

    async def closed(self, kind: str, handle: str) -> None:
        await super().closed(kind, handle)
        self._write()

    def _write(self) -> None:
        self._path.write_text(json.dumps(list(self._open)))


async def main(film: str, seconds: str, base_url: str, ingest_url: str, handles: str) -> None:
    endpoint = build(quick(base_url=base_url, ingest_url=ingest_url))
    endpoint.premises = Premises(handles=FileHandles(Path(handles)))
    await endpoint.open()
    await endpoint.submit(request_for(endpoint, sample_of(Path(film), float(seconds))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
