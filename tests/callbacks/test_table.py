from __future__ import annotations

import pytest
from pydantic import ValidationError

from batch_scan.callbacks.table import CallbacksTable


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "127.0.0.1:8088", "[::1]:8088", "localhost:9"])
def test_this_machine_needs_no_public_url(bind: str) -> None:
    assert CallbacksTable(bind=bind).public_url == ""


@pytest.mark.parametrize("bind", ["0.0.0.0:8088", "[::]:8088", "192.0.2.7:8088", "scanner.example:8088"])
def test_any_other_address_needs_one(bind: str) -> None:
    with pytest.raises(ValidationError, match="set public_url to the https:// URL"):
        CallbacksTable(bind=bind)
    assert CallbacksTable(bind=bind, public_url="https://hooks.example/x/").public_url == "https://hooks.example/x"


@pytest.mark.parametrize("bind", ["", ":", ":8088", "127.0.0.1", "127.0.0.1:", "::1:8088", "a b:1", "x:65536", "x:-1"])
def test_what_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(ValidationError, match="give an address and a port"):
        CallbacksTable(bind=bind, public_url="https://hooks.example")


@pytest.mark.parametrize(
    "url", ["http://hooks.example", "hooks.example", "https://u:p@hooks.example", "https://hooks.example/?key=1"]
)
def test_a_public_url_is_https_without_secrets(url: str) -> None:
    with pytest.raises(ValidationError, match="public_url"):
        CallbacksTable(public_url=url)


def test_plain_http_to_this_machine_is_allowed() -> None:
    assert CallbacksTable(bind="0.0.0.0:8088", public_url="http://localhost:8088").public_url == "http://localhost:8088"


def test_host_and_port_are_taken_apart() -> None:
    tables = [CallbacksTable(bind=bind) for bind in ("127.0.0.1:80", "[::1]:0")]
    assert [(table.host, table.port) for table in tables] == [("127.0.0.1", 80), ("::1", 0)]
