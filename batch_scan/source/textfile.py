"""Text manifests as lines: plain or gzip, checked to be UTF-8, no line longer than memory allows."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING, cast

from batch_scan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINE_CHARS = 1_000_000
"""Longest row of a text manifest; a longer one is a bad row."""
_BLOCK_BYTES = 1 << 20
_GZIP_MARK = b"\x1f\x8b"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_lines(path: Path, newline: str) -> IO[str]:
    """Open a manifest, unpacked where its name ends in .gz, without byte order mark. `newline` is that of `io.open`.

    Never fails over its bytes: `check_utf8` has looked at them, and those changed since are shown as they are.
    """
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", errors="backslashreplace", newline=newline)


def bounded_lines(file: IO[str]) -> Iterator[str]:
    """Yield lines; of one longer than `MAX_LINE_CHARS` only the beginning, which is longer than that too."""
    while line := file.readline(MAX_LINE_CHARS + 1):
        yield line
        while len(line) > MAX_LINE_CHARS and not line.endswith(("\n", "\r")):
            line = file.readline(MAX_LINE_CHARS + 1)


def check_utf8(path: Path, shown_path: str) -> None:
    """Read a manifest once. Raises UsageError where it is empty, damaged or not UTF-8, with the place."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoded_bytes = lines = 0
    blank = True
    try:
        with _open_bytes(path) as file:
            while block := file.read(_BLOCK_BYTES):
                pending = decoder.getstate()[0]
                try:
                    decoder.decode(block)
                except UnicodeDecodeError as error:
                    data = pending + block
                    line = lines + data.count(b"\n", 0, error.start) + 1
                    raise _not_utf8(shown_path, decoded_bytes - len(pending) + error.start, line, data) from None
                blank = blank and not block.strip(b" \t\r\n" + codecs.BOM_UTF8)
                lines += block.count(b"\n")
                decoded_bytes += len(block)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{shown_path} cannot be read: {error}") from None
    if decoder.getstate()[0]:
        raise UsageError(f"{shown_path} ends in the middle of a character, at byte {decoded_bytes}; it may be cut off")
    if blank:
        raise UsageError(f"{shown_path} is empty; a manifest names its columns and has a row per file")


def _not_utf8(shown_path: str, offset: int, line: int, data: bytes) -> UsageError:
    looks = " (it looks like UTF-16)" if offset == 0 and data.startswith(_UTF16_MARKS) else ""
    return UsageError(f"{shown_path} is not UTF-8 at byte {offset}, line {line}{looks}; save it as UTF-8")


def _open_bytes(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz" or _begins_as_gzip(path):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _begins_as_gzip(path: Path) -> bool:
    """Whether a file without a telling name is packed: no text in UTF-8 begins so."""
    with path.open("rb") as file:
        return file.read(len(_GZIP_MARK)) == _GZIP_MARK
