from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.source.hosts import AllowedHosts, is_public


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("media.example.org", "https://media.example.org/a", True),
        ("media.example.org", "http://media.example.org/a", True),
        ("media.example.org", "https://MEDIA.example.org./a", True),
        ("Media.Example.Org", "https://media.example.org/a", True),
        ("media.example.org", "https://media.example.org:443/a", True),
        ("media.example.org", "https://media.example.org:8443/a", False),
        ("media.example.org", "http://media.example.org:443/a", False),
        ("media.example.org:8443", "https://media.example.org:8443/a", True),
        ("media.example.org:8443", "https://media.example.org/a", False),
        ("media.example.org:80", "http://media.example.org/a", True),
        ("media.example.org:80", "https://media.example.org/a", False),
        ("media.example.org", "https://media.example.org.evil.test/a", False),
        ("media.example.org", "https://evil.test/media.example.org", False),
        ("media.example.org", "https://media.example.org@evil.test/a", False),
        ("example.org", "https://media.example.org/a", False),
        ("*.example.org", "https://media.example.org/a", True),
        ("*.example.org", "https://a.b.example.org/a", True),
        ("*.example.org", "https://example.org/a", False),
        ("*.example.org", "https://badexample.org/a", False),
        ("*.example.org:8443", "https://a.example.org:8443/a", True),
        ("bücher.example", "https://xn--bcher-kva.example/a", True),
        ("xn--bcher-kva.example", "https://bücher.example/a", True),
        ("10.0.0.7:8080", "http://10.0.0.7:8080/a", True),
        ("[::1]:8080", "http://[::1]:8080/a", True),
        ("[2001:db8::1]", "https://[2001:DB8::1]/a", True),
    ],
)
def test_a_host_is_allowed_only_as_the_list_names_it(entry: str, url: str, *, allowed: bool) -> None:
    assert AllowedHosts((entry,)).allow(httpx.URL(url)) is allowed


def test_an_empty_list_allows_nothing() -> None:
    assert not AllowedHosts(()).allow(httpx.URL("https://example.org/a"))


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.",
        "https://a.test",
        "a.test/x",
        "u:p@a.test",
        "a.*.test",
        "a.test:port",
        "::1",
        "a b",
        "a.test:99999",
    ],
)
def test_what_is_no_host_is_an_error_that_shows_how_to_write_one(entry: str) -> None:
    with pytest.raises(UsageError, match=r"source\.allow_hosts.*media\.example\.org"):
        AllowedHosts((entry,))


@pytest.mark.parametrize(
    ("entry", "url", "named"),
    [
        ("127.0.0.1:8123", "http://127.0.0.1:8123/", True),
        ("[::1]:8123", "http://[::1]:8123/", True),
        ("127.0.0.1", "http://127.0.0.1/", False),
        ("localhost:8123", "http://localhost:8123/", False),
        ("*.0.0.1:8123", "http://127.0.0.1:8123/", False),
        ("127.0.0.1:8123", "http://127.0.0.1:8124/", False),
        ("127.0.0.1:8123", "http://127.1:8123/", False),
        ("127.0.0.1:8123", "http://2130706433:8123/", False),
    ],
)
def test_a_private_address_counts_as_named_only_as_itself_with_its_port(entry: str, url: str, *, named: bool) -> None:
    assert AllowedHosts((entry,)).name_address(httpx.URL(url)) is named


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::808:808"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


_REFUSED = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier NAT; 100.100.100.200 is a metadata service
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b:1::/48",
    "2001::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]


@given(st.sampled_from(_REFUSED).map(ip_network), st.integers(min_value=0))
def test_no_address_of_a_private_or_special_network_is_public(network: IPv4Network, offset: int) -> None:
    address = network[offset % network.num_addresses]
    assert not is_public(address)
    if isinstance(address, IPv4Address):
        assert not is_public(IPv6Address(f"::ffff:{address}"))
        assert not is_public(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address)))
        assert not is_public(IPv6Address((0x2002 << 112) + (int(address) << 80) + 1))
