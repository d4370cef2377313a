"""A bucket with any number of objects, none of which is there: it knows how to list them, and nothing else."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = 1000


@contextmanager
def many_objects(count: int) -> Iterator[str]:
    """Serve ListObjectsV2 of ``media/00000000.mp4`` and so on while the context lasts; the value is the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            start = int(query.get("continuation-token", ["0"])[0])
            body = _page(start, min(start + _PAGE, count), count).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _page(start: int, end: int, count: int) -> str:
    objects = "".join(
        f"<Contents><Key>media/{number:08}.mp4</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><Size>{number + 1}</Size></Contents>"
        for number in range(start, end)
    )
    more = "" if end == count else f"<NextContinuationToken>{end}</NextContinuationToken>"
    truncated = "false" if end == count else "true"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>archive</Name>'
        f"<IsTruncated>{truncated}</IsTruncated>{more}{objects}</ListBucketResult>"
    )
