"""The `[callbacks]` table. Imports nothing of the `callbacks` extra, so that any job file can be validated."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from batch_scan.endpoint.base_url import check_base_url, is_on_this_machine
from batch_scan.secret import SecretRef
from batch_scan.table import Table

_BIND = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65_535


def _check_bind(bind: str) -> str:
    found = _BIND.fullmatch(bind)
    if found is None or int(found["port"]) > _MAX_PORT:
        raise ValueError("give an address and a port, such as 127.0.0.1:8088, 0.0.0.0:8088 or [::1]:8088")
    return bind


def _check_public_url(url: str) -> str:
    return check_base_url(url) if url else url


class CallbacksTable(Table):
    """Where vendors reach this run, for endpoints that call back."""

    bind: Annotated[
        str,
        AfterValidator(_check_bind),
        Field(description="address and port to listen on; port 0 = any that is free, for trials on one machine"),
    ] = "127.0.0.1:8088"
    public_url: Annotated[
        str,
        AfterValidator(_check_public_url),
        Field(
            description="URL under which vendors reach `bind`, https but on this machine; empty = http://BIND, "
            "where that is this machine"
        ),
    ] = ""
    path: SecretRef | None = Field(
        default=None,
        description="unguessable part of the URL, for a vendor whose console wants it beforehand: 32 to 128 letters, "
        "digits, - and _; unset = a new one per run",
    )
    max_body_bytes: int = Field(
        default=1_000_000, ge=1_000, le=64_000_000, description="largest callback taken, in bytes"
    )
    max_per_subject: int = Field(
        default=20_000,
        ge=1,
        description="callbacks kept about one thing, such as a stream; its answer is incomplete then",
    )
    max_kept_bytes: int = Field(
        default=1 << 30,
        ge=1_000_000,
        description="bytes kept per service until they are done with; each callback counts 1,024 more than its size",
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.public_url and not is_on_this_machine(f"http://{self.bind}"):
            raise ValueError(
                f"bind = {self.bind!r} is not this machine alone: set public_url to the https:// URL under which "
                "vendors reach it"
            )
        return self

    @property
    def host(self) -> str:
        """The address to listen on, without brackets."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on; 0 for any that is free."""
        return int(self.bind.rpartition(":")[2])
