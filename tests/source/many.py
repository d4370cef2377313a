"""A bucket with any number of objects, made up as they are asked for: it knows how to list them, and a few contents."""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PAGE = 1000
_MODIFIED = "2026-01-01T00:00:00.000Z"
_TOKEN = re.compile("<NextContinuationToken>.*?</NextContinuationToken>")
_KEY = re.compile("<Key>media/0*([0-9]+).mp4</Key>")
_LAST_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"


@contextmanager
def many_objects(
    count: int,
    contents: Sequence[bytes] = (),
    fetched: list[int] | None = None,
    *,
    knows_v2: bool = True,
    odd: Callable[[int], str] | None = None,
) -> Iterator[str]:
    """Serve ListObjectsV2 of ``media/00000000.mp4`` and so on while the context lasts; the value is the endpoint.

    Args:
        count: number of objects.
        contents: what is in the objects, in turn; where there are none, they can be listed and not read.
        fetched: gets the number of each object that is read.
        knows_v2: whether it says how to ask for the next page.
        odd: makes other keys, in their order, which can be listed and not read.
    """

    keys = [odd(number) for number in range(count)] if odd is not None else []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def do_GET(self) -> None:
            where = urlsplit(self.path)
            if where.path.endswith(".mp4"):
                self._object(int(where.path[-12:-4]))
                return
            start = _start(parse_qs(where.query), keys) if knows_v2 else 0
            page = _page(start, min(start + _PAGE, count), count, contents)
            page = _KEY.sub(lambda found: f"<Key>{keys[int(found[1])]}</Key>", page) if keys else page
            self._say(200, (page if knows_v2 else _TOKEN.sub("", page)).encode())

        def _object(self, number: int) -> None:
            if fetched is not None:
                fetched.append(number)
            content = contents[number % len(contents)]
            headers = {"ETag": f'"{number:032x}"', "Last-Modified": _LAST_MODIFIED}
            self._say(206, content, {**headers, "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"})

        def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _start(query: dict[str, list[str]], keys: Sequence[str]) -> int:
    after = query.get("start-after", [""])[0]
    if "continuation-token" in query:
        return int(query["continuation-token"][0])
    if keys:
        return bisect_right(keys, after)
    return int(after[-12:-4]) + 1 if after else 0


def _page(start: int, end: int, count: int, contents: Sequence[bytes]) -> str:
    objects = "".join(
        f"<Contents><Key>media/{number:08}.mp4</Key><LastModified>{_MODIFIED}</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><Size>{_size(number, contents)}</Size></Contents>"
        for number in range(start, end)
    )
    more = "" if end == count else f"<NextContinuationToken>{end}</NextContinuationToken>"
    truncated = "false" if end == count else "true"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>archive</Name>'
        f"<IsTruncated>{truncated}</IsTruncated>{more}{objects}</ListBucketResult>"
    )


def _size(number: int, contents: Sequence[bytes]) -> int:
    return len(contents[number % len(contents)]) if contents else number + 1
