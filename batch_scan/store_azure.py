"""Requests to Azure's blob service that obstore does not make, with the credentials of the environment.

Kept to those that the environment holds as they are: a token, the account's key, or a shared access signature. What
obstore fetches for itself (a managed identity, a client secret, `az login`) it does not give away.
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = "2023-11-03"
_TOKENS = ("AZURE_STORAGE_TOKEN",)
_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
_SIGNATURES = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
"""Names of the variables that obstore reads."""
_EMPTY_HEADERS = 11
"""Standard headers that a signature covers, from Content-Encoding to Range, none of which a listing sends."""


@dataclass(frozen=True, slots=True)
class AzureRequest:
    """A GET request. Both parts may hold what must not be shown."""

    url: str
    headers: dict[str, str]


def container_request(
    endpoint: str, account: str, container: str, query: Mapping[str, str], *, anonymous: bool = False
) -> AzureRequest:
    """Return a request for a container, such as one for a page of its listing.

    Args:
        endpoint: URL of the account's blob service.
        account: name of the account.
        container: name of the container.
        query: what is asked for.
        anonymous: ask without credentials.

    Raises ValueError where the environment holds no credentials that can be used here.
    """
    url = f"{endpoint}/{quote(container)}?{urlencode(query, quote_via=quote)}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
    if anonymous:
        return AzureRequest(url, headers)
    if token := _first(_TOKENS):
        return AzureRequest(url, {**headers, "Authorization": f"Bearer {token}"})
    if key := _first(_KEYS):
        signature = _signature(key, _text_to_sign(url, account, headers))
        return AzureRequest(url, {**headers, "Authorization": f"SharedKey {account}:{signature}"})
    if shared := _first(_SIGNATURES):
        named = (pair.partition("=") for pair in shared.strip().removeprefix("?").split("&"))
        pairs = [(name, unquote(value)) for name, _, value in named]
        return AzureRequest(f"{url}&{urlencode(pairs, quote_via=quote)}", headers)
    raise ValueError("the environment holds no credentials of its own for Azure")


def _first(names: tuple[str, ...]) -> str:
    return next(filter(None, map(os.environ.get, names)), "")


def _text_to_sign(url: str, account: str, headers: Mapping[str, str]) -> str:
    """Return what a signature is made of.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key, "Blob, Queue, and File Services".
    """
    parts = urlsplit(url)
    asked = sorted(parse_qsl(parts.query, keep_blank_values=True))
    resource = "".join([f"/{account}{parts.path}", *(f"\n{name.lower()}:{value}" for name, value in asked)])
    return "\n".join(
        ["GET", *[""] * _EMPTY_HEADERS, *(f"{name}:{headers[name]}" for name in sorted(headers)), resource]
    )


def _signature(key: str, text: str) -> str:
    """Raises ValueError where the key is not one (binascii.Error is a ValueError)."""
    return base64.b64encode(hmac.digest(base64.b64decode(key, validate=True), text.encode(), "sha256")).decode()
