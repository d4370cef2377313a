"""How fast requests go out: the product's way (ledger, limiter, budget, adapter) against bare httpx.

One sample of 40 kB per request, to a server on loopback that answers after 50 ms, at the same concurrency. Then at a
configured rate: how much of it is used, by the times at which the server saw the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx

from batch_scan.ask import Asker
from batch_scan.delivery import Gate, Meters
from batch_scan.digest import digest_bytes
from batch_scan.endpoint.config import BudgetTable
from batch_scan.endpoint.safecomms.endpoint import SafeCommsConfig, build
from batch_scan.ledger import Ledger
from batch_scan.model import Digest, RunId, Sample
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.clock import SystemClock
from batch_scan.pace.limiter import LocalLimiter
from batch_scan.pace.retry import RetryPolicy
from batch_scan.vocabulary import Medium
from benchmarks.measure import Ratio, spread, table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from benchmarks.options import Options

_REQUESTS = 800
_CONCURRENCIES = (8, 32)
_SAMPLE_BYTES = 40_000
_RATES = (300.0, 1200.0, 4800.0)
_RATE_S = 15.0
_LATENCY_S = 0.05
_WINDOW_S = 5.0


def measure(options: Options) -> str:
    """Return requests per second, then the share of configured rates."""
    with _server() as url:
        speeds = [_speed(url, concurrency, options) for concurrency in _CONCURRENCIES]
        rates = [_rate(url, rate, options.scratch / f"rate-{rate:.0f}") for rate in _RATES]
    head = ("in flight", "at most, by latency", "httpx, requests/s", "batch-scan, requests/s", "batch-scan / httpx")
    head_rates = ("rate allowed, per minute", "requests", "rate used / allowed", "most in any 5 s / allowed")
    return table(head, speeds) + "\n" + table(head_rates, rates)


def _speed(url: str, concurrency: int, options: Options) -> list[object]:
    bare: list[float] = []
    ours: list[float] = []
    for run in range(options.runs):
        bare.append(asyncio.run(_bare(url, concurrency)))
        ours.append(asyncio.run(_ours(url, concurrency, options.scratch / f"speed-{concurrency}-{run}")))
    return [concurrency, f"{concurrency / _LATENCY_S:.0f}", spread(bare), spread(ours), Ratio.of(ours, bare)]


def _rate(url: str, rate: float, state: Path) -> list[object]:
    count = round(rate / 60 * _RATE_S)
    httpx.get(f"{url}/arrivals")
    asyncio.run(_ours(url, 64, state, requests=count, rate=rate))
    arrived = sorted(httpx.get(f"{url}/arrivals").json())
    used = (len(arrived) - 1) / (arrived[-1] - arrived[0]) / (rate / 60)
    crowded = max(sum(start < at <= start + _WINDOW_S for at in arrived) for start in arrived)
    return [f"{rate:.0f}", len(arrived), f"{used:.3f}", f"{crowded / (rate / 60 * _WINDOW_S):.3f}"]


async def _bare(url: str, concurrency: int) -> float:
    """Return requests per second of httpx alone."""
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    turns = iter(range(_REQUESTS))
    data = os.urandom(_SAMPLE_BYTES)

    async def post(client: httpx.AsyncClient) -> None:
        for _ in turns:
            reply = await client.post("/moderation/image/upload", files={"image": ("frame.jpg", data, "image/jpeg")})
            reply.raise_for_status().json()

    async with httpx.AsyncClient(base_url=url, limits=limits) as client:
        await client.get("/usage")
        began_s = time.perf_counter()
        await asyncio.gather(*(post(client) for _ in range(concurrency)))
        return _REQUESTS / (time.perf_counter() - began_s)


async def _ours(url: str, concurrency: int, state: Path, *, requests: int = _REQUESTS, rate: float = 0.0) -> float:
    """Return requests per second of an asker, everything a request goes through included."""
    samples = [_sample() for _ in range(requests)]
    async with _asker(url, concurrency, state, rate) as asker:
        began_s = time.perf_counter()
        asked = await asyncio.gather(*(asker.ask([sample]) for sample in samples))
        took_s = time.perf_counter() - began_s
    if any(one.unanswered for one in asked):
        raise SystemExit("a request was not answered")
    return requests / took_s


@contextlib.asynccontextmanager
async def _asker(url: str, concurrency: int, state: Path, rate: float) -> AsyncIterator[Asker]:
    os.environ["SAFECOMMS_API_KEY"] = "loopback"
    limit = {"concurrency": concurrency, "requests_per_minute": rate}
    config = SafeCommsConfig.model_validate({"base_url": url, "limit": limit})
    service = build(config)
    clock = SystemClock()
    limiter = LocalLimiter({"safecomms": config.limit}, clock)
    async with Ledger.open(state) as ledger:
        meters = Meters(RunId("benchmark"), ledger, limiter, LocalBudget(BudgetTable(), {}), clock)
        asker = Asker("safecomms", service, meters, RetryPolicy.of(config.limit), Gate())
        await service.open()
        yield asker
        await service.close()


def _sample() -> Sample:
    data = b"\xff\xd8\xff\xe0" + os.urandom(_SAMPLE_BYTES)
    return Sample(Medium.FRAME, 0.0, 0.0, Digest(digest_bytes(data)), "image/jpeg", data)


@contextlib.contextmanager
def _server() -> Iterator[str]:
    argv = [sys.executable, "-m", "benchmarks.loopback", str(_LATENCY_S)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None  # noqa: S101 - asked for
        assert child.stdout is not None  # noqa: S101
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        child.stdin.close()
