from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.store import StoreOptions, open_store
from batch_scan.store_errors import explain, is_transient
from batch_scan.store_url import BucketUrl, Cloud, is_bucket_url, parse_bucket_url, split_bucket_url


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter3")


@pytest.mark.parametrize(
    ("text", "place", "shown"),
    [
        ("s3://archive/2026/", BucketUrl(Cloud.S3, "archive", "2026/"), "s3://archive/2026/"),
        ("s3://archive", BucketUrl(Cloud.S3, "archive", ""), "s3://archive/"),
        ("S3A://archive/a?b#c%20", BucketUrl(Cloud.S3, "archive", "a?b#c%20"), "s3://archive/a?b#c%20"),
        ("gcs://archive/a@b:c", BucketUrl(Cloud.GCS, "archive", "a@b:c"), "gs://archive/a@b:c"),
        ("az://media/a", BucketUrl(Cloud.AZURE, "media", "a"), "az://media/a"),
        (
            "abfs://media@acc.dfs.core.windows.net/a",
            BucketUrl(Cloud.AZURE, "media", "a", "acc"),
            "abfss://media@acc.dfs.core.windows.net/a",
        ),
    ],
)
def test_a_bucket_s_url_is_taken_apart(text: str, place: BucketUrl, shown: str) -> None:
    assert is_bucket_url(text)
    assert parse_bucket_url(text) == place
    assert str(place) == shown
    assert parse_bucket_url(shown) == place


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///key",
        "s3://a/key",
        "s3://key:hunter2@bucket/x",
        "s3://bucket//key",
        "s3://..%2f/key",
        "az://media/a?sv=1&sig=hunter2",
        "s3://archive/a?X-Amz-Signature=hunter2",
        "abfss://media@acc.evil.example.org/a",
        "https://bucket/x",
        "",
    ],
)
def test_what_is_no_bucket_s_url_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"URL|key") as caught:
        parse_bucket_url(text)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UsageError) as usage:
        open_store(text, StoreOptions())
    assert "hunter2" not in str(usage.value)


@given(st.text(min_size=1).filter(lambda key: not key.startswith("/")))
def test_a_key_stands_in_a_url_as_it_is(key: str) -> None:
    place = BucketUrl(Cloud.S3, "archive", key)
    assert split_bucket_url(str(place)) == place


def test_the_prefix_has_no_slashes_at_its_ends() -> None:
    assert open_store("s3://archive/a/b/", StoreOptions())[1] == "a/b"
    assert open_store("s3://archive", StoreOptions())[1] == ""


@pytest.mark.parametrize("endpoint", ["http://minio.example.org:9000", "http://10.0.0.7"])
def test_nothing_is_asked_without_encryption_unless_the_job_says_so(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"without encryption; .*allow_http = true"):
        open_store("s3://archive", StoreOptions(endpoint=endpoint))
    assert open_store("s3://archive", StoreOptions(endpoint=endpoint, allow_http=True))
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UsageError, match="without encryption"):
        open_store("s3://archive", StoreOptions())
    assert open_store("s3://archive", StoreOptions(endpoint="http://127.0.0.1:9000"))


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://user:hunter2@host", "https://host/?a=hunter2", "https://"])
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="the endpoint is not a URL of a store") as caught:
        open_store("s3://archive", StoreOptions(endpoint=endpoint))
    assert "hunter2" not in str(caught.value)


def test_an_azure_container_needs_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="the storage account is not known; set AZURE_STORAGE_ACCOUNT_NAME"):
        open_store("az://media", StoreOptions())
    assert open_store("az://media", StoreOptions(account="acc", anonymous=True))
    assert open_store("abfss://media@acc.dfs.core.windows.net/x", StoreOptions(anonymous=True))


@pytest.mark.parametrize(
    ("text", "said", "again"),
    [
        (
            "status code: 503 Slow Down: <Error><Code>SlowDown</Code>hunter2",
            "busy or broken (HTTP 503, SlowDown)",
            True,
        ),
        ("status code: 403 Forbidden: hunter2", "refuses the credentials", False),
        ("status code: 404 Not Found: <Code>NoSuchBucket</Code>", "no such bucket or object", False),
        ("status code: 418 hunter2", "the store refused (HTTP 418)", False),
        ("Error performing GET http://169.254.169.254/latest: hunter2", "no credentials were found", False),
        ("Received redirect without LOCATION", "in another region", False),
        ("kind: Connect, dns error: hunter2", "cannot be looked up", True),
        ("kind: Connect, hunter2", "no connection to the store", True),
        ("source: TimedOut hunter2", "did not answer in time", True),
        ("hunter2", "broke off", True),
        ("Generating SAS keys with SAS tokens auth is not supported hunter2", "cannot sign", False),
    ],
)
def test_an_error_is_told_in_our_own_words(text: str, said: str, again: object) -> None:
    error = OSError(text)
    assert said in explain(error)
    assert "hunter2" not in explain(error)
    assert is_transient(error) is again
