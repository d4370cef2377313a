from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.visionular.ids import decode_session, is_name, stream_digest

# Both stand on the vendor's pages.
FROM_THE_PAGES = {
    "MjNxMmM0NnctMjAyNTEwLWQ0OWM4NDA5LWJjNzYtNGU4Mi1iOTJmLTg5YzVhOTQzMGRjNC0xNzYyMTU1MjU5": (
        "202510-d49c8409-bc76-4e82-b92f-89c5a9430dc4",
        1762155259,
    ),
    "bjJoMjQzcTctMjAyNTExLWVlNTA0OTE1LTRlZmYtNDdhMi1iNWE4LWMzODZlMmQ1MzdjMS0xNzYzNTU0NDk0": (
        "202511-ee504915-4eff-47a2-b5a8-c386e2d537c1",
        1763554494,
    ),
}


@pytest.mark.parametrize("name", FROM_THE_PAGES)
def test_the_samples_of_the_vendors_pages_are_decoded(name: str) -> None:
    session = decode_session(name)
    assert session is not None
    assert (session.name, session.stream, session.started_s) == (
        name,
        stream_digest(FROM_THE_PAGES[name][0]),
        FROM_THE_PAGES[name][1],
    )


@pytest.mark.parametrize(
    "text", ["", "n2h243q7", "n2h243q7-202511-key", "short-202511-abcdefgh-1763554494", "n2h243q7-202511-abcdefgh-1"]
)
def test_what_is_made_otherwise_is_nobodys(text: str) -> None:
    assert decode_session(base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")) is None


@given(st.none() | st.integers() | st.text() | st.lists(st.text()))
def test_anything_may_stand_where_a_session_is_named(untrusted: Any) -> None:
    assert decode_session(untrusted) is None


@pytest.mark.parametrize("name", ["202601-e95e9a27-e904-4340-9186-c27310dd729c", "202601-MjNkZWY5NmVh_Y2M=", "abcd"])
def test_names_as_the_vendor_gives_them_can_stand_in_a_url(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "abc", "../..", "a/b/c/d", "-key", "key key", "key\n", "key?x=1", "é" * 8, None, 7]
)
def test_names_that_would_change_a_url_are_refused(name: Any) -> None:
    assert not is_name(name)
