from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.config import LimitTable
from batch_scan.endpoint.http import HttpClient
from batch_scan.errors import EndpointError
from batch_scan.job import LogFormat
from batch_scan.logs import set_up_logs
from tests.callbacks.posting import by_id, callback, receiving, vendor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_scan.sandbox.safecomms.server import SafeCommsServer

_log = logging.getLogger("batch_scan.somewhere")
HOSTILE = "a\x1b[31m name\nwith \u202e tricks"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("batch_scan")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


def test_messages_are_lines_with_their_level_where_it_matters(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(LogFormat.TEXT)
    _log.info("going on with %d", 7)
    _log.warning("slow")
    _log.debug("not shown")
    logging.getLogger("httpx").info("not shown either")
    logging.getLogger("httpx").warning("odd")
    shown = capsys.readouterr()
    lines = ["going on with 7", "warning: slow", "warning: odd"]
    assert shown.err.splitlines() == [f"batch-scan: {line}" for line in lines]
    assert shown.out == ""


def test_every_message_is_one_json_object_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(LogFormat.JSON)
    _log.info("grüße %s", HOSTILE)
    _log.warning("slow")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], sorted(line)) for line in lines] == [
        ("info", ["at", "level", "message"]),
        ("warning", ["at", "level", "message"]),
    ]
    assert lines[0]["message"].startswith("grüße a")
    assert lines[0]["at"].endswith("+00:00")


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_what_comes_from_outside_cannot_steer_the_terminal(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(log_format)
    _log.info("found %s", HOSTILE)
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert not {"\x1b", "\u202e"} & set(shown)


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_an_internal_error_comes_with_its_trace(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str], expected_errors: list[str]
) -> None:
    expected_errors.append("internal error")
    set_up_logs(log_format)
    try:
        int(HOSTILE)
    except ValueError:
        _log.exception("internal error at %s", HOSTILE)
    shown = capsys.readouterr().err
    assert "test_logs.py" in shown
    assert "\x1b" not in shown
    if log_format is LogFormat.JSON:
        assert "ValueError" in json.loads(shown)["trace"]


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG, logging.INFO, logging.WARNING])
async def test_no_url_and_no_header_reaches_the_log_whatever_level_anybody_sets(
    log_format: LogFormat,
    level: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    safecomms_server: SafeCommsServer,
) -> None:
    names = ("", "httpx", "httpcore", "uvicorn", "uvicorn.access", "uvicorn.error", "asyncio")
    before = {name: logging.getLogger(name).level for name in names}
    set_up_logs(log_format)
    for name in names:
        logging.getLogger(name).setLevel(level)
    try:
        async with (
            HttpClient("toy", safecomms_server.url, LimitTable(), headers={"x-api-key": "header-4711"}) as client,
            receiving(tmp_path) as receiver,
            vendor() as outside,
        ):
            url = receiver.mailbox("toy", by_id).url
            logging.getLogger("uvicorn.access").setLevel(level)
            await outside.post(url, content=callback("a"), headers={"authorization": "header-4712"})
            with pytest.raises(EndpointError):
                await client.send("GET", "usage", params={"api_key": "query-4711"})
    finally:
        for name, earlier in before.items():
            logging.getLogger(name).setLevel(earlier)
    shown = capsys.readouterr().err
    assert "callbacks are received at" in shown
    assert not any(secret in shown for secret in ("4711", "4712", url.split("/")[3], "/toy", "usage", "authorization"))
