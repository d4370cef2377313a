"""Buckets of S3, Google Cloud Storage and Azure, and what speaks their contracts, opened through obstore.

Credentials come from each cloud's own chain and stay there: nothing here writes, shows or keeps one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias, assert_never
from urllib.parse import quote, urlencode, urlsplit

import obstore
from obstore.store import AzureStore, GCSStore, S3Store

from batch_scan.errors import UsageError
from batch_scan.loopback import is_loopback
from batch_scan.store_aws import aws_identity
from batch_scan.store_azure import container_request
from batch_scan.store_errors import CREDENTIALS, STORE_ERRORS, explain, is_bad_key, is_transient, usage_error
from batch_scan.store_url import BucketUrl, Cloud, is_bucket_url, parse_bucket_url
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config

    from batch_scan.store_azure import AzureRequest

__all__ = [
    "STORE_ERRORS",
    "BucketStore",
    "BucketUrl",
    "StoreOptions",
    "azure_listing",
    "check_readable",
    "explain",
    "is_bucket_url",
    "is_same_bucket",
    "is_transient",
    "listing_url",
    "open_bucket",
    "open_store",
    "parse_bucket_url",
    "usage_error",
]

BucketStore: TypeAlias = S3Store | GCSStore | AzureStore

_RETRY: RetryConfig = {
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=200),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
_CLIENT: ClientConfig = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(minutes=10),
    "user_agent": "batch-scan",
}


_ENDPOINTS = {
    Cloud.S3: ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    Cloud.GCS: ("GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"),
    Cloud.AZURE: ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_GOOGLE = "https://storage.googleapis.com"
_LISTING_LIFETIME = timedelta(minutes=5)
_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a bucket is reached, where the cloud's own environment variables do not say it."""

    endpoint: str = ""
    """URL of a store of one's own (MinIO, Ceph, an emulator); empty: what the environment names, else the cloud."""
    region: str = ""
    """S3: region of the bucket; empty: what the environment or the profile names, else us-east-1."""
    account: str = ""
    """Azure: name of the storage account; empty: what the URL or the environment names."""
    anonymous: bool = False
    """Ask without credentials, for public buckets."""
    allow_http: bool = False
    """Ask without encryption; an endpoint on this very machine may always be."""
    virtual_host: bool = False
    """S3: name the bucket in the host instead of in the path."""
    request_payer: bool = False
    """S3: pay for requests to a bucket whose owner does not."""


def open_store(url: str, options: StoreOptions) -> tuple[BucketStore, str]:
    """Return the bucket of a URL, and the prefix in it that the URL names, without slashes at its ends.

    Nothing is asked yet; `check_readable` asks.

    Raises:
        UsageError: the URL or an option cannot be followed, or no credentials are to be found where that takes no
            request.
    """
    try:
        place = parse_bucket_url(url)
    except ValueError as error:
        raise UsageError(f"{clean_text(_without_user(url))}: {error}") from None
    return open_bucket(place, options), place.key.strip("/")


def open_bucket(place: BucketUrl, options: StoreOptions, *, retries: int = 4) -> BucketStore:
    """Return the bucket of a URL, which asks again so often by itself. Raises UsageError as `open_store` does."""
    return _open(place, options, _endpoint(place, options), retries)


def listing_url(place: BucketUrl, options: StoreOptions, query: Mapping[str, str]) -> str:
    """Return a URL that answers a request for a listing (ListObjectsV2) with these parameters; signed, so never shown.

    obstore signs URLs of objects alone. What stands behind a `#` is no part of a URL that is signed or asked for, so
    here the object's path goes there, and the listing's own URL is the endpoint.

    Raises:
        UsageError: the store cannot be set up.
        ValueError: the cloud lists in another way, or these credentials cannot sign.
    """
    if place.cloud is Cloud.AZURE:
        raise ValueError("Azure lists in another way")
    endpoint = _endpoint(place, options)
    store = _open(place, options, endpoint, 0)
    if not endpoint:
        region = store.config.get("region") or "us-east-1"
        endpoint = f"https://s3.{region}.amazonaws.com" if place.cloud is Cloud.S3 else _GOOGLE
    bucket = endpoint if options.virtual_host and options.endpoint else f"{endpoint}/{place.bucket}"
    payer = {"x-amz-request-payer": "requester"} if options.request_payer else {}
    url = f"{bucket}?{urlencode({**query, **payer}, quote_via=quote)}"
    if str(store.config.get("skip_signature")).lower() == "true":
        return url
    signing = _open(place, replace(options, virtual_host=False, request_payer=False), f"{url}#", 0)
    try:
        return obstore.sign(signing, "GET", "", _LISTING_LIFETIME).partition("#")[0]
    except STORE_ERRORS as error:
        raise ValueError(explain(error)) from None


def azure_listing(place: BucketUrl, options: StoreOptions, query: Mapping[str, str]) -> AzureRequest:
    """Return a request for a page of a container's listing (List Blobs).

    Raises:
        UsageError: the endpoint cannot be followed.
        ValueError: there are no credentials for it.
    """
    account = _account(place, options)
    endpoint = _endpoint(place, options) or f"https://{account}.blob.core.windows.net"
    asked = {"restype": "container", "comp": "list", **query}
    return container_request(endpoint, account, place.bucket, asked, anonymous=options.anonymous)


def is_same_bucket(one: tuple[BucketUrl, StoreOptions], other: tuple[BucketUrl, StoreOptions]) -> bool:
    """Whether two URLs, with how they are reached, name the same bucket. Raises UsageError as `open_store` does."""
    return _identity(*one) == _identity(*other)


def _identity(place: BucketUrl, options: StoreOptions) -> tuple[str, ...]:
    account = _account(place, options) if place.cloud is Cloud.AZURE else ""
    return (place.cloud, place.bucket, account, _endpoint(place, options))


def _open(place: BucketUrl, options: StoreOptions, endpoint: str, retries: int) -> BucketStore:
    client: ClientConfig = {**_CLIENT, "allow_http": endpoint.startswith("http://")}
    setup = _Setup(options, endpoint, client, {**_RETRY, "max_retries": retries})
    try:
        match place.cloud:
            case Cloud.S3:
                return _s3(place, setup)
            case Cloud.GCS:
                return _gcs(place, setup)
            case Cloud.AZURE:
                return _azure(place, setup)
    except STORE_ERRORS:
        # The text may repeat a key that was given in a wrong form.
        raise UsageError(
            f"{place.root}: the store cannot be set up; check the {place.cloud.name} variables of the environment, "
            f"or {CREDENTIALS[place.cloud]}"
        ) from None
    assert_never(place.cloud)


@dataclass(frozen=True, slots=True)
class _Setup:
    options: StoreOptions
    endpoint: str
    client: ClientConfig
    retry: RetryConfig


def _s3(place: BucketUrl, setup: _Setup) -> S3Store:
    options, endpoint = setup.options, setup.endpoint
    config: S3Config = {
        "virtual_hosted_style_request": options.virtual_host,
        "skip_signature": options.anonymous,
        "request_payer": options.request_payer,
    }
    if endpoint:
        config["endpoint"] = endpoint
    identity = None if options.anonymous else aws_identity()
    region = options.region or (identity.region if identity is not None else "")
    if region:
        config["region"] = region
    credentials = identity.credentials if identity is not None else None
    return S3Store(
        place.bucket,
        config=config,
        client_options=setup.client,
        retry_config=setup.retry,
        credential_provider=credentials,
    )


def _gcs(place: BucketUrl, setup: _Setup) -> GCSStore:
    options, endpoint = setup.options, setup.endpoint
    # An emulator that is named by the variable of Google's own clients knows no credentials.
    emulator = not options.endpoint and endpoint and endpoint == _with_scheme(os.environ.get(_ENDPOINTS[Cloud.GCS][1]))
    config: GCSConfig = {"skip_signature": options.anonymous or bool(emulator)}
    if endpoint:
        config["base_url"] = endpoint
    return GCSStore(place.bucket, config=config, client_options=setup.client, retry_config=setup.retry)


def _azure(place: BucketUrl, setup: _Setup) -> AzureStore:
    options, endpoint = setup.options, setup.endpoint
    account = _account(place, options)
    if not account:
        raise UsageError(
            f"{place.root}: the storage account is not known; set AZURE_STORAGE_ACCOUNT_NAME, or write the URL as "
            "abfss://container@account.dfs.core.windows.net/prefix"
        )
    config: AzureConfig = {"account_name": account, "skip_signature": options.anonymous}
    if endpoint:
        config["endpoint"] = endpoint
    return AzureStore(place.bucket, config=config, client_options=setup.client, retry_config=setup.retry)


def _account(place: BucketUrl, options: StoreOptions) -> str:
    return place.account or options.account or next(filter(None, map(os.environ.get, _ACCOUNTS)), "")


def _endpoint(place: BucketUrl, options: StoreOptions) -> str:
    """Return where the store is asked; empty for the cloud itself."""
    named = options.endpoint or next(filter(None, map(os.environ.get, _ENDPOINTS[place.cloud])), "")
    endpoint = _with_scheme(named)
    if not endpoint:
        return ""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise UsageError(
            f"{place.root}: the endpoint is not a URL of a store; write it as https://minio.example.org:9000"
        )
    if parts.scheme == "http" and not (options.allow_http or is_loopback(parts.hostname)):
        raise UsageError(
            f"{place.root}: the endpoint {clean_text(parts.hostname)} would be asked without encryption; write it with "
            "https://, or say allow_http = true"
        )
    return endpoint


def _with_scheme(endpoint: str | None) -> str:
    if not endpoint:
        return ""
    return (endpoint if "://" in endpoint else f"http://{endpoint}").rstrip("/")


def _without_user(url: str) -> str:
    scheme, _, rest = url.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def check_readable(store: BucketStore, place: BucketUrl) -> bool:
    """Ask for the first object of a prefix, and return whether there is one.

    Raises UsageError where the store does not list it, with what to do.
    """
    try:
        return bool(next(iter(store.list(place.key.strip("/") or None, chunk_size=1)), None))
    except STORE_ERRORS as error:
        if is_bad_key(error):
            return True  # a walk says which one, and goes around it
        raise usage_error(error, place, "listed") from None
