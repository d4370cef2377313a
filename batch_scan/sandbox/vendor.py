"""What the sandbox's servers have in common: notes of every request, tokens, a rate, and faults on demand.

A vendor derives from `VendorServer`, says which requests judge something (`judges`) and answers them (`answer`);
everything that can go wrong on the way to or from it is done here, the same for all.

    with SafeCommsServer(judge=by_digest({digest: {"Violence": "High"}})) as server:
        server.faults.queue(rate_limited("1"), bad_gateway())
        ...
        assert server.tokens_used == 50
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from batch_scan.sandbox import faults
from batch_scan.sandbox.exchange import Refusal, Seen, Sending, Told
from batch_scan.sandbox.faults import Fault, Faults, Kind
from batch_scan.sandbox.judge import JudgeClosedError
from batch_scan.sandbox.serving import ThreadServer, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.sandbox.serving import Receive, Scope, Send

__all__ = ["Refusal", "Seen", "Told", "VendorServer"]

_MINUTE_S = 60.0
_OPEN = "open_"


class VendorServer(ThreadServer):
    """See the module. Attributes may be changed while it runs."""

    name: str
    """The endpoint's or transcriber's word in the job file."""
    parent: str = "endpoints"
    """The table of the job file that its own stands in: ``endpoints`` or ``transcribe``."""
    needs_callbacks: bool = False
    """Whether a job must have `[callbacks]` to hear its answers."""
    token_limit: int | None = None
    """Tokens that may be used in all, of vendors that have such a quota; None is unlimited."""

    def __init__(
        self,
        *,
        rate_limit: int = 60_000,
        rate_window_s: float = _MINUTE_S,
        retry_after: bool = True,
        delay_s: float = 0.0,
    ) -> None:
        """Prepare a server.

        Args:
            rate_limit: judging requests per minute; over any `rate_window_s`, its share is enforced.
            rate_window_s: length of the sliding window.
            retry_after: whether a refusal for the rate says how long to wait.
            delay_s: how long judging takes.
        """
        super().__init__()
        self.rate_limit = rate_limit
        self.rate_window_s = rate_window_s
        self.retry_after = retry_after
        self.delay_s = delay_s
        self.faults = Faults()
        """Faults of requests that judge something."""
        self.other_faults = Faults()
        """Faults of all others, such as usage calls."""
        self.requests: list[Seen] = []
        """What was asked, the latest `keep_requests` at least where that is set."""
        self.keep_requests: int | None = None
        """Requests that are worth remembering; None = all. Set before the server starts."""
        self.tokens_used = 0
        self._admitted: deque[float] = deque()
        self._arrived = 0
        self._noted = 0
        self._changed = threading.Condition()

    # ---------------------------------------------------------------------------------------- what each vendor says

    @property
    @abstractmethod
    def secrets(self) -> Mapping[str, str]:
        """The keys that are right, by the environment variable in which a job looks for each."""

    @property
    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """What the job file's table of this service must hold to ask this server, as TOML can say it."""

    @abstractmethod
    def judges(self, method: str, path: str) -> bool:
        """Tell whether a request judges something: it is numbered, counts for the rate and can be charged."""

    @abstractmethod
    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        """Answer a whole request, and set `seen.tokens` to what it costs. Raises Refusal."""

    def tokens_of_fault(self, seen: Seen) -> int:  # noqa: ARG002 - for those whose requests differ
        """Return what is charged for a request whose answer is a fault that charges."""
        return 1

    def refusal(self, status: int) -> Fault:
        """Return how this vendor says a status of 400 and above, for faults on demand; here: without a body."""
        return faults.status(status)

    # ----------------------------------------------------------------------------------------------- what tests ask

    @property
    def left_open(self) -> Mapping[str, Collection[Any]]:
        """What clients opened and have not closed, by what it is: every collection called ``open_…`` that holds any."""
        kinds = [name for name in dir(self) if name.startswith(_OPEN)]
        held = {kind.removeprefix(_OPEN): getattr(self, kind) for kind in kinds}
        return {kind: things for kind, things in held.items() if things and _is_collection(things)}

    @property
    def noted(self) -> int:
        """Number of requests of all kinds since the start."""
        return self._noted

    @property
    def arrived(self) -> int:
        """Number of judging requests since the start."""
        return self._arrived

    @property
    def calls(self) -> list[Seen]:
        """Judging requests that are remembered, in order of arrival."""
        with self._changed:
            return [seen for seen in self.requests if seen.number]

    @property
    def answered(self) -> list[Seen]:
        """Judging requests that got a whole answer in the 2xx range."""
        return [seen for seen in self.calls if _is_success(seen.status) and seen.answered_s is not None]

    def wait_for_calls(self, number: int, timeout_s: float = 20.0) -> None:
        """Block until this many judging requests have arrived. From asynchronous tests: in a thread."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived >= number, timeout_s):
                raise TimeoutError(f"fewer than {number} requests arrived")

    # ----------------------------------------------------------------------------------------------------- serving

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the request, break it if a fault is due, else answer it as the contract says."""
        request = Request(scope, receive)
        released = self.next_release
        seen = self._note(request)
        fault = (self.faults if seen.number else self.other_faults).take(seen.number, seen)
        seen.fault = fault.kind if fault is not None else None
        answer = Sending(scope, send, seen, released)
        try:
            await self._serve_one(request, seen, fault, answer)
        except ClientDisconnect:
            return
        except JudgeClosedError:
            self.hang_up(scope)

    async def _serve_one(self, request: Request, seen: Seen, fault: Fault | None, answer: Sending) -> None:
        if fault is not None and fault.kind is Kind.RESET_MID_UPLOAD:
            self.reset(request.scope)
            return
        body = await request.body()
        if fault is not None and fault.kind in {Kind.ANSWER, Kind.RESET_BEFORE_ANSWER, Kind.HANG}:
            await self._misbehave(request, seen, fault, answer)
            return
        try:
            told = await self.answer(request, seen, body)
        except Refusal as refusal:
            told = refusal.told
        if fault is not None and fault.change is not None and isinstance(told.body, dict):
            told = replace(told, body=fault.change(dict(told.body)))
        self._charge(seen, fault, delivered=_is_success(told.status))
        await self._deliver(answer, fault, told)

    async def _misbehave(self, request: Request, seen: Seen, fault: Fault, answer: Sending) -> None:
        if fault.charge:
            self._add_tokens(seen, self.tokens_of_fault(seen))
        if fault.kind is Kind.ANSWER:
            await answer.whole(fault.status, fault.headers, fault.body)
        elif fault.kind is Kind.RESET_BEFORE_ANSWER:
            self.reset(request.scope)
        else:
            await wait_for(answer.released, fault.seconds)
            self.hang_up(request.scope)

    async def _deliver(self, answer: Sending, fault: Fault | None, told: Told) -> None:
        kind = fault.kind if fault is not None else None
        headers = {"content-type": told.content_type, **told.headers} if told.body is not None else told.headers
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if fault is not None and kind is Kind.DELAY:
            await wait_for(answer.released, fault.seconds)
        if fault is None or kind in {Kind.DELAY, Kind.CHANGE}:
            await answer.whole(told.status, headers, told.encoded)
            return
        half = b"" if kind is Kind.HANG_AFTER_HEADERS else told.encoded[: len(told.encoded) // 2]
        await answer.part(told.status, headers, told.encoded, half)
        if kind is Kind.HANG_AFTER_HEADERS:
            await wait_for(answer.released, fault.seconds)
        if kind is Kind.RESET_MID_ANSWER:
            self.reset(answer.scope)
        else:
            self.hang_up(answer.scope)

    def _note(self, request: Request) -> Seen:
        path = request.url.path
        judging = self.judges(request.method, path)
        with self._changed:
            self._arrived += judging
            number = self._arrived if judging else 0
            headers, query = dict(request.headers), dict(request.query_params)
            seen = Seen(number, request.method, path, time.monotonic(), headers, query)
            self._noted += 1
            self.requests.append(seen)
            if self.keep_requests is not None and len(self.requests) >= 2 * self.keep_requests:
                del self.requests[: -self.keep_requests]
            self._changed.notify_all()
        return seen

    # ------------------------------------------------------------------------------------------------ rate, tokens

    def over_rate_s(self, seen: Seen) -> float | None:
        """Admit a request under the rate and return None; over it, return the seconds until one is admitted."""
        allowed = self.rate_limit * self.rate_window_s / _MINUTE_S
        while self._admitted and self._admitted[0] <= seen.arrived_s - self.rate_window_s:
            self._admitted.popleft()
        if len(self._admitted) + 1 > allowed:
            return (self._admitted[0] if self._admitted else seen.arrived_s) + self.rate_window_s - seen.arrived_s
        self._admitted.append(seen.arrived_s)
        return None

    @property
    def admitted(self) -> int:
        """Requests admitted in the window that ends with the latest one."""
        return len(self._admitted)

    def _charge(self, seen: Seen, fault: Fault | None, *, delivered: bool) -> None:
        whole = fault is None or fault.kind in {Kind.DELAY, Kind.CHANGE}
        charged = whole if fault is None or fault.charge is None else fault.charge
        tokens, seen.tokens = seen.tokens, 0
        if delivered and charged:
            self._add_tokens(seen, tokens)

    def _add_tokens(self, seen: Seen, tokens: int) -> None:
        with self._changed:
            seen.tokens = tokens
            self.tokens_used += tokens


def _is_success(status: int | None) -> bool:
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _is_collection(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes)
