"""Messages on standard error, as text or as one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import assert_never

from tqdm import tqdm

from batch_scan.job import LogFormat
from batch_scan.untrusted import clean_text

_MESSAGE_CHARS = 2000


def _clean_lines(trace: str) -> str:
    """Clean a trace line by line, since errors carry words from outside; its indentation stays."""
    return "\n".join(_indentation(line) + clean_text(line, _MESSAGE_CHARS) for line in trace.split("\n"))


def _indentation(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" ")))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        trace = f"\n{_clean_lines(self.formatException(record.exc_info))}" if record.exc_info else ""
        return f"batch-scan: {mark}{clean_text(record.getMessage(), _MESSAGE_CHARS)}{trace}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat()
        line = {"at": at, "level": record.levelname.lower()}
        line["message"] = clean_text(record.getMessage(), _MESSAGE_CHARS)
        if record.exc_info:
            line["trace"] = _clean_lines(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _fit_to_show(record: logging.LogRecord) -> bool:
    """Let through what is ours, and what others warn of: below that httpx and uvicorn tell URLs and headers.

    Keys travel in both. Decided here and not by the loggers' levels, which any library may set.
    """
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == "batch_scan"


class _Stderr(logging.Handler):
    """Writes around a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:  # closed by whoever started us: nobody wants to know
            return
        with contextlib.suppress(OSError):  # nor can they be told where it is full
            tqdm.write(self.format(record), file=sys.stderr)


def set_up_logs(log_format: LogFormat) -> None:
    """Send our messages to standard error; other libraries only where they warn."""
    handler = _Stderr()
    handler.addFilter(_fit_to_show)
    match log_format:
        case LogFormat.TEXT:
            handler.setFormatter(_Text())
        case LogFormat.JSON:
            handler.setFormatter(_Json())
        case _:
            assert_never(log_format)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("batch_scan").setLevel(logging.INFO)
