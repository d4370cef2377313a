from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.source.textfile import MAX_LINE_CHARS, bounded_lines, check_utf8, open_lines

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.text(), min_size=1).map("\n".join), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_lines_come_out_as_they_went_in_packed_or_not(tmp_path: Path, text: str, packed: bool) -> None:  # noqa: FBT001 - hypothesis gives it by position
    path = tmp_path / ("m.csv.gz" if packed else "m.csv")
    data = text.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    with open_lines(path, newline="") as file:
        assert "".join(bounded_lines(file)) == text.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("before", "line"),
    [(b"", 1), (b"uri\n", 2), (b"\xef\xbb\xbfuri\r\n\r\n\n", 4), (b"x" * 999 + b"\n" + "ä".encode() * 1_200_000, 2)],
)
def test_bytes_that_are_not_utf8_are_named_by_offset_and_line(tmp_path: Path, before: bytes, line: int) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(before + b"caf\xe9.mp4\nmore\n")
    with pytest.raises(UsageError, match=rf"m\.csv is not UTF-8 at byte {len(before) + 3}, line {line};"):
        check_utf8(path, "m.csv")


def test_a_character_across_two_blocks_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"x" + "ä".encode() * (1 << 20))
    check_utf8(path, "m.csv")


def test_utf16_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes("uri\n".encode("utf-16"))
    with pytest.raises(UsageError, match="UTF-16"):
        check_utf8(path, "m.csv")


def test_a_file_cut_inside_a_character_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes("uri\nä".encode()[:-1])
    with pytest.raises(UsageError, match="cut off"):
        check_utf8(path, "m.csv")


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_without_content_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.csv is empty"):
        check_utf8(path, "m.csv")


@pytest.mark.parametrize("damage", ["not gzip", "cut", "flipped"])
def test_a_damaged_packed_file_is_an_error_before_anything_starts(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.csv.gz"
    data = bytearray(gzip.compress(b"uri\n" + b"".join(b"%d.mp4\n" % n for n in range(10_000))))
    match damage:
        case "not gzip":
            data = bytearray(b"uri\na.mp4\n")
        case "cut":
            del data[len(data) // 2 :]
        case "flipped":
            data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"m\.csv\.gz"):
        check_utf8(path, "m.csv.gz")


def test_a_line_longer_than_memory_allows_is_cut_and_the_next_one_is_whole() -> None:
    long, cut, after = "x" * (3 * MAX_LINE_CHARS + 7), "x" * (MAX_LINE_CHARS + 1), "after\n"
    assert list(bounded_lines(io.StringIO(f"{long}\n{after}"))) == [cut, after]
    assert list(bounded_lines(io.StringIO(long))) == [cut]
