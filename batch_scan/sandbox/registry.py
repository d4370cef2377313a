"""The servers of the sandbox by name. None is imported before it is asked for."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final

from batch_scan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.sandbox.judge import Judge
    from batch_scan.sandbox.vendor import VendorServer

SERVERS: Final[Mapping[str, str]] = {
    "safecomms": "batch_scan.sandbox.safecomms.server:SafeCommsServer",
    "stream": "batch_scan.sandbox.stream.server:StreamServer",
    "deepgram": "batch_scan.sandbox.deepgram.server:DeepgramServer",
    "visionular": "batch_scan.sandbox.visionular.server:VisionularServer",
    "deepcleer": "batch_scan.sandbox.deepcleer.server:DeepCleerServer",
}
"""The vendor's word in the job file -> its server's class (``module:class``), made with ``judge=``."""


def make_server(name: str, judge: Judge) -> VendorServer:
    """Make the named server, not yet started. Raises UsageError where there is none of that name."""
    if name not in SERVERS:
        raise UsageError(f"the sandbox has no server {name!r}; there are: {', '.join(SERVERS)}")
    server: VendorServer = resolve_name(SERVERS[name])(judge=judge)
    return server
