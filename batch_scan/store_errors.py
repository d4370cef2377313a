"""What obstore's errors mean: for a user, for a retry. Pure.

Their texts hold request URLs, which may be signed, and whatever a server chose to answer: nothing of them is shown but
a status and the store's own code word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from batch_scan.errors import UsageError
from batch_scan.store_url import Cloud

if TYPE_CHECKING:
    from batch_scan.store_url import BucketUrl

STORE_ERRORS = (BaseError, OSError, ValueError)
"""What obstore raises: its own tree, FileNotFoundError and, for keys it cannot ask for, ValueError."""

CREDENTIALS = {
    Cloud.S3: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run where an "
    "instance role is attached",
    Cloud.GCS: "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to a key file, run `gcloud auth "
    "application-default login`, or run where a service account is attached",
    Cloud.AZURE: "set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and "
    "AZURE_TENANT_ID, set AZURE_USE_AZURE_CLI=true after `az login`, or run where a managed identity is attached",
}
"""What to do where credentials are missing or wrong."""
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_CANNOT_SIGN = "Generating SAS keys"
_METADATA_SERVICES = ("169.254.169.254", "/latest/api/token", "/latest/meta-data", "token request", "metadata.google")
_FORBIDDEN = frozenset({"401", "403"})
_NOT_FOUND = "404"
_UNAVAILABLE = frozenset({"408", "429", "500", "502", "503", "504"})


def usage_error(error: BaseException, place: BucketUrl, done: str) -> UsageError:
    """Return what a user is told whose bucket cannot be used at all, `done` such as "listed" or "written"."""
    return UsageError(f"{place.root} cannot be {done}: {explain(error)}; {_mend(error, place)}")


def is_bad_key(error: BaseException) -> bool:
    """Whether obstore met a key that it cannot name, such as one with an empty part: ``a//b``."""
    return type(error).__name__ == "InvalidPathError"


def _is_unaskable(error: BaseException) -> bool:
    """Whether a key that was named is one that obstore cannot ask for, or a listing holds one."""
    return is_bad_key(error) or (isinstance(error, ValueError) and "parse path" in str(error)[:200])


def is_forbidden(error: BaseException) -> bool:
    """Whether a store refused over credentials or permissions, or credentials could not be had."""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return True
    return _status(error) in _FORBIDDEN or _lacks_credentials(error)


def cannot_sign(error: BaseException) -> bool:
    """Whether the credentials make no signed URL of any object: there are none, or not of a kind that signs."""
    return is_forbidden(error) or _CANNOT_SIGN in str(error)[:200]


def is_transient(error: BaseException) -> bool:
    """Whether asking again may help: no connection, one that broke off, a server that is busy or broken."""
    if isinstance(error, FileNotFoundError | ValueError) or cannot_sign(error) or _is_elsewhere(error):
        return False
    status = _status(error)
    return not status or status in _UNAVAILABLE


def explain(error: BaseException) -> str:
    """Return what went wrong in words of our own: no URL, no text of the server but its code word."""
    status, code = _status(error), _code(error)
    said = ", ".join(part for part in (f"HTTP {status}" if status else "", code) if part)
    behind = f" ({said})" if said else ""
    if _lacks_credentials(error):
        return f"no credentials were found{behind}"
    if is_forbidden(error):
        return f"the store refuses the credentials, or they do not permit it{behind}"
    if isinstance(error, FileNotFoundError) or status == _NOT_FOUND:
        return f"there is no such bucket or object{behind}"
    if _is_elsewhere(error):
        return "the bucket lies in another region"
    if status in _UNAVAILABLE:
        return f"the store is busy or broken{behind}"
    return f"the store refused{behind}" if status else _without_status(error)


def _mend(error: BaseException, place: BucketUrl) -> str:
    if _is_unaskable(error):
        return "such a key cannot be asked for: name another one, or rename the object"
    if is_forbidden(error):
        return f"{CREDENTIALS[place.cloud]}; for a public bucket say anonymous = true"
    if isinstance(error, FileNotFoundError) or _status(error) == _NOT_FOUND:
        return "check the name of the bucket, and the endpoint where it is not the cloud's own"
    if _is_elsewhere(error):
        return "name it in region or AWS_REGION"
    return "check the endpoint and the network, and run the same command again"


def _status(error: BaseException) -> str:
    found = _STATUS.search(str(error)[:4000])
    return found[1] if found else ""


def _code(error: BaseException) -> str:
    found = _CODE.search(str(error)[:4000])
    return found[1] if found else ""


def _lacks_credentials(error: BaseException) -> bool:
    """Whether the last link of a chain, the cloud's metadata service, was asked in vain."""
    text = str(error)[:2000]
    return any(word in text for word in _METADATA_SERVICES)


def _is_elsewhere(error: BaseException) -> bool:
    """Whether S3 named another region, which obstore does not follow."""
    return "redirect" in str(error)[:2000] or _code(error) in {"AuthorizationHeaderMalformed", "PermanentRedirect"}


def _without_status(error: BaseException) -> str:
    if _is_unaskable(error):
        return "a key with slashes and nothing between them, with `.` or `..` as a part, or with control characters"
    text = str(error)
    return "these credentials cannot sign" if _CANNOT_SIGN in text[:200] else _transport(text)


def _transport(text: str) -> str:
    if "dns error" in text:
        return "the host of the store cannot be looked up"
    if "kind: Connect" in text:
        return "no connection to the store"
    if "TimedOut" in text or "kind: Timeout" in text:
        return "the store did not answer in time"
    return "the connection to the store broke off"
