from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.transcribe.text import clean_words
from tests.endpoint.contract import is_one_clean_line


@pytest.mark.parametrize(
    ("untrusted", "kept"),
    [
        ("", ""),
        ("you  fool\n", "you fool"),
        ("a\x1b[31m\u202eb", "a\ufffd[31m\ufffdb"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),
        ("fool " * 5000, ("fool " * 5000).strip()),
    ],
)
def test_words_are_kept_whole_and_on_one_line(untrusted: str, kept: str) -> None:
    assert clean_words(untrusted) == kept


@given(st.text(max_size=60))
def test_whatever_is_said_can_be_shown_and_no_letter_is_lost(untrusted: str) -> None:
    words = clean_words(untrusted)
    assert is_one_clean_line(words)
    assert [char for char in untrusted if char.isalnum()] == [char for char in words if char.isalnum()]
