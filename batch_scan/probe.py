"""Asks each service about one harmless sample of every kind it takes, and says how it went.

What a vendor's pages leave open shows here before a night's archive is paid for: the same adapter as in a scan prices,
sends and reads it. Nothing is remembered; it is asked once, whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batch_scan.check import Check
from batch_scan.digest import digest_bytes
from batch_scan.endpoint.answer_json import dump_json
from batch_scan.endpoint.config import LimitTable
from batch_scan.errors import BatchScanError, EndpointError
from batch_scan.harmless import harmless_samples
from batch_scan.model import Request, RequestId, Score
from batch_scan.transcribe.interface import Transcriber
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.job import Job
    from batch_scan.model import Answer, Utterance

    Asked = Endpoint | Transcriber

_log = logging.getLogger(__name__)

_SPARE_S = 60.0
_SHOWN_READINGS = 12
_SHOWN_CHARS = 1_000
_OTHER_VALUES: tuple[Any, ...] = (None, "batch-scan probe", -1, True, [], {})
"""What stands in for a field's value to see whether the adapter looks at it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One request that is going to be sent."""

    request: Request
    least_s: float
    """How long it takes at least, however fast the service is."""

    @property
    def what(self) -> str:
        """What it is called in the lines about it."""
        return f"{self.request.endpoint} {self.request.medium.value}"


@dataclass(frozen=True, slots=True)
class Trials:
    """What one service is going to be asked; `checks` say what cannot be."""

    trials: tuple[Trial, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def tokens_max(self) -> int:
        """The most that all of it can cost."""
        return sum(trial.request.tokens_max for trial in self.trials)


async def plan_probe(job: Job, services: Mapping[str, Asked], scratch: Path) -> dict[str, Trials]:
    """Prepare and price what is going to be sent, and say in the log what it costs at most. Sends nothing.

    Args:
        job: its budget, and that of each service, is the most that is spent.
        services: by name; need not be open.
        scratch: a directory that outlives the trials.
    """
    asked = {name: await _trials(name, service, scratch) for name, service in services.items()}
    total = sum(trials.tokens_max for trials in asked.values())
    room = job.budget.tokens is None or total <= job.budget.tokens
    planned = {name: _within(trials, services[name].config.budget.tokens, room=room) for name, trials in asked.items()}
    for name, trials in planned.items():
        _log.info("probe of %s", _announcement(trials, name, services[name].config.token_price))
    return planned


async def run_trials(service: Asked, trials: Trials) -> list[Check]:
    """Send what was planned for a service that is open, one after the other; never raises for what becomes of it."""
    checks = list(trials.checks)
    for trial in trials.trials:
        checks += await _run(service, trial)
    return checks


async def _trials(name: str, service: Asked, scratch: Path) -> Trials:
    trials: list[Trial] = []
    checks: list[Check] = []
    needs = service.needs
    if needs.stream is not None and needs.stream.by_url:
        found = "not probed: it pulls files by their URL; scan one http(s) row instead"
        checks.append(Check(f"{name} stream", found))
    try:
        async for sample in harmless_samples(needs, scratch):
            request = Request(
                request_id=RequestId(f"probe-{secrets.token_hex(10)}"),
                endpoint=name,
                operation=service.operation(sample.medium),
                samples=(sample,),
                tokens_max=service.quote(sample.medium, (sample,)),
                key=digest_bytes(secrets.token_bytes(32)),  # another one each time: an answer of before proves nothing
            )
            trials.append(Trial(request, service.lasts_s(sample.medium, (sample,))))
    except BatchScanError as error:
        checks.append(Check(f"{name} probe", f"no sample could be made: {clean_text(str(error))}", good=False))
    return Trials(tuple(trials), tuple(checks))


def _within(trials: Trials, budget: int | None, *, room: bool) -> Trials:
    """Leave everything out where it is more than a budget allows."""
    if room and (budget is None or trials.tokens_max <= budget):
        return trials
    refused = [Check(trial.what, "not probed: the budget does not allow it", good=False) for trial in trials.trials]
    return Trials((), (*trials.checks, *refused))


def _announcement(trials: Trials, name: str, token_price: float | None) -> str:
    if not trials.trials:
        return f"{name} sends nothing"
    kinds = ", ".join(trial.request.medium.value for trial in trials.trials)
    cost = "" if token_price is None else f", which cost {trials.tokens_max * token_price:g}"
    return f"{name} sends {kinds}: at most {trials.tokens_max} tokens{cost}"


async def _run(service: Asked, trial: Trial) -> list[Check]:
    request = trial.request
    begun_s = time.monotonic()
    try:
        async with asyncio.timeout(_longest_s(service, trial)):
            answer = await service.submit(request)
    except TimeoutError:
        return [Check(trial.what, "no answer in time", good=False)]
    except EndpointError as error:
        return [Check(trial.what, _refusal(error), good=False)]
    except Exception as error:  # noqa: BLE001 - an adapter's mistake is what a probe is there to find
        return [Check(trial.what, f"{type(error).__name__}: {clean_text(str(error))}", good=False)]
    took_ms = (time.monotonic() - begun_s) * 1000.0
    charged = answer.tokens_charged
    parts = [
        f"HTTP {answer.http_status}" if answer.http_status is not None else "answered",
        f"{charged} tokens charged, {request.tokens_max} quoted",
        f"request id {clean_text(answer.vendor_request_id) or 'not given'}",
        f"{took_ms:.0f} ms",
    ]
    return [
        Check(trial.what, ", ".join(parts), good=charged <= request.tokens_max),
        _readings(service, trial, answer),
        Check(f"{trial.what} fields", _fields_text(service, request, answer)),
    ]


def _longest_s(service: Asked, trial: Trial) -> float | None:
    """Return how long to wait for an answer; None where the service itself promises none, as a model at work."""
    limit = service.config.limit
    return trial.least_s + 2 * limit.timeout_s + _SPARE_S if isinstance(limit, LimitTable) else None


def _refusal(error: EndpointError) -> str:
    charged = "; may have been charged" if error.maybe_charged else ""
    return f"{error.failure.value}: {clean_text(error.detail)}{charged}"


# ------------------------------------------------------------------------------------------------------------ reading


def _readings(service: Asked, trial: Trial, answer: Answer) -> Check:
    what = f"{trial.what} read"
    try:
        readings: Sequence[Score | Utterance] = service.read(trial.request, answer)
        gap = service.shortfall(trial.request, answer)
    except EndpointError as error:
        return Check(what, f"cannot be read: {clean_text(error.detail)}", good=False)
    except Exception as error:  # noqa: BLE001 - as above
        return Check(what, f"{type(error).__name__}: {clean_text(str(error))}", good=False)
    if gap is not None:
        return Check(what, f"not wholly judged: {gap.detail}", good=False)
    shown = "; ".join(_reading_text(reading) for reading in readings[:_SHOWN_READINGS])
    more = f"; and {len(readings) - _SHOWN_READINGS} more" if len(readings) > _SHOWN_READINGS else ""
    nothing = "nothing was said" if isinstance(service, Transcriber) else "nothing, which is clean"
    return Check(what, clean_text(shown + more, _SHOWN_CHARS) or nothing)


def _reading_text(reading: Score | Utterance) -> str:
    if isinstance(reading, Score):
        unclean = ", called unclean" if reading.unclean else ""
        return f"{reading.category.value} {reading.score:.2f} ({reading.vendor_label or 'no label'}{unclean})"
    return f'{reading.start_s:.1f} to {reading.end_s:.1f} s: "{reading.text}"'


def _fields_text(service: Asked, request: Request, answer: Answer) -> str:
    known, unknown = fields_read(service, request, answer)
    parts = [f"read: {', '.join(known) or 'none'}", f"not read: {', '.join(unknown) or 'none'}"]
    return clean_text("; ".join(parts), _SHOWN_CHARS)


def fields_read(service: Asked, request: Request, answer: Answer) -> tuple[list[str], list[str]]:
    """Return the top-level fields of an answer that the adapter reads, and those that it does not.

    Found out by trying: a field is read where the reading changes once the field is missing or holds something else.
    """
    try:
        fields = json.loads(answer.raw)
    except ValueError:
        return [], []
    if not isinstance(fields, dict):
        return [], []
    as_it_is = _outcome(service, request, answer)
    known = [
        name
        for name in fields
        if any(_outcome(service, request, other) != as_it_is for other in _without_or_other(answer, fields, name))
    ]
    return sorted(known), sorted(set(fields) - set(known))


def _without_or_other(answer: Answer, fields: Mapping[str, Any], name: str) -> Iterator[Answer]:
    rest = {key: value for key, value in fields.items() if key != name}
    yield replace(answer, raw=dump_json(rest))
    for value in _OTHER_VALUES:
        yield replace(answer, raw=dump_json({**fields, name: value}))


def _outcome(service: Asked, request: Request, answer: Answer) -> object:
    """What the adapter makes of an answer, as something that can be compared."""
    try:
        return service.read(request, answer), service.shortfall(request, answer)
    except Exception as error:  # noqa: BLE001 - a refusal is an outcome too
        return type(error), str(error)
