"""Google's XML interface in front of fake-gcs-server, which takes uploads through the JSON interface alone.

What counts for a report is the emulator's: whether an object is there, its generation, and what a condition on it
comes to. The front translates requests, and keeps the parts of an upload until it is finished.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from tests.report.buckets import Passing, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from tests.report.buckets import Answer


@dataclass(slots=True)
class Front:
    """What it keeps, and where it passes requests on to."""

    upstream: str
    """Host and port of the emulator."""
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    """Parts of uploads that were begun and neither finished nor aborted."""

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Do what is asked for."""
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, key = parts.path.lstrip("/").partition("/")
        match request.command:
            case "POST" | "PUT" | "DELETE" if "uploads" in query or "uploadId" in query:
                return self._in_parts(request.command, query, bucket, key, body)
            case "PUT":
                return self._upload(bucket, key, body, request.headers.get("x-goog-if-generation-match"))
            case "DELETE":
                return self._pass_on("DELETE", f"/storage/v1/b/{bucket}/o/{key}", {}, b"")
        return self._pass_on(request.command, request.path, dict(request.headers), body)

    def _in_parts(self, method: str, query: dict[str, str], bucket: str, key: str, body: bytes) -> Answer:
        number = query.get("uploadId", str(len(self.uploads)))
        match method:
            case "POST" if "uploads" in query:
                self.uploads[number] = {}
                return 200, [], _xml("InitiateMultipartUploadResult", UploadId=number)
            case "PUT":
                self.uploads[number][int(query["partNumber"])] = body
                return 200, [("ETag", f'"{query["partNumber"]}"')], b""
            case "DELETE":
                del self.uploads[number]
                return 204, [], b""
        whole = b"".join(content for _, content in sorted(self.uploads.pop(number).items()))
        status, headers, said = self._upload(bucket, key, whole, None)
        done = _xml("CompleteMultipartUploadResult", ETag=dict(headers).get("ETag", ""))
        return status, headers, done if status == 200 else said

    def _upload(self, bucket: str, key: str, body: bytes, condition: str | None) -> Answer:
        boundary = uuid4().hex.encode()
        named = json.dumps({"name": unquote(key)}).encode()
        related = b"\r\n".join(
            [
                *(b"--" + boundary, b"Content-Type: application/json", b"", named),
                *(b"--" + boundary, b"Content-Type: application/octet-stream", b"", body),
                *(b"--" + boundary + b"--", b""),
            ]
        )
        target = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        target += f"&ifGenerationMatch={condition}" if condition is not None else ""
        kind = {"Content-Type": f"multipart/related; boundary={boundary.decode()}"}
        status, headers, said = self._pass_on("POST", target, kind, related)
        if status != 200:
            return status, headers, said
        made = json.loads(said)
        return 200, [("ETag", f'"{made["etag"]}"'), ("x-goog-generation", str(made["generation"]))], b""

    def _pass_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=60)) as connection:
            passed = {name: value for name, value in headers.items() if name.lower() != "host"}
            connection.request(method, target, body, {**passed, "Host": self.upstream})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()


def _xml(name: str, **fields: str) -> bytes:
    return f"<{name}>{''.join(f'<{field}>{value}</{field}>' for field, value in fields.items())}</{name}>".encode()


@contextlib.contextmanager
def xml_front(endpoint: str) -> Iterator[str]:
    """Have a front of an emulator while the context lasts; yields its URL."""
    front = Front(endpoint.removeprefix("http://"))

    class Handler(Passing):
        def answer_to(self, body: bytes) -> Answer:
            return front.answer(self, body)

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
