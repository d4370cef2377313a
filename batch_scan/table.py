"""The building blocks of the job file's tables: strict, frozen, paths relative to the job file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo


class Table(BaseModel):
    """A table of the job file: frozen, unknown keys refused, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _from_job_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path.expanduser()


JobPath = Annotated[Path, AfterValidator(_from_job_file)]
"""A path that, where it is relative, starts at the job file (validation context ``{"base": directory}``)."""


def _uri_from_job_file(uri: str, info: ValidationInfo) -> str:
    return uri if "://" in uri else str(_from_job_file(Path(uri), info))


JobUri = Annotated[str, AfterValidator(_uri_from_job_file)]
"""A URL, or a path as `JobPath`."""
