"""Who asks S3: profiles, SSO and assumed roles, which obstore does not read, by AWS's own library."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_scan.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3CredentialProvider

_LIFETIME = timedelta(minutes=10)
"""How long obstore keeps credentials before it asks for them again; botocore itself refreshes those that expire."""


@dataclass(frozen=True, slots=True)
class AwsIdentity:
    """What a profile gives."""

    credentials: S3CredentialProvider | None
    region: str


def aws_identity() -> AwsIdentity | None:
    """Return the identity of the profile that is in force; None where obstore finds credentials without one.

    A profile is in force as AWS's own tools have it: the environment's keys come first, then the one that AWS_PROFILE
    names, then the default one.

    Raises:
        UsageError: there is no such profile, or it cannot be read.
    """
    if os.environ.get("AWS_ACCESS_KEY_ID") or not _has_profiles():
        return None
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - a quarter of a second, for profiles alone
        from botocore.session import Session  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "profiles of AWS are read by botocore, which is not installed: pip install 'batch-scan[aws]', or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    try:
        session = Session()
        found = session.get_credentials()
        region = session.get_config_variable("region") or ""
    except BotoCoreError as error:
        name = os.environ.get("AWS_PROFILE", "default")
        raise UsageError(f"the profile {name!r} of AWS cannot be used ({type(error).__name__})") from None
    return AwsIdentity(_Provider(found) if found is not None else None, region)


def _has_profiles() -> bool:
    files = (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config"))
    named = (os.environ.get(variable) or default for variable, default in files)
    return bool(os.environ.get("AWS_PROFILE")) or any(Path(one).expanduser().is_file() for one in named)


class _Provider:
    """Gives obstore what botocore has, refreshed; called by obstore's threads."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def __call__(self) -> S3Credential:
        now = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now(UTC) + _LIFETIME,
        }
