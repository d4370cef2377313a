"""What libav says, and whose it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from batch_scan.media.worker_open import LibavLog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log() -> Iterator[LibavLog]:
    said = LibavLog()
    said.demuxer = "gif"
    yield said
    logging.getLogger("libav").removeHandler(said)


def say(log: LibavLog, component: str, line: str, level: int = logging.ERROR) -> None:
    log.emit(logging.LogRecord(f"libav.{component}", level, "", 0, line, None, None))


def test_an_error_of_the_demuxer_is_kept_with_its_words(log: LibavLog) -> None:
    say(log, "gif", "no such block")
    say(log, "h264", "no such slice")
    say(log, "gif", "an odd block", logging.WARNING)
    assert (log.errors, log.demuxer_errors, log.demuxer_complaints) == (2, 1, 2)
    assert log.demuxer_error == "no such block"


def test_what_a_decoder_of_the_same_name_says_is_none_of_the_demuxer(log: LibavLog) -> None:
    log.is_decoding = True
    say(log, "gif", "LZW decode failed")
    assert (log.errors, log.demuxer_errors, log.demuxer_complaints, log.demuxer_error) == (1, 0, 0, "")


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("Missing reference picture, default is 65544", logging.ERROR),
        ("mmco: unref short failure", logging.ERROR),
        ("Skipping invalid undecodable NALU: 1", logging.WARNING),  # all that is said of it
    ],
)
def test_what_tells_of_something_missing_before_is_counted_apart(log: LibavLog, line: str, level: int) -> None:
    say(log, "hevc", line, level)
    assert (log.errors, log.missing) == (0, 1)


def test_a_log_taken_up_again_has_what_was_said_before(log: LibavLog) -> None:
    say(log, "gif", "no such block")
    state = log.state()
    log.reset()
    assert (log.demuxer_errors, log.demuxer_error) == (0, "")
    log.go_back_to(state)
    assert (log.demuxer_errors, log.demuxer_error) == (1, "no such block")
