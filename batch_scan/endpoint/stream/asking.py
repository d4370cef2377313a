"""The calls that one request takes: a check of all its texts, of each alone where that is unclean; or one picture.

The check's reply does not say which text is meant. So where it says anything but `keep`, every text is checked alone,
in the same request; where none of those is unclean, the verdict over all of them stands.

Checks that were answered are remembered until their request is done: where a later call of it fails and the core asks
again, they are not made, and paid, twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.stream import wire
from batch_scan.endpoint.stream.answer import Check, dump_checks, ruling_of
from batch_scan.endpoint.stream.client import SHORT_TIMEOUT_S
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.endpoint.premises import Premises
    from batch_scan.endpoint.stream.client import Reply, StreamClient
    from batch_scan.endpoint.stream.followup import FollowUp
    from batch_scan.model import Request, RequestId, Sample

UPLOAD = "upload"
"""The kind of thing that is open at the vendor while a picture is judged; its handle is the picture's URL."""
_MAX_URL_CHARS = 4096
_MOST_PAID = 4096  # requests of which something is kept; far more than are ever asked at a time
_DELETE_S = 2 * SHORT_TIMEOUT_S


@dataclass(slots=True)
class Paid:
    """What a request has brought so far."""

    checks: dict[tuple[int, ...], Check] = field(default_factory=dict)
    replies: dict[tuple[int, ...], Reply] = field(default_factory=dict)
    bytes_sent: int = 0
    status: int | None = None
    rest_s: float | None = None
    """How long the rate of checks is used up, as the latest reply says."""


class Desk:
    """Asks Stream, on behalf of every request of a run."""

    def __init__(self, client: StreamClient, follow_up: FollowUp, premises: Premises) -> None:
        self._client = client
        self._follow_up = follow_up
        self._premises = premises
        self._paid: dict[RequestId, Paid] = {}
        """Of requests that are asked or will be again; and of some that were given up, which nobody tells us."""

    async def ask(self, request: Request) -> Answer:
        """Make the checks that a request takes. Raises EndpointError."""
        paid = self._paid.setdefault(request.request_id, Paid())
        asking = _Asking(self._client, self._follow_up, self._premises, request, paid)
        try:
            await (asking.picture() if request.medium is Medium.FRAME else asking.texts())
        except EndpointError as error:
            error.maybe_charged = error.maybe_charged or bool(paid.checks)
            if error.failure in {Failure.REFUSED, Failure.FATAL} or not paid.checks:
                self._forget(request.request_id)
            elif len(self._paid) > _MOST_PAID:
                self._forget(next(iter(self._paid)))
            raise
        except BaseException:
            self._forget(request.request_id)
            raise
        self._forget(request.request_id)
        return asking.answer()

    def _forget(self, request_id: RequestId) -> None:
        self._paid.pop(request_id, None)

    async def delete(self, url: str) -> None:
        """Delete an uploaded picture and strike it from the book. Raises EndpointError."""
        await self._client.delete_image(url)
        await self._premises.handles.closed(UPLOAD, url)


class _Asking:
    """The calls of one request."""

    def __init__(
        self, client: StreamClient, follow_up: FollowUp, premises: Premises, request: Request, paid: Paid
    ) -> None:
        self._client = client
        self._follow_up = follow_up
        self._premises = premises
        self._request = request
        self._paid = paid
        self._is_first = True

    async def texts(self) -> None:
        """Have the texts judged: together, and each alone where that is unclean."""
        texts = [(sample.data or b"").decode() for sample in self._request.samples]
        everyone = tuple(range(len(texts)))
        whole = await self._check(everyone, wire.entity_of_request(self._request), {"texts": texts})
        if len(texts) == 1 or not _is_unclean(whole):
            return
        for at, sample in enumerate(self._request.samples):
            await self._check((at,), wire.entity_of_sample(sample), {"texts": [texts[at]]})

    async def picture(self) -> None:
        """Have the one picture judged, from a copy that lies at the vendor meanwhile."""
        (sample,) = self._request.samples
        async with self._uploaded(sample) as url:
            await self._check((0,), wire.entity_of_sample(sample), {"images": [url]})

    def answer(self) -> Answer:
        """Return what is kept of it all."""
        paid = self._paid
        return Answer(
            raw=dump_checks(len(self._request.samples), list(paid.checks.values())),
            tokens_charged=len(paid.checks),
            http_status=paid.status,
            vendor_request_id=next(iter(paid.replies.values())).request_id,
            bytes_sent=paid.bytes_sent,
            rest_s=paid.rest_s,
        )

    async def _check(self, about: tuple[int, ...], entity_id: str, payload: dict[str, list[str]]) -> Check:
        check = self._paid.checks.get(about)
        if check is None:
            await self._turn(wire.CHECK, sum(len(text) for texts in payload.values() for text in texts))
            reply = await self._client.check(entity_id, payload)
            check = Check(about, entity_id, reply.json)
            self._paid.checks[about], self._paid.replies[about] = check, reply
            self._paid.status = reply.status
            self._paid.bytes_sent += reply.bytes_sent
            self._paid.rest_s = reply.rate.rest_s if reply.rate.remaining == 0 else None
        if not check.is_open:
            self._follow_up.forget(check.entity_id)  # the webhook tells of checks that ended at once as well
        elif check.final is None:
            await self._wait_for_end(check, self._paid.replies[about])
        return check

    async def _wait_for_end(self, check: Check, reply: Reply) -> None:
        try:
            check.final = await self._follow_up.end_of(check.entity_id, reply.sent_at)
        except EndpointError as error:
            if error.http_status is None:  # an answer came; it is its end that is missing
                error.http_status = reply.status
            raise

    async def _turn(self, path: str, size_bytes: int) -> None:
        """Wait for a turn; the first call of a request has had its own."""
        if self._is_first:
            self._is_first = False
            return
        await self._client.rest(path)
        await self._premises.pace(size_bytes)

    @asynccontextmanager
    async def _uploaded(self, sample: Sample) -> AsyncIterator[str]:
        await self._turn(wire.UPLOADS, len(sample.data or b""))
        reply = await self._client.upload_image(sample.data or b"", sample.mime)
        self._paid.bytes_sent += reply.bytes_sent
        url = _url_of(reply.json)
        try:
            await self._premises.handles.opened(UPLOAD, url)
            yield url
        finally:
            await self._delete(url)

    async def _delete(self, url: str) -> None:
        """Delete the copy; where that fails it stays in the book, and the next start deletes it."""
        with contextlib.suppress(EndpointError, TimeoutError):
            async with asyncio.timeout(_DELETE_S):
                await self._client.rest(wire.UPLOADS)
                await self._premises.pace(0)
                await self._client.delete_image(url)
                await self._premises.handles.closed(UPLOAD, url)


def _is_unclean(check: Check) -> bool:
    """Whether a check says more than `keep`; one that cannot be read says nothing, and reading will refuse it."""
    try:
        return not ruling_of(check).is_clean
    except EndpointError:
        return False


def _url_of(told: Any) -> str:
    url = told.get("file") if isinstance(told, dict) else None
    is_url = isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= _MAX_URL_CHARS
    if not is_url or not isinstance(url, str) or not url.isprintable():
        raise EndpointError(Failure.REFUSED, "Stream took a picture and did not say where it lies")
    return url
