"""A process that receives callbacks until it is killed; says its URL. Run by test_receiver.py."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.callbacks.posting import by_id, receiving


async def receive(state: Path, run_id: str) -> None:
    async with receiving(state, run_id=run_id) as receiver:
        sys.stdout.write(receiver.mailbox("toy", by_id).url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(receive(Path(sys.argv[1]), sys.argv[2]))
