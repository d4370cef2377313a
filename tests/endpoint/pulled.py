"""Sounds, and a host from which whoever pulls files gets them."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import numpy as np

from batch_scan.digest import digest_bytes
from batch_scan.sandbox.serving import ThreadServer

if TYPE_CHECKING:
    from batch_scan.sandbox.serving import Receive, Scope, Send

RATE_HZ = 16_000


def sound(*stretches: tuple[float, float], seed: int = 0) -> bytes:
    """Return stretches of (Hz, seconds) as a WAV file; 0 Hz is silence, another seed another content."""
    parts = [
        np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ) * (0.0 if hz == 0 else 0.5)
        for hz, seconds in stretches
    ]
    samples = (np.concatenate(parts) * 32_000).astype("<i2")
    samples[:1] = seed
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    return target.getvalue()


class MediaHost(ThreadServer):
    """Serves files under paths, as a bucket does."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        """Where a path leads instead."""
        self.asked: list[str] = []
        self.tags = True
        """Whether its answers tell one content from another."""

    def put(self, path: str, content: bytes, query: str = "") -> str:
        self.files[path] = content
        return f"{self.url}/{path}{query}"

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].lstrip("/")
        self.asked.append(path)
        content = self.files.get(path)
        headers: list[tuple[bytes, bytes]] = []
        status, body = (404, b"") if content is None else (200, content)
        if content is not None and self.tags:
            headers = [(b"etag", f'"{digest_bytes(content)}"'.encode()), (b"content-length", b"%d" % len(content))]
        if path in self.redirects:
            status, body, headers = 302, b"", [(b"location", self.redirects[path].encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
