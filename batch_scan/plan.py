"""Prices a scan without sending anything: goes through the source as a scan does, and asks nobody.

Frames are deduplicated and silence is measured just as in the scan, since both decide what is paid for; so a plan
decodes the files, and its tokens are those that the scan then charges. What is answered already costs nothing and is
counted as such.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batch_scan.ask import Asker
from batch_scan.asked import Asked
from batch_scan.delivery import Gate, Meters
from batch_scan.engine.one_machine import bounds_of, source_of
from batch_scan.engine.services import build_services
from batch_scan.evidence import Evidence
from batch_scan.ledger import Ledger, StoredAnswer, Twin
from batch_scan.ledger_schema import FILE_NAME
from batch_scan.media.program import ffmpeg_version
from batch_scan.media.reader import MediaReader
from batch_scan.model import Request, RequestRecord, RunId, Sample
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.clock import SystemClock
from batch_scan.pace.limiter import LocalLimiter
from batch_scan.pace.retry import RetryPolicy
from batch_scan.plan_ways import WayCount, ways_told
from batch_scan.scan import Scan, Scope
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Outcome, Reason, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.engine.one_machine import Observer
    from batch_scan.job import Job
    from batch_scan.model import FileResult, Stat

_PLAN = RunId("plan")
_MINUTE_S = 60.0


@dataclass(slots=True)
class ServiceQuote:
    """What one service would be asked."""

    requests: int = 0
    cached_requests: int = 0
    tokens: int = 0
    tokens_saved: int = 0
    """What those frames would cost on top that share the answer of a near-twin."""
    requests_per_minute: float = 0.0
    live_s: float = 0.0
    """How long the requests last at least, one after the other: what is played to a service at its own speed."""
    concurrency: int = 1
    token_price: float | None = None

    @property
    def time_s(self) -> float | None:
        """How long the requests take at the configured rate and concurrency; None where nothing bounds them."""
        at_rate_s = self.requests / self.requests_per_minute * _MINUTE_S if self.requests_per_minute else 0.0
        live_s = self.live_s / self.concurrency
        return max(at_rate_s, live_s) if self.requests_per_minute or live_s else None

    @property
    def cost(self) -> float | None:
        """What the tokens cost; None where the job gives no price."""
        return None if self.token_price is None else self.tokens * self.token_price


@dataclass(slots=True)
class PlanOutcome:
    """What a scan of the source would come to."""

    files: int = 0
    to_scan: int = 0
    duplicates: int = 0
    media_s: float = 0.0
    frames: int = 0
    frames_deduplicated: int = 0
    ways: WayCount = field(default_factory=WayCount)
    """How the pictures are taken out."""
    services: dict[str, ServiceQuote] = field(default_factory=dict)
    not_examined: Counter[Reason] = field(default_factory=Counter)
    """Files that could not be examined wholly, by reason."""
    examples: dict[Reason, str] = field(default_factory=dict)
    """What the row of the first of them says, by reason."""

    @property
    def tokens(self) -> int:
        """Tokens of all services."""
        return sum(quote.tokens for quote in self.services.values())

    @property
    def tokens_saved(self) -> int:
        """What near-twins save, in tokens of all services."""
        return sum(quote.tokens_saved for quote in self.services.values())

    def add(self, result: FileResult) -> None:
        """Count one more file."""
        row = result.row
        self.files += 1
        if row.reason is not None:
            self.not_examined[row.reason] += 1
            self.examples.setdefault(row.reason, row.error)
        if row.duplicate_of:
            self.duplicates += 1
        elif row.media is not None:
            self.to_scan += row.status is not Status.SKIPPED
            self.media_s += row.media.duration_s or row.coverage.audio_s_planned
            self.frames += row.coverage.frames_extracted - row.coverage.frames_deduplicated
            self.frames_deduplicated += row.coverage.frames_deduplicated
            self.ways.add(result)
        for record in result.requests:
            if record.error:  # would never be sent, such as a sample that is too large
                continue
            quote = self.services[record.endpoint]
            quote.requests += not record.cached
            quote.cached_requests += record.cached
            quote.tokens += record.tokens_estimated


class Quoter(Asker):
    """Quotes what an `Asker` would send, and sends nothing."""

    _quoted: set[str]

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._quoted = set()
        self.live_s = 0.0
        """How long the requests last at least; see `Service.lasts_s`."""
        self.tokens_saved = 0
        """What the near-twins of what would be sent would cost on top."""

    async def ask(self, samples: Sequence[Sample], file: int = 0) -> Asked:
        """Count `samples` as answered; those not remembered are quoted, each content once."""
        unique, repeats = self._split_repeats(samples)
        quoted = [sample for sample in unique if self.key(sample) in self._quoted]
        new = [sample for sample in unique if self.key(sample) not in self._quoted]
        return await super().ask(new, file) + Asked(answered=(*quoted, *repeats))

    async def _send_until_answered(self, request: Request, record: RequestRecord, keys: list[str]) -> Asked:
        self._quoted.update(keys)
        self.live_s += self.service.lasts_s(request.medium, request.samples)
        for sample in request.samples:
            if sample.stands_for > 1:
                self.tokens_saved += (sample.stands_for - 1) * self.service.quote(request.medium, (sample,))
        return Asked(answered=request.samples, records=(replace(record, outcome=Outcome.NOT_SENT),))


class _Untouched:
    """Reads what the ledger remembers, if there is one, and keeps what a plan learns to itself."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._twins: dict[str, Twin] = {}

    def answers(self, keys: Sequence[str]) -> dict[str, StoredAnswer]:
        return self._ledger.answers(keys) if self._ledger is not None else {}

    def known_file(self, uri: str, stat: Stat) -> str | None:
        return self._ledger.known_file(uri, stat) if self._ledger is not None else None

    async def remember_file(self, uri: str, stat: Stat, digest: str) -> None:
        pass

    def extraction(self, digest: str, settings: str) -> bytes | None:
        return self._ledger.extraction(digest, settings) if self._ledger is not None else None

    async def remember_extraction(self, digest: str, settings: str, record: bytes) -> None:
        pass

    def twin(self, run_id: str, digest: str) -> Twin | None:  # noqa: ARG002 - there is one run here
        return self._twins.get(digest)

    async def remember_twin(self, run_id: str, digest: str, twin: Twin) -> None:  # noqa: ARG002
        self._twins[digest] = twin


async def plan_scan(job: Job, observer: Observer, tell: Callable[[str], None] | None = None) -> PlanOutcome:
    """Go through the source and price it. Raises UsageError, LockedError.

    Args:
        job: what is to be scanned.
        observer: who is told how it goes.
        tell: takes a line for each film: which way its pictures are taken out, and why.
    """
    source = await source_of(job)
    services = build_services(job)
    ffmpeg_version()  # a plan without it would call every sound damaged
    outcome = PlanOutcome(services={name: _quote(config) for name, config in services.configs.items()})
    async with _ledger_if_any(job) as memory, MediaReader(bounds_of(job).processes, job.limits.media) as reader:
        gate = Gate()
        configs = services.configs
        clock = SystemClock()
        limiter = LocalLimiter({name: config.limit for name, config in configs.items()}, clock)
        meters = Meters(_PLAN, memory, limiter, LocalBudget(job.budget, {}), clock)  # type: ignore[arg-type]
        quoters = {
            name: Quoter(name, service, meters, RetryPolicy.of(service.config.limit), gate)
            for name, service in services.by_name.items()
        }
        takers = services.takers(quoters, job.extract)
        scope = Scope(_PLAN, job, source, reader, takers, memory, gate, Evidence(None), lambda _: False)
        async with contextlib.aclosing(Scan(scope).results(bounds_of(job))) as results:
            async for result in results:
                outcome.add(result)
                if tell is not None:
                    _tell_ways(result, tell)
                observer.result(result)
    for name, quoter in quoters.items():
        outcome.services[name].live_s = quoter.live_s
        outcome.services[name].tokens_saved = quoter.tokens_saved
    return outcome


def _tell_ways(result: FileResult, tell: Callable[[str], None]) -> None:
    for line in ways_told(result):
        tell(f"{clean_text(result.row.item.uri)}: {line}")


@contextlib.asynccontextmanager
async def _ledger_if_any(job: Job) -> AsyncIterator[_Untouched]:
    if not (job.state_dir / FILE_NAME).is_file():
        yield _Untouched(None)
        return
    async with Ledger.open(job.state_dir, wait_s=job.state.wait) as ledger:
        yield _Untouched(ledger)


def _quote(config: ServiceConfig) -> ServiceQuote:
    return ServiceQuote(
        requests_per_minute=config.limit.requests_per_minute,
        concurrency=config.limit.concurrency,
        token_price=config.token_price,
    )
