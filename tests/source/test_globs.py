from __future__ import annotations

import pytest

from batch_scan.errors import UsageError
from batch_scan.source.globs import Selection
from batch_scan.vocabulary import Reason


def _wanted(path: str, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> bool:
    return Selection(include, exclude).refuse(path) is None


def test_without_patterns_everything_is_wanted() -> None:
    assert _wanted("a/b/.hidden")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.mp4", "a.mp4", True),
        ("*.mp4", "2024/06/a.mp4", True),
        ("*.mp4", "a.MP4", False),
        ("*.mp4", "a.mp4.txt", False),
        ("2024/*.mp4", "2024/a.mp4", True),
        ("2024/*.mp4", "2024/06/a.mp4", False),
        ("2024/*.mp4", "old/2024/a.mp4", False),
        ("2024/**/*.mp4", "2024/a.mp4", True),
        ("2024/**/*.mp4", "2024/06/01/a.mp4", True),
        ("**/raw/*.wav", "x/y/raw/a.wav", True),
        ("raw", "x/raw/deep/a.wav", True),
        ("take?.wav", "take7.wav", True),
        ("take[0-3].wav", "take7.wav", False),
        ("-a.mp4", "-a.mp4", True),
        ("*.mp4", "line\nbreak.mp4", True),
        ("*.mp4", "\udcff.mp4", True),
    ],
)
def test_a_pattern_matches_as_in_a_gitignore_file(pattern: str, path: str, *, matches: bool) -> None:
    assert _wanted(path, include=(pattern,)) is matches
    assert _wanted(path, exclude=(pattern,)) is not matches


def test_exclude_wins_over_include() -> None:
    refusal = Selection(("*.mp4",), ("secret*",)).refuse("secret.mp4")
    assert refusal is not None
    assert refusal.reason is Reason.EXCLUDED
    assert "exclude" in refusal.detail


def test_an_entry_that_no_include_names_is_excluded_and_says_so() -> None:
    refusal = Selection(("*.mp4",), ()).refuse("a.txt")
    assert refusal is not None
    assert "include" in refusal.detail


@pytest.mark.parametrize("pattern", ["", " ", "#a", "!", "[", "a[", "[z-a]", "\\"])
def test_a_pattern_that_can_match_nothing_is_an_error_that_names_its_place(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"source\.exclude"):
        Selection((), (pattern,))
