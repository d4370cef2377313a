"""URLs of buckets as people write them: which cloud, which bucket, which key. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(?:/(.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}")
_ABFS_HOST = re.compile(r"([^@]+)@([a-z0-9]+)\.(?:dfs|blob)\.core\.windows\.net")
_SIGNATURE = re.compile(r"[?&](?:sig|x-(?:amz|goog)-(?:signature|credential|security-token)|signature)=", re.IGNORECASE)


class Cloud(StrEnum):
    """Whose contract a bucket speaks; the value is the scheme it is shown with."""

    S3 = "s3"
    GCS = "gs"
    AZURE = "az"


_CLOUDS = {
    "s3": Cloud.S3,
    "s3a": Cloud.S3,
    "gs": Cloud.GCS,
    "gcs": Cloud.GCS,
    "az": Cloud.AZURE,
    "abfs": Cloud.AZURE,
    "abfss": Cloud.AZURE,
}


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A URL of a bucket, taken apart."""

    cloud: Cloud
    bucket: str
    key: str
    """Without a slash at its start; as it stands, nothing in it is percent-encoded."""
    account: str = ""
    """Azure: the storage account, where the URL names it."""

    @property
    def root(self) -> str:
        """The bucket alone, without a slash at its end; what is shown of the place where a key lies."""
        if self.account:
            return f"abfss://{self.bucket}@{self.account}.dfs.core.windows.net"
        return f"{self.cloud}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.root}/{self.key}"


def is_bucket_url(text: str) -> bool:
    """Whether a URL has the scheme of a bucket."""
    return text.partition("://")[0].lower() in _CLOUDS and "://" in text


def parse_bucket_url(text: str) -> BucketUrl:
    """Take what a user wrote, such as ``s3://bucket/key``, ``gs://bucket/key`` or ``az://container/key``, apart.

    Raises ValueError, which does not repeat the URL, where the bucket cannot be one's name, or where the key holds a
    signature, which would be shown.
    """
    place = split_bucket_url(text)
    if place.key.startswith("/"):
        raise ValueError("its key begins with a slash, and cannot be asked for")
    check_unsigned(place.key)
    return place


def check_unsigned(key: str) -> None:
    """Raise ValueError for a key that somebody copied out of a signed URL, and which would be shown."""
    if _SIGNATURE.search(key):
        raise ValueError("its URL holds a signature, which would be shown; name the object alone")


def split_bucket_url(text: str) -> BucketUrl:
    """Take a URL of our own making apart. Raises ValueError, which does not repeat the URL."""
    found = _URL.fullmatch(text)
    cloud = _CLOUDS.get(found[1].lower()) if found else None
    if found is None or cloud is None:
        raise ValueError("its URL is not one of a bucket")
    place, key, account = found[2], found[3] or "", ""
    if cloud is Cloud.AZURE and (named := _ABFS_HOST.fullmatch(place)):
        place, account = named[1], named[2]
    if not _BUCKET.fullmatch(place):
        raise ValueError("its URL names no bucket, or one that cannot be; write it as s3://bucket/key")
    return BucketUrl(cloud, place, key, account)
