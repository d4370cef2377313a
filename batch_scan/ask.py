"""Asks one service for groups of samples: from memory first, then new questions, until answered or given up."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

from batch_scan.asked import Asked, error_type, refused, unanswered, unrecognised
from batch_scan.delivery import (
    Delivered,
    Delivery,
    Gate,
    Meters,
    NotSentError,
    OutdatedError,
    Reading,
    UnreadableError,
)
from batch_scan.digest import digest_bytes, fingerprint
from batch_scan.duration import format_duration
from batch_scan.endpoint.base_url import is_on_this_machine
from batch_scan.errors import EndpointError, Failure
from batch_scan.ledger import answer_key
from batch_scan.model import Digest, Request, RequestId, RequestRecord, Sample, Shortfall, Utterance
from batch_scan.turns import Order, Turns
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Medium, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batch_scan.endpoint.interface import Endpoint, Quota
    from batch_scan.ledger import PaidRequest, StoredAnswer
    from batch_scan.model import Answer, RunId
    from batch_scan.pace.retry import RetryPolicy
    from batch_scan.transcribe.interface import Transcriber


class Asker:
    """Asks one endpoint or transcriber, on behalf of every file of a run."""

    def __init__(
        self, name: str, service: Endpoint | Transcriber, meters: Meters, retry: RetryPolicy, gate: Gate
    ) -> None:
        self.name = name
        """The service's word in the report: an endpoint's name, or ``transcribe.NAME``."""
        self.service = service
        self.delivery = Delivery(name, service, meters, gate)
        """Where requests go out; tells whether they still may."""
        self._meters = meters
        self._retry = retry
        self._random = Random()  # noqa: S311 - jitter
        self._settings: dict[Medium, str] = {}
        self._price = service.config.token_price
        self._asking: dict[str, asyncio.Future[None]] = {}
        # More than the service takes, so that it never waits for us; everything else waits here, by file.
        self._line = Turns(2 * service.config.limit.concurrency, Order.SHARED)

    async def open(self) -> Quota:
        """Open the service and take over the rate it names. Raises EndpointError, UsageError."""
        quota = await self.service.open()
        if quota.requests_per_minute:
            await self._meters.limiter.set_rate(self.name, quota.requests_per_minute)
        return quota

    def key(self, sample: Sample) -> str:
        """Return the key under which the answer to this sample is remembered."""
        return answer_key(sample.digest, self.service.operation(sample.medium), self._fingerprint(sample.medium))

    def _fingerprint(self, medium: Medium) -> str:
        if medium not in self._settings:  # asked only of media that the service takes
            told: dict[str, Any] = {"service": self.name, "settings": dict(self.service.settings_for(medium))}
            if is_on_this_machine(getattr(self.service.config, "base_url", "")):
                told["sandbox"] = True  # what a sandbox on this machine says must never stand for the vendor's word
            self._settings[medium] = fingerprint(told)
        return self._settings[medium]

    def knows(self, samples: Iterable[Sample]) -> bool:
        """Tell whether every one of `samples` has a remembered answer."""
        keys = {self.key(sample) for sample in samples}
        return len(self._meters.ledger.answers(list(keys))) == len(keys)

    async def ask(self, samples: Sequence[Sample], file: int = 0) -> Asked:
        """Have `samples` (of one medium) answered, from memory where possible. Raises nothing that belongs to them.

        New questions wait in line, by the number of their `file` (`turns.Order.SHARED`).
        """
        stored = await self._stored(samples)
        known = [sample for sample in samples if self.key(sample) in stored]
        asked = self._recall(known, stored)
        fresh = [sample for sample in samples if self.key(sample) not in stored]
        in_vain = [sample for sample in fresh if self.key(sample) in self.delivery.in_vain]
        if in_vain:
            asked += self._leave(in_vain)
            fresh = [sample for sample in fresh if self.key(sample) not in self.delivery.in_vain]
        if fresh:
            asked += await self._ask_fresh(fresh, file)
        return asked

    def _leave(self, samples: list[Sample]) -> Asked:
        """Leave unanswered what was asked in vain, and perhaps paid for, for another file of this run."""
        keys = list(dict.fromkeys(self.key(sample) for sample in samples))
        operation = self.service.operation(samples[0].medium)
        request = Request(_request_id(self._meters.run_id, keys), self.name, operation, tuple(samples), 0)
        why = self.delivery.in_vain[keys[0]]
        shortfall = replace(why, detail=f"{why.detail} (not asked again in this run)")
        return unanswered(request, self._record(request), shortfall, Outcome.NOT_SENT)

    # ------------------------------------------------------------------------------------------- remembered answers

    async def _stored(self, samples: Sequence[Sample]) -> dict[str, StoredAnswer]:
        """Look the samples up; first wait for those that another file is asking about at this moment."""
        keys = list(dict.fromkeys(self.key(sample) for sample in samples))
        while waiting := self._asked_now(keys):
            await asyncio.wait(waiting)
        return self._meters.ledger.answers(keys)

    def _asked_now(self, keys: Sequence[str]) -> set[asyncio.Future[Any]]:
        asking = (self._asking[key] for key in keys if key in self._asking)
        return {*asking, *self.delivery.under_way(keys)}

    def _recall(self, samples: Sequence[Sample], stored: dict[str, StoredAnswer]) -> Asked:
        by_request: dict[RequestId, list[Sample]] = defaultdict(list)
        for sample in samples:
            by_request[stored[self.key(sample)].request_id].append(sample)
        asked = Asked()
        for request_id, group in by_request.items():
            asked += self._recall_request(request_id, group, [stored[self.key(sample)] for sample in group])
        return asked

    def _recall_request(self, request_id: RequestId, group: list[Sample], stored: list[StoredAnswer]) -> Asked:
        record = replace(
            self._record(Request(request_id, self.name, stored[0].operation, tuple(group), 0)),
            outcome=Outcome.ANSWERED,
            cached=True,
            http_status=stored[0].answer.http_status,
            vendor_code=stored[0].answer.vendor_code,
            vendor_request_id=stored[0].answer.vendor_request_id,
            answer=stored[0].answer.raw,
        )
        paid = self._meters.unreported.pop(request_id, None)
        if paid is not None:
            record = self._paid_before(record, paid, stored[0].answer)
        try:
            read = [self._reread(sample, kept) for sample, kept in zip(group, stored, strict=True)]
        except EndpointError as error:
            return Asked(unanswered=tuple(group), records=(record,), shortfalls=(unrecognised(self.name, error),))
        readings = tuple(chain.from_iterable(one.readings for one in read))
        return Asked(tuple(group), (), readings, (record,), tuple(one.shortfall for one in read if one.shortfall))

    def _paid_before(self, record: RequestRecord, paid: PaidRequest, answer: Answer) -> RequestRecord:
        """Tell of a request that this same run sent before it was cut off: it was paid for, and nobody has told yet."""
        return replace(
            record,
            cached=False,
            attempts=paid.attempts,
            bytes_sent=answer.bytes_sent,
            tokens_estimated=paid.tokens_estimated,
            tokens_charged=paid.tokens_charged,
            cost=self._cost(paid.tokens_charged),
            latency_ms=paid.latency_ms,
            sent_at=paid.sent_at,
            answered_at=paid.answered_at,
        )

    def _reread(self, sample: Sample, stored: StoredAnswer) -> Reading:
        """Read one sample's share of a remembered answer: the others that were asked with it stand in as blanks."""
        blank = replace(sample, digest=Digest(""), data=b"")
        batch = tuple(sample if at == stored.position else blank for at in range(stored.samples))
        request = Request(stored.request_id, self.name, stored.operation, batch, 0)
        whole = self.delivery.read(request, stored.answer)
        own = (reading for reading in whole.readings if isinstance(reading, Utterance) or reading.sample_digest)
        return replace(whole, readings=tuple(own))

    # ------------------------------------------------------------------------------------------------ new questions

    async def _ask_fresh(self, samples: list[Sample], file: int) -> Asked:
        unique, repeats = self._split_repeats(samples)
        keys = [self.key(sample) for sample in unique]
        done = asyncio.get_running_loop().create_future()
        self._asking.update(dict.fromkeys(keys, done))
        try:
            async with self._line.turn(file):
                asked = await self._send(unique, keys)
        finally:
            for key in keys:
                del self._asking[key]
            done.set_result(None)
        if repeats and asked.answered:  # the same bytes at several places of one file: one question, several readings
            asked += replace(
                self._recall(repeats, self._meters.ledger.answers([self.key(s) for s in repeats])), records=()
            )
        elif repeats:
            asked = replace(asked, unanswered=asked.unanswered + tuple(repeats))
        return asked

    def _split_repeats(self, samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
        """Return the first sample of every content, and the others."""
        unique: dict[str, Sample] = {}
        repeats: list[Sample] = []
        for sample in samples:
            key = self.key(sample)
            if key in unique:
                repeats.append(sample)
            else:
                unique[key] = sample
        return list(unique.values()), repeats

    async def _send(self, samples: list[Sample], keys: list[str]) -> Asked:
        operation = self.service.operation(samples[0].medium)
        tokens_max = self.service.quote(samples[0].medium, samples)
        request_id, key = _request_id(self._meters.run_id, keys), _question_key(keys)
        request = Request(request_id, self.name, operation, tuple(samples), tokens_max, key)
        record = self._record(request)
        too_large = self._too_large(samples)
        if too_large is not None:
            return unanswered(request, record, too_large, Outcome.NOT_SENT)
        record = replace(record, tokens_estimated=tokens_max)
        return await self._send_until_answered(request, record, keys)

    async def _send_until_answered(self, request: Request, record: RequestRecord, keys: list[str]) -> Asked:
        started_s, attempts, doubtful_attempts = self._meters.clock.now(), 0, 0
        while True:
            try:
                delivered = await self.delivery.attempt(request, keys)
            except NotSentError as error:
                outcome = Outcome.FAILED if attempts else Outcome.NOT_SENT
                return unanswered(request, record, error.shortfall, outcome)
            except EndpointError as error:
                record = self._after_failure(record, error)
                elapsed_s = self._meters.clock.now() - started_s
                attempts += 1
                doubtful_attempts += error.maybe_charged
                wait_s = self._retry.next_wait_s(
                    error, attempts, elapsed_s, self._random, doubtful_attempts=doubtful_attempts
                )
                if wait_s is None and error.failure is Failure.RATE_LIMITED:
                    self._stop_if_far(error)
                if wait_s is None:
                    return unanswered(request, record, self._given_up(error, attempts), Outcome.FAILED)
                await self.delivery.rest(wait_s)
            else:
                return self._answered(request, record, delivered)

    def _stop_if_far(self, error: EndpointError) -> None:
        """A service that asks to wait longer than a request is retried is done for this run: every one would wait."""
        longest_s = self.service.config.limit.max_retry_s
        if error.retry_after_s is not None and error.retry_after_s > longest_s:
            wish = f"{self.name} asks to wait {format_duration(error.retry_after_s)}"
            detail = f"not asked: {wish}, longer than limit.max_retry_s allows; run again later"
            self.delivery.stop(Shortfall(Reason.ENDPOINT_STOPPED, detail))

    def _after_failure(self, record: RequestRecord, error: EndpointError) -> RequestRecord:
        if isinstance(error, UnreadableError):
            charged = record.tokens_charged + error.answer.tokens_charged
            record = replace(record, answer=error.answer.raw, tokens_charged=charged, cost=self._cost(charged))
        return replace(
            record,
            attempts=record.attempts + (error.was_sent or error.maybe_charged),  # charged for something before it
            http_status=error.http_status,
            vendor_code=error.vendor_code,
            error=clean_text(error.detail),
        )

    def _answered(self, request: Request, record: RequestRecord, delivered: Delivered) -> Asked:
        answer = delivered.answer
        charged = record.tokens_charged + answer.tokens_charged
        record = replace(
            record,
            outcome=Outcome.ANSWERED,
            attempts=record.attempts + 1,
            bytes_sent=answer.bytes_sent,
            http_status=answer.http_status,
            vendor_code=answer.vendor_code,
            vendor_request_id=answer.vendor_request_id,
            error="",
            tokens_charged=charged,
            cost=self._cost(charged),
            latency_ms=delivered.latency_ms,
            sent_at=delivered.sent_at,
            answered_at=delivered.answered_at,
            answer=answer.raw,
        )
        reading = delivered.reading
        gaps = (reading.shortfall,) if reading.shortfall is not None else ()
        return Asked(request.samples, (), reading.readings, (record,), gaps)

    # ------------------------------------------------------------------------------------------------------ values

    def _cost(self, tokens: int) -> float | None:
        return None if self._price is None else tokens * self._price

    def _too_large(self, samples: Sequence[Sample]) -> Shortfall | None:
        needs = self.service.needs
        by_medium = {Medium.FRAME: needs.frame, Medium.UTTERANCE: needs.utterance}
        batch = by_medium.get(samples[0].medium)
        most = batch.sample_bytes if batch is not None else needs.audio.max_bytes if needs.audio is not None else None
        largest = max(len(sample.data or b"") for sample in samples)
        if most is None or largest <= most:
            return None
        return Shortfall(
            Reason.SAMPLE_TOO_LARGE, f"{self.name} takes samples of {most:,} bytes at most, not {largest:,}"
        )

    def _given_up(self, error: EndpointError, attempts: int) -> Shortfall:
        if error.failure in {Failure.FATAL, Failure.RATE_LIMITED} and self.delivery.stopped is not None:
            return replace(self.delivery.stopped, error_type=error_type(error))
        if isinstance(error, OutdatedError):
            return error.shortfall
        if isinstance(error, UnreadableError):
            return unrecognised(self.name, error)
        if error.failure is Failure.REFUSED:
            return refused(self.name, error)
        detail = f"{self.name} did not answer after {attempts} attempts: {clean_text(error.detail)}"
        return Shortfall(Reason.REQUEST_FAILED, detail, error_type(error))

    def _record(self, request: Request) -> RequestRecord:
        return RequestRecord(
            request_id=request.request_id,
            endpoint=self.name,
            operation=request.operation,
            medium=request.medium,
            start_s=min(sample.start_s for sample in request.samples),
            end_s=max(sample.end_s for sample in request.samples),
            samples=len(request.samples),
            outcome=Outcome.NOT_SENT,
        )


def _request_id(run_id: RunId, keys: Sequence[str]) -> RequestId:
    """Return the same id for the same question in the same run, so that asking again after a crash is recognised."""
    return RequestId(f"{run_id}-{_question_key(keys)[:20]}")


def _question_key(keys: Sequence[str]) -> str:
    return digest_bytes("".join(keys).encode())
