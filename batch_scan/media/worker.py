"""The decoder worker: a child process that parses hostile files with PyAV and hands on plain data.

It imports as little as it can, reads requests from standard input and writes messages (`wire`) to standard output, one
file at a time; a reader that does not read stops it, which is all the flow control there is. It ends when its input
ends, when its parent dies, or when it has used the CPU time that one file is allowed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.worker_open import LibavLog, open_container
from batch_scan.media.worker_probe import describe, is_read_by_probe
from batch_scan.media.worker_shelf import SHELF, identity_of
from batch_scan.media.worker_sound import TrackSound
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG: Final = 1
_STATM_RESIDENT_FIELD: Final = 1


def main() -> None:
    """Serve requests until standard input ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not look like a message
    log = LibavLog()
    with sys.stdin.buffer as requests, output:
        _write(output, wire.pack_json(wire.Kind.END, {}))  # ready
        while request := _next_request(requests):
            _limit_cpu(request["cpu_s"])
            log.reset()
            end = _served(request, log, lambda message: _write(output, message))
            end["resident_bytes"] = _resident_bytes()
            _write(output, wire.pack_json(wire.Kind.END, end))


def _served(request: dict[str, Any], log: LibavLog, send: Callable[[bytes], None]) -> dict[str, Any]:
    """Do what is asked and return the body of the last message. Raises nothing that belongs to the file."""
    try:
        if request["do"] == "probe":
            return {"info": _probed(request, log)}
        if request["do"] == "sound":
            TrackSound(request, log, send).run()
        elif request["do"] == "copy":
            _copy_sound(request, log, send)
        else:
            _send_frames(request, log, send)
    except MediaError as error:
        return {"reason": error.reason, "detail": error.detail, "error_type": type(error).__name__}
    except MemoryError:
        return {"reason": Reason.DECODER_LIMIT, "detail": "it takes more memory than a decoder may use"}
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: whatever a file provokes becomes a value
        detail = f"the decoder failed on it: {type(error).__name__}: {error}"
        return {"reason": Reason.INTERNAL, "detail": detail[:500], "error_type": type(error).__name__}
    return {}


def _copy_sound(request: dict[str, Any], log: LibavLog, send: Callable[[bytes], None]) -> None:
    from batch_scan.media.worker_copy import TrackCopy  # noqa: PLC0415 - few jobs ask for it

    TrackCopy(request, log, send).run()


def _send_frames(request: dict[str, Any], log: LibavLog, send: Callable[[bytes], None]) -> None:
    # NumPy is more than half of what a worker loads, and one that probes or gives sound needs none of it.
    from batch_scan.media.worker_frames import TrackFrames  # noqa: PLC0415 - see above

    late = ""
    for track in request["tracks"]:
        frames = TrackFrames(request, track, log, send)
        frames.run()
        late = late or frames.late
    if late:
        send(wire.pack_json(wire.Kind.SHORTFALL, {"reason": Reason.DAMAGED, "detail": late}))


def _probed(request: dict[str, Any], log: LibavLog) -> dict[str, Any]:
    """Return what is in a file, and leave it open for what is asked next where that pays. Raises MediaError."""
    path = request["path"]
    identity = identity_of(path)
    container = open_container(path, request, log)
    said = log.state()
    try:
        info = describe(container, log)
        is_read = is_read_by_probe(container)
    except BaseException:
        container.close()
        raise
    if is_read or not request["may_stay_open"]:
        container.close()
    else:
        SHELF.put(path, identity, container, said)
    return info


def _next_request(requests: BinaryIO) -> dict[str, Any] | None:
    header = requests.read(wire.HEADER.size)
    if len(header) < wire.HEADER.size:
        return None
    _, length = wire.unpack_header(header)
    return wire.unpack_json(requests.read(length))


def _write(output: BinaryIO, message: bytes) -> None:
    rest = memoryview(message)
    while rest:
        rest = rest[output.write(rest) :]


def _limit_cpu(cpu_s: float) -> None:
    """Have the kernel end this process when it uses `cpu_s` more from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime + cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs more than the read
        return int(file.read().split()[_STATM_RESIDENT_FIELD]) * resource.getpagesize()
