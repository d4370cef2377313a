from __future__ import annotations

import pytest

from batch_scan.endpoint.base_url import check_base_url, is_on_this_machine
from batch_scan.loopback import is_loopback
from batch_scan.store import StoreOptions, open_store

HERE = ["127.0.0.1", "127.8.9.10", "::1", "localhost", "minio.localhost", "a.b.localhost"]
ELSEWHERE = ["example.com", "localhost.example.com", "notlocalhost", ".localhost.", "10.0.0.1", "::2", ""]


@pytest.mark.parametrize("host", HERE)
def test_names_and_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_names_and_addresses_of_other_machines(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "LocalHost", "minio.localhost"])
def test_services_and_stores_may_be_asked_in_the_clear_on_the_same_hosts(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    url = f"http://{host}:9000"
    assert check_base_url(url) == url
    assert is_on_this_machine(url)
    open_store("s3://bucket/key", StoreOptions(endpoint=url))
