"""Where a service is: https anywhere, plain http on this machine alone. Pure."""

from __future__ import annotations

from typing import Annotated

import httpx
from pydantic import AfterValidator

from batch_scan.loopback import is_loopback


def check_base_url(url: str) -> str:
    """Return a service's base URL without its trailing slash.

    Raises ValueError for anything but https to a host, or http to this machine: a key must not travel in the clear.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("is not a URL; give one such as https://api.example.com") from None
    if parsed.scheme not in {"https", "http"} or not parsed.host:
        raise ValueError("is not an https:// URL; give one such as https://api.example.com")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError("must hold neither user, query nor fragment; keys are given as secrets of their own")
    if parsed.scheme == "http" and not is_loopback(parsed.host):
        raise ValueError(
            "must begin with https://; plain http is allowed to this machine (127.0.0.1, ::1, localhost) only"
        )
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(check_base_url)]
"""A base URL as a field of a job file's table, checked by `check_base_url`."""


def is_on_this_machine(url: str) -> bool:
    """Return whether a checked base URL names this machine: a sandbox or a test, whose answers are not the vendor's."""
    return is_loopback(httpx.URL(url).host)
