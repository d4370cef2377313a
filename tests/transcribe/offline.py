"""Writes down the raw sound on standard input, and first makes sure that there is no network. A child of the tests."""

from __future__ import annotations

import asyncio
import socket
import sys

from batch_scan.transcribe.config import LocalTranscriberConfig
from batch_scan.transcribe.local import build
from tests.transcribe.spoken import asking, chunk


def _make_sure_to_be_alone() -> None:
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1.0)
    except ConnectionRefusedError:
        sys.exit("there is a network")
    except OSError:
        return
    sys.exit("there is a network, and something listens")


async def _main() -> None:
    transcriber = build(LocalTranscriberConfig())
    await transcriber.open()
    asked = asking(chunk(sys.stdin.buffer.read()))
    for one in transcriber.read(asked, await transcriber.submit(asked)):
        print(one.text)  # noqa: T201 - it is what the test reads


if __name__ == "__main__":
    _make_sure_to_be_alone()
    asyncio.run(_main())
