"""A process that asks DeepCleer one question with a ledger beside it, until it is killed; run by test_crash.py.

Arguments: the ledger's directory, the server's URL, and ``sound`` or the URL of a file to be pulled. Says
``tokens NUMBER`` once it has an answer.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import build
from tests.endpoint.deepcleer.kit import GOOD_HZ, audio_sample, premises, request_of, stream_sample, table_of
from tests.endpoint.pulled import sound

SECONDS = 12.0


async def ask(state: Path, server_url: str, what: str) -> None:
    """Ask about a long sound, or have a file pulled."""
    mode = "file" if what == "sound" else "stream"
    endpoint = build(DeepCleerConfig.model_validate(table_of(server_url, mode=mode, sync_max_s=5.0)))
    content = sound((GOOD_HZ, SECONDS))
    sample = audio_sample(content, SECONDS) if what == "sound" else stream_sample(what, content, SECONDS)
    async with premises(state) as given:
        endpoint.premises = given
        await endpoint.open()
        try:
            answer = await endpoint.submit(request_of(endpoint, sample))
        finally:
            await endpoint.close()
    sys.stdout.write(f"tokens {answer.tokens_charged}\n")


if __name__ == "__main__":
    asyncio.run(ask(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
