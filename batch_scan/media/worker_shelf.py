"""Small files that a probe has opened, kept open in a decoder worker for whoever takes them next.

Opening costs as much as decoding several pictures, as libav decodes some to know what is in a file: 7 ms for a clip at
480 lines, of 45 for all of it. What is kept stands at its beginning and is handed out once; a file that is not what it
was is opened anew.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from av.container import InputContainer

    from batch_scan.media.worker_open import LogState

MAX_FILES: Final = 4
MAX_BYTES: Final = 8 << 20
"""Larger files are not kept: libav may hold `formats.PROBE_BYTES` of each, and opening them anew weighs little."""

_Identity: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: _Identity
    container: InputContainer
    said: LogState


class Shelf:
    """Holds a few containers by the name they were opened under."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def put(self, path: str, identity: _Identity, container: InputContainer, said: LogState) -> None:
        """Keep a container that nothing was read of since it was opened, or close it.

        Args:
            path: the file.
            identity: what `identity_of` said before it was opened.
            container: it.
            said: what libav said while opening it.
        """
        self._drop(path)
        if not identity or identity[-1] > MAX_BYTES:
            container.close()
            return
        self._kept[path] = _Kept(identity, container, said)
        while len(self._kept) > MAX_FILES:
            self._drop(next(iter(self._kept)))

    def take(self, path: str) -> tuple[InputContainer, LogState] | None:
        """Return the container of a file that is still the same, and what was said of it; it is the caller's now."""
        kept = self._kept.get(path)
        if kept is None:
            return None
        if identity_of(path) != kept.identity:
            self._drop(path)
            return None
        del self._kept[path]
        return kept.container, kept.said

    def _drop(self, path: str) -> None:
        kept = self._kept.pop(path, None)
        if kept is not None:
            kept.container.close()


SHELF: Final = Shelf()
"""The one of this process, which works on one file at a time."""


def identity_of(path: str) -> _Identity:
    """Return what a file is known by, its size last; empty where it cannot be looked at."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib costs more than the call
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
