"""Visionular's REST calls: envelopes opened, errors told apart. No call retries.

| outcome | means |
|---|---|
| status outside 2xx | as with every service (`http_errors`) |
| 2xx and `code` 0 | done |
| 2xx and another `code` that is an HTTP status | as that status |
| 2xx and any other `code` | transient: which numbers there are is not known; nothing was played yet |
| 2xx without a `code`, or without what was asked for | refused: an answer that cannot be read |
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.http_errors import failure_of
from batch_scan.endpoint.visionular.ids import is_name
from batch_scan.errors import EndpointError, Failure
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from batch_scan.endpoint.http import HttpClient, HttpReply

STREAMS: Final = "live/v1/live-streams"
STOP_TASK: Final = "audit/v1/tasks/stop-audit-task"
RECORDS: Final = "audit/v1/records/moderation-records"

_CODE_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Created:
    """A new live stream."""

    id: str
    key: str
    """Where to push to; a secret."""
    reply: HttpReply


class LiveApi:
    """The calls. Those beyond the first of a request wait for their turn."""

    def __init__(self, http: HttpClient, pace: Callable[[int], Awaitable[Any]]) -> None:
        self._http = http
        self._pace = pace

    async def create(self, settings: Mapping[str, Any]) -> Created:
        """Create a live stream. Does not wait: it is a request's first call."""
        reply = await self._http.send("POST", STREAMS, json=dict(settings))
        data = data_of(reply)
        stream_id, key = (data.get("id"), data.get("stream_key")) if isinstance(data, dict) else (None, None)
        if not (is_name(stream_id) and is_name(key)):
            raise _unreadable(reply, "it names no stream that can be pushed to")
        return Created(str(stream_id), str(key), reply)

    async def check(self) -> None:
        """Ask anything at all, to know whether the key is accepted."""
        await self._listed(STREAMS, {"page": "1", "limit": "1"})

    async def streams(self, page_size: int, max_pages: int) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the live streams of the account. Raises EndpointError where there are more than `max_pages` hold."""
        async for row in self._rows(STREAMS, {}, page_size, max_pages, whole=True):
            yield row

    async def records(self, session: str, page_size: int, max_pages: int) -> AsyncIterator[Mapping[str, Any]]:
        """Yield moderation records: those of a session, or of the whole account where it is empty."""
        only = {"stream_session_id": session} if session else {}
        async for row in self._rows(RECORDS, only, page_size, max_pages, whole=bool(session)):
            yield row

    async def stop_task(self, session: str) -> None:
        """Stop the audit task of a session. One that is gone is no error."""
        await self._gone_is_done("POST", STOP_TASK, {"stream_session_id": session})

    async def delete_audit(self, stream_id: str) -> None:
        """Delete a stream's audit settings. One that is gone is no error."""
        await self._gone_is_done("DELETE", f"{STREAMS}/{stream_id}/audit-settings")

    async def disable(self, stream_id: str) -> None:
        """Disable a stream. One that is gone is no error."""
        await self._gone_is_done("PUT", f"{STREAMS}/{stream_id}/disable")

    async def _gone_is_done(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        await self._pace(0)
        try:
            reply = await self._http.send(method, path, json=body)
        except EndpointError as error:
            if error.http_status != HTTPStatus.NOT_FOUND:
                raise
        else:
            if reply.status != HTTPStatus.NO_CONTENT:
                data_of(reply)

    async def _rows(
        self, path: str, only: Mapping[str, str], page_size: int, max_pages: int, *, whole: bool
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield rows page by page until a page brings nothing new: neither totals nor the largest page are told.

        A list that does not end within `max_pages` is an error where it is wanted whole, and else left.
        """
        seen: set[Any] = set()
        for page in range(1, max_pages + 1):
            rows = await self._listed(path, {**only, "page": str(page), "limit": str(page_size)})
            fresh = [row for row in rows if isinstance(row, dict) and _row_id(row) not in seen]
            if not fresh:
                return
            seen.update(map(_row_id, fresh))
            for row in fresh:
                yield row
        if whole:
            detail = f"there is more under {path} than max_pages = {max_pages} pages hold; set it higher"
            raise EndpointError(Failure.REFUSED, detail)

    async def _listed(self, path: str, query: Mapping[str, str]) -> list[Any]:
        await self._pace(0)
        reply = await self._http.send("GET", path, params=dict(query))
        data = data_of(reply)
        if data is not None and not isinstance(data, list):
            raise _unreadable(reply, "it is no list")
        return data or []


def data_of(reply: HttpReply) -> Any:
    """Return what an envelope holds. Raises EndpointError where it says that the call failed, or is none."""
    body = reply.json
    code = body.get("code") if isinstance(body, dict) else None
    if isinstance(code, bool) or not isinstance(code, int):
        raise _unreadable(reply, "it is no envelope with a code")
    if code == 0:
        return body.get("data")
    told = body.get("message") or body.get("msg") or ""
    message = clean_text(told) if isinstance(told, str) else ""
    status = code if HTTPStatus.BAD_REQUEST <= code < 600 else None  # noqa: PLR2004 - the end of the HTTP statuses
    raise EndpointError(
        failure_of(status) if status is not None else Failure.TRANSIENT,
        f"visionular answered with code {code}" + (f": {message}" if message else ""),
        http_status=reply.status,
        vendor_code=str(code)[:_CODE_CHARS],
    )


def _row_id(row: Mapping[str, Any]) -> str:
    """Name a row; one that says something else under the same id is another."""
    return digest_bytes(f"{row.get('id')!r} {row.get('review_at')!r} {row.get('detect_info')!r}".encode())


def _unreadable(reply: HttpReply, why: str) -> EndpointError:
    detail = f"the answer of visionular cannot be read: {why}"
    return EndpointError(Failure.REFUSED, detail, http_status=reply.status, maybe_charged=True)
