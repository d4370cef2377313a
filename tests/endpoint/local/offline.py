"""Judges a picture and a sentence with every way to a network barred, and prints the scores. A child of the tests.

Python's own ways out are barred by an audit hook; that native code finds no way out either is seen where the whole
process runs in a network namespace of its own (then `--alone` makes sure that it does).
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.endpoint import build
from tests.endpoint.local.drawn import frame, jpeg, request, target, utterance

_BARRED = (
    "socket.connect",
    "socket.bind",
    "socket.send",
    "socket.getaddrinfo",
    "socket.gethostby",
    "subprocess.",
    "os.exec",
)


def _bar(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_BARRED):
        raise PermissionError(f"{event}{arguments}")


def _make_sure_to_be_alone() -> None:
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1.0)
    except ConnectionRefusedError:
        sys.exit("there is a network")
    except OSError:
        return
    sys.exit("there is a network, and something listens")


async def _main() -> None:
    endpoint = build(LocalConfig())
    await endpoint.open()
    scores = []
    for asked in (request(frame(jpeg(target()))), request(utterance("you are a fucking idiot"))):
        scores += endpoint.read(asked, await endpoint.submit(asked))
    print(json.dumps([[score.category.value, score.vendor_label, score.score] for score in scores]))  # noqa: T201 - its output is read by the test


if __name__ == "__main__":
    if "--alone" in sys.argv:
        _make_sure_to_be_alone()
    sys.addaudithook(_bar)
    asyncio.run(_main())
