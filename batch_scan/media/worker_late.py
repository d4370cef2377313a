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

from batch_scan.media.worker_open import LIBAV_TICKS_PER_S

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
_START: Final = re.compile(r", start (-?\d{1,9}\.\d+)$")
_NOUNS: Final = {"Audio": "sound", "Video": "picture"}


def demuxed(container: InputContainer, on_failure: Callable[[], None]) -> Iterator[Packet[Any]]:
    """Yield packets until the end of the file, or until the demuxer only fails; tell of each time that it fails."""
    failures = 0
    while failures < _MAX_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux():
                failures = 0
                yield packet
        except IndexError:  # PyAV's own, at the end, of tracks that came to light on the way: no damage
            failures += 1
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
    late = [_noun(rest) for rest in _late(container) if not _NEITHER_SEEN_NOR_HEARD.match(rest)]
    if not late:
        return ""
    more = f" ({len(late) - 1} more alike)" if len(late) > 1 else ""
    return f"a {late[0]} track begins late in the file that its beginning says nothing of{more}; it is not examined"


def late_sound(container: InputContainer) -> str:
    """Say the same of sound tracks alone, and when the first one begins where that is known."""
    untrusted_rest = next((rest for rest in _late(container) if _noun(rest) == _NOUNS["Audio"]), None)
    if untrusted_rest is None:
        return ""
    found = _START.search(untrusted_rest)
    start_s = float(found[1]) - (container.start_time or 0) / LIBAV_TICKS_PER_S if found else None
    when = "late in the file" if start_s is None else f"at {max(0.0, start_s):.1f} s"
    return f"a sound track begins {when} that the file's beginning says nothing of; it is not examined"


def _late(container: InputContainer) -> list[str]:
    """Return libav's descriptions of the tracks that the container was not opened with."""
    av.logging.set_level(av.logging.INFO)
    try:
        untrusted_description: str = container.dumps_format()  # type: ignore[attr-defined] # left out of PyAV's stubs
    finally:
        av.logging.set_level(av.logging.WARNING)
    known = len(container.streams)
    return [rest for index, rest in _STREAM.findall(untrusted_description) if int(index) >= known]


def _noun(untrusted_rest: str) -> str:
    kind = _KIND.search(untrusted_rest)
    return _NOUNS[kind[1]] if kind else "further"
