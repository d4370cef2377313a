"""Toy services with scripted answers, and everything an asker wants beside them, for tests of the core."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from batch_scan.ask import Asker
from batch_scan.delivery import Gate, Meters
from batch_scan.digest import digest_bytes
from batch_scan.endpoint.config import BudgetTable, ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota
from batch_scan.errors import EndpointError, Failure
from batch_scan.ledger import Ledger
from batch_scan.media.interface import AudioSpec
from batch_scan.model import Answer, Digest, Request, RunId, Sample, Score, Shortfall, Utterance
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.limiter import LocalLimiter
from batch_scan.pace.retry import RetryPolicy
from batch_scan.transcribe.interface import Transcriber
from batch_scan.vocabulary import Category, Medium, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    from batch_scan.pace.clock import Clock

SPEC = AudioSpec()
UNREADABLE, BREAKS_ADAPTER = "not what it should be", "breaks the adapter"
"""Raw answers: one that `read` refuses, and one over which it stumbles."""


@dataclass(slots=True)
class Hold:
    """A submission that waits until it is let go."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


Step = str | Exception | Hold | None
"""What a submission comes to: an answer of these words, an error, a wait before the usual answer, the usual answer."""


class _Scripted:
    """What the toys have in common: steps in order, then nothing but usual answers."""

    def __init__(self, script: Iterable[Step], config: ServiceConfig) -> None:
        self.config = config
        self.submitted: list[Request] = []
        self.quota = Quota()
        self.quota_at_the_end: Quota | None = None
        self._script = list(script)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"adapter": 1}

    async def open(self) -> Quota:
        return self.quota

    async def close(self) -> Quota | None:
        return self.quota_at_the_end

    def operation(self, medium: Medium) -> str:
        return f"judge {medium}"

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        return 2 * len(samples)

    async def submit(self, request: Request) -> Answer:
        self.submitted.append(request)
        step = self._script.pop(0) if self._script else None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Hold):
            step.arrived.set()
            await step.let_go.wait()
            step = None
        raw = self.usual(request) if step is None else step
        return Answer(raw, len(request.samples), 200, "ok", f"v-{len(self.submitted)}", 10)

    def usual(self, request: Request) -> str:
        raise AssertionError("each toy has its own")


def _parsed(raw: str) -> Any:
    if raw == UNREADABLE:
        raise EndpointError(Failure.REFUSED, "the answer says nothing of 1 sample")
    if raw == BREAKS_ADAPTER:
        raise KeyError("isClean")
    return json.loads(raw)


class ToyEndpoint(_Scripted, Endpoint):
    """Charges one token a sample, quotes two; labels each sample with the first letters of what it was sent."""

    def __init__(
        self, *script: Step, name: str = "toy", needs: Needs | None = None, config: ServiceConfig | None = None
    ) -> None:
        super().__init__(script, config or ServiceConfig())
        self.name = name
        self._needs = needs or Needs(frame=BatchLimits(samples=8), utterance=BatchLimits(samples=8))

    @property
    def needs(self) -> Needs:
        return self._needs

    def usual(self, request: Request) -> str:
        return json.dumps([(sample.data or b"").decode()[:8] for sample in request.samples])

    def read(self, request: Request, answer: Answer) -> list[Score]:
        return [
            Score(
                endpoint=self.name,
                medium=sample.medium,
                start_s=sample.start_s,
                end_s=sample.end_s,
                category=Category.OTHER,
                vendor_label=label,
                score=0.9 if label.startswith("bad") else 0.1,
                request_id=request.request_id,
                sample_digest=sample.digest,
            )
            for sample, label in zip(request.samples, _parsed(answer.raw), strict=True)
        ]


class ToyTranscriber(_Scripted, Transcriber):
    """Hears what was sent, word by word, a second each; words of `foreign` are not understood."""

    name = "toy"

    def __init__(self, *script: Step, config: ServiceConfig | None = None) -> None:
        super().__init__(script, config or ServiceConfig())

    @property
    def needs(self) -> Needs:
        return Needs(audio=SPEC)

    def usual(self, request: Request) -> str:
        return json.dumps((request.samples[0].data or b"").decode().split())

    def read(self, request: Request, answer: Answer) -> list[Utterance]:
        start_s = request.samples[0].start_s
        return [Utterance(start_s + at, start_s + at + 1, word) for at, word in enumerate(_parsed(answer.raw))]

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:
        return Shortfall(Reason.NOT_UNDERSTOOD, "not English") if "foreign" in _parsed(answer.raw) else None


class SkippingClock:
    """A clock in which waiting takes no time, but counts; or, where it `stands_still`, for ever."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.stands_still = False

    def now(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        if self.stands_still:
            await asyncio.Event().wait()
        self.now_s += seconds
        await asyncio.sleep(0)


@dataclass(slots=True)
class Desk:
    """One asker, with everything it works with at hand."""

    asker: Asker
    ledger: Ledger
    limiter: LocalLimiter
    budget: LocalBudget
    clock: SkippingClock
    gate: Gate

    @property
    def in_flight(self) -> int:
        return self.limiter.of(self.asker.name).in_flight

    @property
    def reserved(self) -> int:
        """Tokens that are set aside."""
        return self.budget._run.reserved


@contextlib.asynccontextmanager
async def ledger_in(directory: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(directory / "state") as ledger:
        yield ledger


def desk_of(
    ledger: Ledger,
    service: Endpoint | Transcriber,
    tokens: int | None = None,
    run_id: str = "run-1",
    clock: Clock | None = None,
) -> Desk:
    """Make an asker of a service, with a budget of so many tokens."""
    skipping, gate = SkippingClock(), Gate()
    clock = clock or skipping
    name = service.name if isinstance(service, Endpoint) else f"transcribe.{service.name}"
    limiter = LocalLimiter({name: service.config.limit}, clock)
    budget = LocalBudget(BudgetTable(tokens=tokens), {})
    meters = Meters(RunId(run_id), ledger, limiter, budget, clock)
    asker = Asker(name, service, meters, RetryPolicy.of(service.config.limit), gate)
    return Desk(asker, ledger, limiter, budget, skipping, gate)


def sample_of(words: str, start_s: float = 0.0, medium: Medium = Medium.FRAME, length_s: float = 0.0) -> Sample:
    """Make a sample of these words."""
    data = words.encode()
    return Sample(medium, start_s, start_s + length_s, Digest(digest_bytes(data)), "text/plain", data)


def without_data(sample: Sample) -> Sample:
    return replace(sample, data=None)
