from __future__ import annotations

import html
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.url_hiding import hidden, hider
from batch_scan.errors import EndpointError, Failure

SIGNATURE = "0123456789abcdef"
URL = f"https://host/a%20b.wav?X-Credential=AKID%2Fus-east-1&X-Expires=900&X-Signature={SIGNATURE}"


@pytest.mark.parametrize(
    "said",
    [
        URL,
        unquote(URL),
        quote(URL, safe=""),
        html.escape(URL),
        URL.partition("?")[2],
        SIGNATURE,
        "AKID/us-east-1",
        URL.replace("%2F", "%2f"),
        URL.partition("?")[2].replace("%2F", "%2f"),
        "AKID%2fus-east-1",
        f"https://cdn.example.com/elsewhere?sig={SIGNATURE[::-1]}",
        f"http://user:{SIGNATURE[::-1]}@host/a.wav",
    ],
)
def test_neither_the_url_nor_what_is_secret_in_any_is_left(said: str) -> None:
    shown = hider(URL)(f'cannot get "{said}", sorry')
    for secret in (SIGNATURE, SIGNATURE[::-1], "AKID"):
        assert secret not in shown
    assert shown.startswith('cannot get "')
    assert shown.endswith('", sorry')


def test_what_is_no_secret_stays() -> None:
    said = "900 words at https://docs.example.com/audio, and 3 at http://host:8080/x"
    assert hider(URL)(said) == said


def test_without_a_url_nothing_is_hidden_but_queries() -> None:
    assert hider("")("a b https://host/x?key=1") == "a b https://host/x?…"


@given(st.text(alphabet="abcdefgh0123456789%/+=-_ ü", min_size=8, max_size=40))
def test_a_signature_is_hidden_however_it_is_written(signature: str) -> None:
    hide = hider(f"https://host/a.wav?sig={quote(signature, safe='')}")
    written = (signature, quote(signature, safe=""), quote(signature), lower_hex(quote(signature, safe="")))
    for one in written:
        assert hide(f"<{one}>") == "<[url]>"


def lower_hex(text: str) -> str:
    """Write percent-encodings as .NET does."""
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def test_an_error_keeps_all_but_the_url() -> None:
    error = EndpointError(
        Failure.RATE_LIMITED,
        f"no: {URL}",
        http_status=429,
        vendor_code=SIGNATURE,
        retry_after_s=7.0,
        maybe_charged=True,
    )
    told = hidden(error, hider(URL))
    assert (told.detail, told.vendor_code) == ("no: [url]", "[url]")
    assert (told.failure, told.http_status, told.retry_after_s, told.maybe_charged) == (
        Failure.RATE_LIMITED,
        429,
        7.0,
        True,
    )
