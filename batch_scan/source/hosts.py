"""Which hosts may be asked: the user's list of names, and addresses that no name may lead to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

import httpx

from batch_scan.errors import UsageError

_HOST = re.compile(r"[a-z0-9_.:-]+")
_MAX_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")
# Global to `ipaddress`, in some of its versions at least, and yet not the Internet.
_REFUSED_NETWORKS = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.0/24",  # protocol assignments, among them a metadata service of Oracle's
        "192.88.99.0/24",  # 6to4 relays
        "::/96",  # IPv4-compatible, deprecated
        "64:ff9b:1::/48",  # NAT64 for local use
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4, which carries any IPv4 address
        "fec0::/10",  # site-local, deprecated
    )
)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """One entry of the list. `port` None means the scheme's own."""

    host: str
    port: int | None
    subdomains: bool

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Raises UsageError for what is no host, with or without a port."""
        subdomains = entry.startswith("*.")
        try:
            # Port 0 stands for none given: httpx drops a scheme's own port, and both schemes share this entry.
            url = httpx.URL(f"none://{entry.removeprefix('*.')}")
        except (httpx.InvalidURL, ValueError):
            url = httpx.URL("")
        if not names_host(url) or url.raw_path not in {b"", b"/"} or url.userinfo:
            raise UsageError(
                f"source.allow_hosts: {entry!r} is not a host; write it as media.example.org, *.example.org, "
                "media.example.org:8443 or 10.0.0.7:8080, without scheme and path"
            )
        return cls(_canonical(url), url.port, subdomains)

    def matches(self, host: str, port: int, scheme: str) -> bool:
        """Whether this entry allows a canonical host."""
        if port != (self.port if self.port is not None else _DEFAULT_PORTS[scheme]):
            return False
        return host.endswith("." + self.host) if self.subdomains else host == self.host


class AllowedHosts:
    """The hosts that rows and redirects may name."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._entries = tuple(_Allowed.parse(entry) for entry in entries)

    def allow(self, url: httpx.URL) -> bool:
        """Whether the list names the host and port of an http(s) URL."""
        host = _canonical(url)
        return any(entry.matches(host, port_of(url), url.scheme) for entry in self._entries)

    def name_address(self, url: httpx.URL) -> bool:
        """Whether the list holds the URL's very address and port, so that it may be a private one."""
        host = _canonical(url)
        named = any(
            entry.host == host and entry.port == port_of(url) and not entry.subdomains for entry in self._entries
        )
        return named and as_address(host) is not None


def names_host(url: httpx.URL) -> bool:
    """Whether a URL has a host and, where it has one, a port that can be."""
    return bool(_HOST.fullmatch(_canonical(url))) and (url.port is None or 0 < url.port <= _MAX_PORT)


def port_of(url: httpx.URL) -> int:
    """Return the port that an http(s) URL means."""
    return url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]


def as_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return a host as an address; None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the Internet at large: not private, local, multicast, reserved or a metadata service.

    IPv4 addresses inside IPv6 ones count as what they are inside; tunnels that could lead anywhere are refused.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    if any(address in network for network in _REFUSED_NETWORKS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _canonical(url: httpx.URL) -> str:
    """Return the host as ASCII (IDNA), lower case, without the root's dot and brackets."""
    return url.raw_host.decode("ascii").lower().rstrip(".").strip("[]")
