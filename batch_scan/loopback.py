"""Which hosts are this machine: to them, and to them alone, a key may travel in the clear. Pure."""

from __future__ import annotations

import ipaddress

_NAME = "localhost"


def is_loopback(host: str) -> bool:
    """Return whether a host of a URL, in lower case and without brackets, is this machine.

    `localhost` and every name below it are: RFC 6761 (6.3) lets no name server say otherwise.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _NAME or host.endswith(f".{_NAME}")
