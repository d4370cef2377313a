"""What becomes of a stream while somebody publishes it: pictures for the judge, seconds for the books, events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import httpx

from batch_scan.sandbox.visionular.pictures import Taker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.sandbox.visionular.server import VisionularServer
    from batch_scan.sandbox.visionular.streams import Session

_EVENT_ATTEMPTS: Final = 11
"""The vendor sends an event ten times more where it is not answered with 200 within about 5 s."""
_EVENT_PATIENCE_S: Final = 5.0
_PICTURE: Final = 1
"""Second byte of an FLV video tag that carries a picture."""


async def tell(url: str, event: Mapping[str, Any], wait_s: float) -> bool:
    """Post an event, again after `wait_s` where it is not answered with 200; tell whether it ever was."""
    async with httpx.AsyncClient(trust_env=False, timeout=_EVENT_PATIENCE_S) as client:
        for _ in range(_EVENT_ATTEMPTS):
            with contextlib.suppress(httpx.HTTPError):
                if (await client.post(url, json=event)).status_code == httpx.codes.OK:
                    return True
            await asyncio.sleep(wait_s)
    return False


class StreamPublication:
    """One publisher. See `ingest.Publication`."""

    def __init__(self, server: VisionularServer, session: Session) -> None:
        self._server = server
        self._session = session
        interval_s = session.stream.audit["frame_interval"] if session.stream.audit is not None else 1
        self._taker = Taker(float(interval_s))

    async def video(self, tag: bytes, timestamp_ms: int) -> None:
        """See `Publication.video`."""
        session = self._session
        arrived_s = time.time()
        if len(tag) > 1 and tag[1] == _PICTURE:
            session.first_ms = timestamp_ms if session.first_ms is None else session.first_ms
            session.last_ms = timestamp_ms
            session.frames += 1
        picture = await asyncio.to_thread(self._taker.take, tag, time.monotonic() - session.began_s)
        audit = session.stream.audit
        if picture is not None and audit is not None and session.task_open:
            self._server.keep(asyncio.create_task(self._server.look(session, picture, audit, arrived_s)))

    async def end(self) -> None:
        """See `Publication.end`."""
        self._server.ended(self._session)
