"""What a directory takes on disk, looked at all the while."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self


class Watch:
    """Looks at the blocks of all files below a directory while the context lasts."""

    def __init__(self, directory: Path, pause_s: float = 0.01) -> None:
        self.most_bytes = 0
        self.looks = 0
        self._directory = directory
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(self._pause_s):
            self.most_bytes = max(self.most_bytes, bytes_on_disk(self._directory))
            self.looks += 1


def bytes_on_disk(directory: Path) -> int:
    """Return the bytes that all files below a directory take; what vanishes meanwhile takes none."""
    return sum(_blocks(Path(parent, name)) for parent, _, names in os.walk(directory) for name in names)


def _blocks(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0
