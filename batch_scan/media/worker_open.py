"""Opening hostile files with PyAV, in a decoder worker: guarded, and every failure a reason.

libav says why it refuses a file only in its log, so the last lines of the log are kept while a file is worked on and
compared with the few constant texts that tell one reason from another.
"""

from __future__ import annotations

import builtins
import logging
import os
import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import av
import av.error
import av.logging
from av.stream import Discard

from batch_scan.errors import MediaError
from batch_scan.media.formats import ALLOWED_FORMATS, ANALYZE_DURATION_US, PROBE_BYTES
from batch_scan.media.worker_shelf import SHELF
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream

LIBAV_TICKS_PER_S: Final = 1_000_000
"""AV_TIME_BASE, the unit of a container's own times."""

TELLING_FORMATS: Final = ("mov,mp4",)
"""Of these nothing has to be decoded to know what they hold. Matroska gives no decoding times: of H.264 with B-frames
libav then finds no beginning unless it decodes some."""

_KEPT_LINES: Final = 50
_LOG_ROOT: Final = "libav."
_PICTURE_TOO_LARGE: Final = re.compile(r"Picture size \d+x\d+ (is invalid|exceeds)|^Invalid image size")
_MISSING_BEFORE: Final = re.compile(
    r"mmco: unref short failure|reference picture missing|Missing reference picture|co located POCs unavailable"
    r"|Could not find ref with POC|number of reference frames|Frame num gap|non-existing [PS]PS|no frame!"
    r"|Skipping invalid undecodable NALU"
)
"""What decoders say where something that came before is missing: where decoding begins in mid-stream, as ours does on
purpose, and where packets were lost. Of H.264 that may be all that is said of such, of HEVC but the last, a warning."""

_BLIND: Final = {"skip_frame": "all"}
"""libav decodes pictures to know what is in a file: 7.4 of the 7.8 ms that it takes to open a clip at 480 lines. The
option holds for that alone, not for the decoders that are used afterwards."""

_PATTERN_CHARS: Final = frozenset("%*?[{")
_PICTURE_SUFFIXES = (
    *(
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jps",
        ".mpo",
        ".png",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    ),
    *(
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jp2",
        ".j2k",
        ".tga",
        ".dds",
        ".exr",
        ".qoi",
        ".svg",
        ".pcx",
        ".sgi",
        ".xbm",
    ),
)


@dataclass(frozen=True, slots=True)
class LogState:
    """What a log holds of one file."""

    untrusted_lines: tuple[str, ...]
    errors: int
    demuxer_errors: int
    demuxer_complaints: int
    untrusted_demuxer_error: str
    untrusted_complaint: str
    untrusted_complaints: dict[str, str]


class LibavLog(logging.Handler):
    """The last lines of libav's log, and how many errors it has seen from whom."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.untrusted_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.errors = 0
        """Errors of any component since `reset`, those left out that only tell of pictures not decoded before."""
        self.missing = 0
        """What was left out there."""
        self.demuxer_errors = 0
        """Errors of the component named by `demuxer` since `reset`, and ..."""
        self.demuxer_error = ""
        """... the last of them; untrusted."""
        self.demuxer_complaints = 0
        """Errors and warnings of that component since `reset`."""
        self.demuxer = ""
        self.is_decoding = False
        """What is said now is no demuxer's: of GIF, FLV and others libav calls the decoder by the same name."""
        self.complaint = ""
        """The last error of any component since `reset`, or warning that something is corrupt; untrusted."""
        self._complaints: dict[str, str] = {}
        self._opening: list[tuple[str, str]] = []
        root = logging.getLogger(_LOG_ROOT.rstrip("."))
        root.propagate = False
        root.addHandler(self)
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        line = record.getMessage()
        self.untrusted_lines.append(line)
        is_demuxer = record.name == _LOG_ROOT + self.demuxer and not self.is_decoding
        self.demuxer_complaints += is_demuxer
        if _MISSING_BEFORE.search(line):
            self.missing += 1
        elif record.levelno >= logging.ERROR:
            self.errors += 1
            if is_demuxer:
                self.demuxer_errors += 1
                self.demuxer_error = line
            elif not self.demuxer:
                self._opening.append((record.name, line))
        if record.levelno >= logging.ERROR or "corrupt" in line.lower():
            self.complaint = self._complaints[record.name] = line

    def reset(self) -> None:
        """Forget everything: the next file begins."""
        self.untrusted_lines.clear()
        self.errors = self.missing = self.demuxer_errors = self.demuxer_complaints = 0
        self.demuxer = self.demuxer_error = self.complaint = ""
        self._complaints.clear()
        self._opening.clear()

    def opened(self, demuxer: str) -> None:
        """Name the demuxer: from now on what it says is known for its own, and so is what it said until now."""
        self.demuxer = demuxer
        said = [line for name, line in self._opening if name == _LOG_ROOT + demuxer]
        self._opening.clear()
        self.demuxer_errors += len(said)
        self.demuxer_error = said[-1] if said else self.demuxer_error

    def state(self) -> LogState:
        """Return all that was said of the file so far."""
        return LogState(
            tuple(self.untrusted_lines),
            self.errors,
            self.demuxer_errors,
            self.demuxer_complaints,
            self.demuxer_error,
            self.complaint,
            dict(self._complaints),
        )

    def go_back_to(self, state: LogState) -> None:
        """Take up a file where it was left."""
        self.reset()
        self.untrusted_lines.extend(state.untrusted_lines)
        self.errors, self.demuxer_errors = state.errors, state.demuxer_errors
        self.demuxer_complaints, self.demuxer_error = state.demuxer_complaints, state.untrusted_demuxer_error
        self.complaint = state.untrusted_complaint
        self._complaints |= state.untrusted_complaints

    def complaint_of(self, component: str) -> str:
        """Return the last complaint of one component, by libav's name of it; empty where it has none."""
        return self._complaints.get(_LOG_ROOT + component, "")

    def said(self, text: str) -> bool:
        """Say whether a line holds `text`."""
        return any(text in line for line in self.untrusted_lines)

    def said_picture_too_large(self) -> bool:
        """Say whether a decoder refused a picture for its size."""
        return any(_PICTURE_TOO_LARGE.search(line) for line in self.untrusted_lines)

    def last(self) -> str:
        """Return the last line, made safe to show."""
        return clean_text(self.untrusted_lines[-1], 200) if self.untrusted_lines else ""


@contextmanager
def open_media(path: str, limits: dict[str, int], log: LibavLog, *, blind: bool = False) -> Iterator[InputContainer]:
    """Open a file for reading, as a real media format of one file only, or go on with one that a probe has left open.

    Raises MediaError.

    Args:
        path: absolute path; undecodable bytes as surrogates.
        limits: ``max_streams`` and ``max_pixels``, the same for every file of a process.
        log: where libav's reasons are looked up.
        blind: do not look at pictures, where all that is wanted is sound.
    """
    kept = SHELF.take(path)
    if kept is None:
        container = open_container(path, limits, log, blind=blind)
    else:
        container, said = kept
        log.go_back_to(said)
    with container:
        log.demuxer = container.format.name
        yield container


def only_sound(container: InputContainer, index: int) -> AudioStream:
    """Return a sound track, the only one whose packets come from now on. Raises MediaError where it is not there."""
    stream = next((stream for stream in container.streams.audio if stream.index == index), None)
    if stream is None:
        raise MediaError(Reason.CHANGED, "the track is gone: the file changed while it was read")
    for other in container.streams:
        if other.index != index:
            other.discard = Discard.all
    return stream


def open_container(path: str, limits: dict[str, int], log: LibavLog, *, blind: bool = False) -> InputContainer:
    """Open a file as `open_media` does; closing it is the caller's. Raises MediaError."""
    try:
        container = _open(path, limits, _BLIND if blind else {})
    except Exception as error:  # noqa: BLE001 - PyAV raises builtins of any kind on hostile files
        raise open_failure(error, log) from None
    try:
        log.opened(container.format.name)
        _check_size(container, limits, log)
    except BaseException:
        container.close()
        raise
    return container


def _open(path: str, limits: dict[str, int], further: dict[str, str]) -> InputContainer:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A name with pattern characters, or a picture's (where its content does not show at once), would be taken for a
        # sequence of pictures, which is refused; through /proc it has no name, and its content decides.
        nameless = bool(_PATTERN_CHARS & set(path)) or path.lower().endswith(_PICTURE_SUFFIXES)
        name = f"/proc/self/fd/{descriptor}" if nameless else path
        return av.open(
            f"file:{name}",
            options={"max_pixels": str(limits["max_pixels"]), "threads": "1", **further},
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": ",".join(ALLOWED_FORMATS),
                # One more than allowed: several demuxers leave out what exceeds it, and open the rest without a word.
                "max_streams": str(limits["max_streams"] + 1),
                "probesize": str(PROBE_BYTES),
                "analyzeduration": str(ANALYZE_DURATION_US),
            },
            metadata_errors="replace",
        )
    finally:
        os.close(descriptor)


def open_failure(error: BaseException, log: LibavLog) -> MediaError:
    """Tell why a file was refused, from what PyAV raised and libav logged."""
    refused = _refusal(log)
    if refused is not None:
        return refused
    if isinstance(error, builtins.MemoryError):
        return MediaError(Reason.DECODER_LIMIT, "opening it takes more memory than a decoder may use")
    if isinstance(error, builtins.FileNotFoundError):
        return MediaError(Reason.MISSING, "the file is gone")
    if isinstance(error, builtins.OSError):
        return MediaError(Reason.UNREADABLE, f"it cannot be read ({type(error).__name__})")
    if log.untrusted_lines and not log.said("detected only with low score"):
        return MediaError(Reason.DAMAGED, f"it cannot be opened: {log.last()}")
    return MediaError(Reason.NOT_MEDIA, "its content is no media format that is known")


def _refusal(log: LibavLog) -> MediaError | None:
    """Return which of our own limits a file met, if any."""
    if log.said("Format not on whitelist") or log.said("Not detecting m3u8/hls"):
        return MediaError(
            Reason.FORMAT_REFUSED, "its content is no sound or picture format but a playlist, script, text or the like"
        )
    if log.said("exceeds max_streams"):
        return MediaError(Reason.TOO_MANY_STREAMS, "it has more tracks than are looked at")
    if log.said_picture_too_large():
        return _too_many_pixels()
    return None


def _check_size(container: InputContainer, limits: dict[str, int], log: LibavLog) -> None:
    if len(container.streams) > limits["max_streams"]:
        raise MediaError(Reason.TOO_MANY_STREAMS, "it has more tracks than are looked at")
    for stream in container.streams.video:
        if has_no_decoder(stream):
            continue
        if stream.width * stream.height > limits["max_pixels"]:
            raise _too_many_pixels(f"{stream.width} by {stream.height}")
        if not stream.width and log.said_picture_too_large():
            raise _too_many_pixels()


def has_no_decoder(stream: Stream) -> bool:
    """Say whether PyAV knows no decoder for a track; its `codec_context` is then None, whatever its stubs say."""
    return stream.codec_context is cast("object", None)


def _too_many_pixels(size: str = "") -> MediaError:
    return MediaError(Reason.TOO_MANY_PIXELS, f"its pictures are larger than is decoded{size and f': {size}'}")
