"""What a run gives each service to work with beside samples: a book of open things, a pace, a letter box.

The engine sets `Service.premises` before `open()`. A service that needs none of it never looks; one used alone (in a
test, in a notebook) has `Premises()`, which writes nothing down and never waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Sorter = Callable[["Mapping[str, str]", bytes], str | None]
"""Says of a callback (headers in lower case, body) whom it concerns: the word that `Mailbox.next` is asked with. None
where it is none of this service's, is not signed as it should be, or cannot be read: it is ignored. Pure; must not
raise for anything that a stranger may post."""


class Handles(Protocol):
    """What is open at a vendor on our behalf, written down durably so that a crash leaves nothing open for ever.

    `kind` is the service's own word (``stream``, ``audit``); `handle` is what it takes to close the thing.
    """

    async def opened(self, kind: str, handle: str) -> None:
        """Write down that a thing is about to be opened, or is open. Durable on return."""
        ...

    async def closed(self, kind: str, handle: str) -> None:
        """Write down that it is closed, or gone."""
        ...

    def left_open(self, kind: str) -> list[str]:
        """Return what was opened and not closed, by this process or an earlier one, oldest first."""
        ...


class Mailbox(Protocol):
    """Callbacks for one service. Each is durable before its sender is told so, and comes once however often sent."""

    url: str
    """Where the vendor posts to: the public URL of this run, with an unguessable path."""

    async def next(self, subject: str, timeout_s: float) -> bytes:
        """Return the next callback about `subject`, waiting for it.

        Raises TimeoutError, and EndpointError once all is read where something that came could not be kept.
        """
        ...

    def forget(self, subject: str) -> None:
        """Drop what has come, and will come, about `subject`."""
        ...


class Callbacks(Protocol):
    """The receiver of a run; there only where the job has `[callbacks]`."""

    def mailbox(self, service: str, sort: Sorter) -> Mailbox:
        """Return the letter box of a service; `sort` decides which callbacks are its own."""
        ...


class MemoryHandles:
    """Handles that are forgotten with the process."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], None] = {}

    async def opened(self, kind: str, handle: str) -> None:
        """See `Handles.opened`."""
        self._open[kind, handle] = None

    async def closed(self, kind: str, handle: str) -> None:
        """See `Handles.closed`."""
        self._open.pop((kind, handle), None)

    def left_open(self, kind: str) -> list[str]:
        """See `Handles.left_open`."""
        return [handle for of, handle in self._open if of == kind]


async def at_once(_size_bytes: int = 0) -> None:
    """Let every further call go at once."""


@dataclass(frozen=True, slots=True)
class Premises:
    """What a service works with. See the module."""

    handles: Handles = field(default_factory=MemoryHandles)
    callbacks: Callbacks | None = None
    """None where the job has no `[callbacks]`: a service that cannot do without says so in `open` (UsageError)."""
    pace: Callable[[int], Awaitable[Any]] = at_once
    """Wait until one more call may go out, with so many bytes. For calls beyond the first of a request, which the core
    has let go: follow-ups, polls, clean-ups. Takes its turn under the service's rate, and holds no slot."""
