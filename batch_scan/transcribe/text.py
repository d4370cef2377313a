"""What was said, made safe to keep and to show without losing a word. Pure."""

from __future__ import annotations

from batch_scan.untrusted import clean_text

_JOINERS = dict.fromkeys((0x200C, 0x200D))
"""Zero-width (non-)joiners stand inside words of Persian, Hindi and others. A word without them is still that word;
with a replacement character in their place it is not, and no word list knows it."""


def clean_words(untrusted: str) -> str:
    """Return a transcript on one line, without control characters, whole however long: what was said is evidence."""
    words = untrusted.translate(_JOINERS)
    return clean_text(words, max(len(words), 1))
