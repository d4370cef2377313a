from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from batch_scan.store_azure import container_request

_ENDPOINT = "https://archive.blob.core.windows.net"


@pytest.fixture(autouse=True)
def nothing_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "ACCOUNT_KEY", "ACCESS_KEY", "MASTER_KEY", "SAS_TOKEN", "SAS_KEY"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)


def _asked(*, anonymous: bool = False) -> tuple[dict[str, str], str]:
    """Return the parameters of a request, and who it says that asks."""
    request = container_request(_ENDPOINT, "archive", "media", {"comp": "list", "prefix": "a b/"}, anonymous=anonymous)
    parts = urlsplit(request.url)
    assert (parts.netloc, parts.path) == ("archive.blob.core.windows.net", "/media")
    return dict(parse_qsl(parts.query)), request.headers.get("Authorization", "")


def test_credentials_are_those_that_obstore_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no credentials"):
        _asked()
    assert _asked(anonymous=True) == ({"comp": "list", "prefix": "a b/"}, "")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=2023-11-03&sp=rl&sig=a%2Bb%2F%3D")
    assert _asked()[0]["sig"] == "a+b/="
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2023-11-03&sp=rl&sig=a+b/=")
    assert _asked()[0] == {"comp": "list", "prefix": "a b/", "sv": "2023-11-03", "sp": "rl", "sig": "a+b/="}
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMw==")
    assert _asked()[1].startswith("SharedKey archive:")
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "hunter2")
    assert _asked()[1] == "Bearer hunter2"


def test_a_key_that_is_none_is_a_bad_value_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "hunter2!")
    with pytest.raises(ValueError, match="base64") as caught:
        _asked()
    assert "hunter2" not in str(caught.value)
