"""Names made from content: digests of bytes and fingerprints of settings."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BLOCK_BYTES = 1 << 20


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path, given_up: Callable[[], bool] = lambda: False) -> str:
    """Return the SHA-256 of a file's content, in hex, read in blocks.

    Args:
        path: the file.
        given_up: asked before every block, for callers in a thread: nothing else ends a long read.

    Raises OSError, InterruptedError where it was given up.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            if given_up():
                raise InterruptedError
            digest.update(buffer[:count])
    return digest.hexdigest()


async def digest_aside(path: Path) -> str:
    """Return the digest of a file, read in a thread that ends soon after this is cancelled. Raises OSError."""
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(digest_file, path, given_up.is_set)
    finally:
        given_up.set()


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value, independent of the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return digest_bytes(canonical.encode())
