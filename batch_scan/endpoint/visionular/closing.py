"""Closes what was opened at Visionular, whatever became of it: now, or at the next start.

Two kinds of handles are written down before anything is opened: an intention, named by a word that the stream will
carry as its `user_metadata`, and then the stream itself. Neither holds the stream key.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from batch_scan.endpoint.visionular.gathering import Gathering
from batch_scan.endpoint.visionular.ids import is_name, stream_digest
from batch_scan.errors import EndpointError
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from batch_scan.endpoint.premises import Handles
    from batch_scan.endpoint.visionular.api import LiveApi
    from batch_scan.endpoint.visionular.config import VisionularConfig

INTENTION: Final = "intention"
STREAM: Final = "stream"
_SEARCH_PAGES: Final = 20
"""Pages of records that are looked through for the session of a stream left open: its task is the latest there is."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A live stream that has to be closed."""

    id: str
    stream: str
    """`stream_digest` of its key."""

    @property
    def handle(self) -> str:
        """What is written down of it."""
        return json.dumps({"id": self.id, "stream": self.stream}, sort_keys=True)

    @classmethod
    def of(cls, handle: str) -> OpenStream | None:
        """Return what was written down; None where it is no handle of ours."""
        try:
            told = json.loads(handle)
            found = cls(str(told["id"]), str(told["stream"]))
        except (ValueError, KeyError, TypeError):
            return None
        return found if is_name(found.id) else None


class Closer:
    """Closes streams, and crosses them off."""

    def __init__(self, api: LiveApi, config: VisionularConfig, handles: Handles) -> None:
        self._api = api
        self._config = config
        self._handles = handles

    async def close(self, opened: OpenStream, sessions: Iterable[str] = ()) -> list[str]:
        """Stop the audit tasks of a stream, delete its audit settings, disable it; return what failed.

        A step that fails does not keep the others from being taken. What is closed wholly is crossed off.

        Args:
            opened: the stream.
            sessions: names of its sessions, where they are known; else they are looked for.
        """
        failed: list[str] = []
        names = list(sessions)
        if not names:
            await self._step(failed, "looking for its session", partial(self._find, opened, names))
        for name in names:
            await self._step(failed, "stopping its audit task", partial(self._api.stop_task, name))
        await self._step(failed, "deleting its audit settings", partial(self._api.delete_audit, opened.id))
        await self._step(failed, "disabling it", partial(self._api.disable, opened.id))
        if not failed:
            await self._handles.closed(STREAM, opened.handle)
        for what in failed:
            _log.warning("visionular: stream %s is tried again at the next start: %s", opened.id, what)
        return failed

    async def sweep(self) -> list[str]:
        """Close everything that stands in the handles; return what failed."""
        failed = await self.sweep_intentions(self._handles.left_open(INTENTION))
        for handle in self._handles.left_open(STREAM):
            opened = OpenStream.of(handle)
            if opened is None:
                await self._handles.closed(STREAM, handle)
            else:
                failed += await self.close(opened)
        return failed

    async def sweep_intentions(self, intentions: Collection[str], *, for_good: bool = True) -> list[str]:
        """Close what was created for intentions, and cross those off; return what failed.

        Args:
            intentions: as they stand in the handles.
            for_good: cross off also those for which nothing was created: not right after a call that broke off, which
                may still be on its way.
        """
        failed: list[str] = []
        found: list[OpenStream] = []
        if intentions:
            await self._step(failed, "looking for streams left open", partial(self._created_for, intentions, found))
        for opened in found:
            failed += await self.close(opened)
        if for_good and not failed:
            for intention in intentions:
                await self._handles.closed(INTENTION, intention)
        return failed

    async def _created_for(self, intentions: Collection[str], found: list[OpenStream]) -> None:
        """Write down, as open streams, what was created for intentions."""
        async for row in self._api.streams(self._config.page_size, self._config.max_pages):
            stream_id, key = row.get("id"), row.get("stream_key")
            if row.get("user_metadata") in intentions and is_name(stream_id):
                opened = OpenStream(str(stream_id), stream_digest(key) if isinstance(key, str) else "")
                await self._handles.opened(STREAM, opened.handle)
                await self._handles.closed(INTENTION, row["user_metadata"])
                found.append(opened)

    async def _find(self, opened: OpenStream, names: list[str]) -> None:
        gathering = Gathering(self._api, self._config, opened.stream, opened.id, None)
        await gathering.look(_SEARCH_PAGES)
        names += gathering.sessions

    @staticmethod
    async def _step(failed: list[str], what: str, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except EndpointError as error:
            failed.append(f"{what}: {clean_text(error.detail)}")
