"""The building blocks of the job file's tables: strict, frozen, paths relative to the job file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator


class Table(BaseModel):
    """A table of the job file: frozen, unknown keys refused, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` where a number belongs: it would silently count as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false belong to switches; give a value here")
        return value


def _from_job_file(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path):
        raise ValueError("a path cannot hold a NUL character")
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path.expanduser()


JobPath = Annotated[Path, AfterValidator(_from_job_file)]
"""A path that, where it is relative, starts at the job file (validation context ``{"base": directory}``)."""


def _uri_from_job_file(uri: str, info: ValidationInfo) -> str:
    return uri if "://" in uri else str(_from_job_file(Path(uri), info))


JobUri = Annotated[str, AfterValidator(_uri_from_job_file)]
"""A URL, or a path as `JobPath`."""
