"""A process that uses a ledger until it is killed, or until its disk is full; run by test_ledger.py.

`work`: several requests in flight; says ``sent ID`` and ``answered ID`` after the ledger has said so.
`fill`: writes under a file size limit; says what became of it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

from batch_scan.errors import LedgerError
from batch_scan.ledger import Ledger
from batch_scan.model import Answer, Digest, Request, RequestId, Sample, Stat
from batch_scan.vocabulary import Medium

CONCURRENCY = 8
TOKENS_MAX = 5
FRAME = Sample(Medium.FRAME, 0.0, 0.0, Digest("d"), "image/jpeg", b"x")


def say(word: str, about: object = "") -> None:
    """Tell the test, at once: what is said before a kill must have reached it."""
    sys.stdout.write(f"{word} {about}\n")
    sys.stdout.flush()


def request_of(request_id: str) -> Request:
    return Request(RequestId(request_id), "service", "image", (FRAME,), TOKENS_MAX)


def keys_of(request_id: str) -> list[str]:
    return [f"{request_id}-key-{position}" for position in range(3)]


def answer_of(request_id: str, padding: str = "") -> Answer:
    return Answer(f'{{"answer to": "{request_id}", "padding": "{padding}"}}', tokens_charged=2, http_status=200)


async def answered(ledger: Ledger, request_id: str, padding: str = "") -> None:
    answer = answer_of(request_id, padding)
    await ledger.answered(request_id, keys_of(request_id), answer, 1.5, datetime.now(UTC))


async def work(directory: Path, run_id: str) -> None:
    numbers = itertools.count()

    async def slot(ledger: Ledger) -> None:
        while True:
            request_id = f"{run_id}-{next(numbers)}"
            await ledger.sending(run_id, request_of(request_id), keys_of(request_id))
            say("sent", request_id)
            await ledger.remember_file(f"/{request_id}", Stat(1, 2), "digest")
            await answered(ledger, request_id)
            say("answered", request_id)

    async with Ledger.open(directory) as ledger:
        await asyncio.gather(*(slot(ledger) for _ in range(CONCURRENCY)))


async def fill(directory: Path, run_id: str) -> None:
    random_source = random.Random(1)
    async with Ledger.open(directory) as ledger:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        for number in itertools.count():
            request_id = f"{run_id}-{number}"
            try:
                await ledger.sending(run_id, request_of(request_id), keys_of(request_id))
                await answered(ledger, request_id, random_source.randbytes(20_000).hex())
            except LedgerError as error:
                say("refused", error)
                break
            say("answered", request_id)
        await ledger.remember_file("/lost", Stat(1, 2), "digest" * 200_000)
        try:
            await ledger.flush()
        except LedgerError:
            say("lost")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await ledger.sending(run_id, request_of("after"), keys_of("after"))
        await answered(ledger, "after")
        say("answered after")


if __name__ == "__main__":
    asyncio.run({"work": work, "fill": fill}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))
