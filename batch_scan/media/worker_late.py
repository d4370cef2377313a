"""Tracks that come to light only while a file is read, in a decoder worker.

Some containers have no list of their tracks at the beginning: a track is there when its first packet is. A probe reads
a part of the file; whatever begins after that is in nobody's plan, and PyAV drops its packets without a word. libav's
own description of the file, asked for once all has been read, still names it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import av.logging
from av.stream import Discard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.container import InputContainer
    from av.packet import Packet

_GROWING: Final = "asf asf_o dhav flv gxf ipmovie live_flv mpeg mpegts mpegtsraw nsv nuv ogg pva roq swf ty wtv xmv"
GROWING_FORMATS: Final = frozenset(_GROWING.split())
"""Containers to which libavformat adds tracks while it reads (AVFMTCTX_NOHEADER in its demuxers), or could."""

_MAX_ERRORS_IN_A_ROW: Final = 64
_STREAM: Final = re.compile(r"^  Stream #0:(\d+)(.*)$", re.MULTILINE)
_NEITHER_SEEN_NOR_HEARD: Final = re.compile(r"(?:\[0x[0-9a-f]+\])?(?:\([a-z]{2,3}\))?: (?:Subtitle|Data|Attachment): ")
_KIND: Final = re.compile(r": (Audio|Video): ")
_NOUNS: Final = {"Audio": "sound", "Video": "picture"}


def demuxed(container: InputContainer, on_failure: Callable[[], None]) -> Iterator[Packet[Any]]:
    """Yield packets until the end of the file, or until the demuxer only fails."""
    failures = 0
    while failures < _MAX_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux():
                failures = 0
                yield packet
        except Exception:  # noqa: BLE001 - PyAV raises builtins of any kind; what is missing is counted later
            failures += 1
            on_failure()
        else:
            return


def read_through(container: InputContainer) -> None:
    """Read a container to its end for nothing but what it has; its known tracks give no packets afterwards."""
    for stream in container.streams:
        stream.discard = Discard.all
    for _ in demuxed(container, lambda: None):
        pass


def late_tracks(container: InputContainer) -> str:
    """Say, of a container that was read to its end, which tracks it has beyond those it was opened with.

    Returns:
        A sentence; empty where there is none. What is neither picture nor sound is left out.
    """
    av.logging.set_level(av.logging.INFO)
    try:
        untrusted_description: str = container.dumps_format()  # type: ignore[attr-defined] # left out of PyAV's stubs
    finally:
        av.logging.set_level(av.logging.WARNING)
    known = len(container.streams)
    late = [
        _noun(untrusted_rest)
        for index, untrusted_rest in _STREAM.findall(untrusted_description)
        if int(index) >= known and not _NEITHER_SEEN_NOR_HEARD.match(untrusted_rest)
    ]
    if not late:
        return ""
    more = f" ({len(late) - 1} more alike)" if len(late) > 1 else ""
    return f"a {late[0]} track begins late in the file that its beginning says nothing of{more}; it is not examined"


def _noun(untrusted_rest: str) -> str:
    kind = _KIND.search(untrusted_rest)
    return _NOUNS[kind[1]] if kind else "further"
