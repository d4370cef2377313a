"""Receives what vendors post to a run: one small web application, started once a service asks for a letter box.

A callback goes to ``PUBLIC_URL/PATH/SERVICE``, where PATH is known to the vendors of this run alone. What is answered:

| what came | answer | why |
|---|---|---|
| a callback, kept | 200 | it is durable, the vendor need not send it again |
| one that had come before | 200 | so that the vendor stops |
| with the right path, but nothing that this service waits for | 200 | whoever knows the path is a vendor: it stops |
| another path or service | 404 | a stranger learns nothing, not even whether a run listens |
| another method | 405 | the same for every path |
| larger than `max_body_bytes` | 413 | it is not kept; whoever waits for anything learns it |
| not whole within `BODY_TIMEOUT_S` | 408 | the vendor sends it again |
| beyond `max_per_subject` or `max_kept_bytes` | 507 | it is not kept, so it is not taken |
| while the ledger cannot be written | 503 | the vendor sends it again |

Bodies are handed on as they came, compressed ones too: only the service knows what was signed. Nothing of a stranger's
request is kept or logged, and nothing of a vendor's is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import re
from typing import TYPE_CHECKING

from batch_scan.callbacks.mailbox import LetterBox, Posted
from batch_scan.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from batch_scan.callbacks.listener import Listener
    from batch_scan.callbacks.table import CallbacksTable
    from batch_scan.endpoint.premises import Sorter
    from batch_scan.ledger import Ledger

_log = logging.getLogger(__name__)

BODY_TIMEOUT_S = 30.0
"""How long a callback may take to arrive; those of known vendors have some KB."""
_OWN_PATH = re.compile(r"[A-Za-z0-9_-]{32,128}")
_STATUS = {Posted.KEPT: 200, Posted.KNOWN: 200, Posted.IGNORED: 200, Posted.FULL: 507}


@contextlib.asynccontextmanager
async def open_receiver(
    table: CallbacksTable, ledger: Ledger, run_id: str, *, body_timeout_s: float = BODY_TIMEOUT_S
) -> AsyncIterator[Receiver]:
    """Have a receiver for one run; on every way out it takes nothing more and is closed within seconds.

    Nothing listens before the first service asks for its letter box. A run that is continued has the same path.

    Args:
        table: the job's `[callbacks]`.
        ledger: where what arrives is kept; open for longer than the receiver.
        run_id: the run.
        body_timeout_s: how long a callback may take to arrive.

    Raises:
        UsageError: the configured path cannot be read or is too short.
        LedgerError: the path of this run cannot be written down.
    """
    path = _own_path(table) or await ledger.callbacks.path(run_id)
    receiver = Receiver(table, ledger, run_id, path, body_timeout_s)
    try:
        yield receiver
    finally:
        await receiver.close()


def _own_path(table: CallbacksTable) -> str:
    if table.path is None:
        return ""
    path = table.path.resolve().reveal()
    if not _OWN_PATH.fullmatch(path):
        raise UsageError(f"[callbacks] path: what {table.path.place} holds is not 32 to 128 letters, digits, - or _")
    return path


class Receiver:
    """See `premises.Callbacks`, and the module. Made by `open_receiver`."""

    def __init__(self, table: CallbacksTable, ledger: Ledger, run_id: str, path: str, body_timeout_s: float) -> None:
        self.local_url = ""
        """Where it listens itself, whatever its public URL; empty until it does."""
        self._table = table
        self._rows = ledger.callbacks
        self._run_id = run_id
        self._path = path
        self._body_timeout_s = body_timeout_s
        self._boxes: dict[str, LetterBox] = {}
        self._listener: Listener | None = None
        self._ledger_failed = False

    def mailbox(self, service: str, sort: Sorter) -> LetterBox:
        """Return the letter box of a service, and listen from now on; to be called in `Service.open`.

        Raises UsageError where nothing can listen at `bind`, or what it needs is not installed.
        """
        if self._listener is None:
            self._listener = self._listen()
        url = f"{self._table.public_url or self.local_url}/{self._path}"
        self._boxes[service] = LetterBox(service, sort, url, run_id=self._run_id, rows=self._rows, table=self._table)
        return self._boxes[service]

    async def close(self) -> None:
        """Take nothing more. What was answered 200 is in the ledger; all else the vendors send again."""
        if self._listener is not None:
            await self._listener.close()

    def _listen(self) -> Listener:
        try:
            from batch_scan.callbacks import listener  # noqa: PLC0415 - an extra, and few jobs need it

            app = _application(self)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("batch_scan"):
                raise
            raise UsageError(
                f"[callbacks]: {error.name} is not installed; endpoints that call back need: "
                "pip install 'batch-scan[callbacks]'"
            ) from None
        bind = self._table.bind
        try:
            listening = listener.listen(self._table.host, self._table.port)
        except OSError as error:
            number = error.errno or 0  # negative where a name leads nowhere, and then strerror knows nothing of it
            why = os.strerror(number) if number > 0 else error.strerror
            raise UsageError(
                f"[callbacks] bind: nothing can listen at {bind}: {why}; "
                "name an address of this machine and a port that is free"
            ) from None
        self.local_url = f"http://{bind.rpartition(':')[0]}:{listening.getsockname()[1]}"
        _log.info("callbacks are received at %s", self.local_url)
        return listener.Listener(app, listening)

    async def receive(self, request: Request) -> int:
        """Take one request and return the status of its answer."""
        before, _, service = str(request.scope["path"]).rpartition("/")
        path = before.rpartition("/")[2]
        box = self._boxes.get(service)
        if not hmac.compare_digest(path.encode(), self._path.encode()) or box is None:
            return 404
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await _body(request, self._table.max_body_bytes)
        except TimeoutError:
            return 408
        if body is None:
            box.unreadable(f"a callback came that is larger than max_body_bytes = {self._table.max_body_bytes:,}")
            return 413
        try:
            return _STATUS[await box.post(request.headers, body)]
        except LedgerError as error:
            if not self._ledger_failed:
                _log.error("callbacks are not taken: %s", error)
            self._ledger_failed = True
            return 503


def _application(receiver: Receiver) -> Starlette:
    from starlette.applications import Starlette  # noqa: PLC0415 - an extra, and few jobs need it
    from starlette.requests import ClientDisconnect  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def receive(request: Request) -> Response:
        try:
            status = await receiver.receive(request)
        except ClientDisconnect:
            status = 400
        return Response(status_code=status)

    return Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])


async def _body(request: Request, max_bytes: int) -> bytes | None:
    """Return the body; None as soon as it is larger than it may be."""
    body = bytearray()
    async for stretch in request.stream():
        body += stretch
        if len(body) > max_bytes:
            return None
    return bytes(body)
