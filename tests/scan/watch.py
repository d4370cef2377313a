"""Tells which files of a directory any process opened, by asking the kernel (inotify)."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_OPEN, _IN_Q_OVERFLOW = 0x20, 0x4000
_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 20


class Watch:
    """Use as a context manager; `opened` holds the names once it was left. Watches one directory, not those below."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self.opened: list[str] = []

    def __enter__(self) -> Self:
        self._descriptor = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        added = _LIBC.inotify_add_watch(self._descriptor, os.fsencode(self._directory), _IN_OPEN)
        assert added >= 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(self, *_: object) -> None:
        names: set[str] = set()
        try:
            while events := os.read(self._descriptor, _BUFFER_BYTES):
                names.update(_names(events))
        except BlockingIOError:
            pass
        finally:
            os.close(self._descriptor)
        self.opened = sorted(names)


def _names(events: bytes) -> list[str]:
    names, at = [], 0
    while at < len(events):
        _, mask, _, length = _HEADER.unpack_from(events, at)
        assert not mask & _IN_Q_OVERFLOW, "the kernel dropped events"
        name = events[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0")
        if name:  # the directory itself has none
            names.append(os.fsdecode(name))
        at += _HEADER.size + length
    return names
