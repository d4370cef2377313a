"""Secrets by reference: read from the environment, a file or a command, and never shown."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from batch_scan.errors import SecretError
from batch_scan.table import JobPath, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMAND_TIMEOUT_S = 30.0


class Secret:
    """A value that prints as stars. `reveal()` is the one way to its content."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself, for a request's header or body and nothing else."""
        return self._value

    def redact(self, text: str) -> str:
        """Return `text` with every occurrence of the secret replaced."""
        return text.replace(self._value, "[redacted]") if self._value else text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__


def secrets_of(config: Table) -> Iterator[tuple[str, SecretRef]]:
    """Yield the references that a table holds, with their keys."""
    for key in type(config).model_fields:
        value = getattr(config, key)
        if isinstance(value, SecretRef):
            yield key, value


class SecretRef(Table):
    """Where a secret is kept: exactly one of `env`, `file`, `command`."""

    env: str | None = Field(default=None, description="name of an environment variable")
    file: JobPath | None = Field(default=None, description="path of a file that holds the secret alone")
    command: str | None = Field(default=None, description="command whose standard output is the secret")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1:
            raise ValueError(
                'a secret is given as exactly one of { env = "NAME" }, { file = "path" }, { command = "…" }'
            )
        return self

    @property
    def place(self) -> str:
        """Where the secret is looked for, for messages."""
        if self.env is not None:
            return f"environment variable {self.env}"
        return f"file {self.file}" if self.file is not None else "the output of the configured command"

    def resolve(self) -> Secret:
        """Read the secret. Raises SecretError, which names the place and never the content."""
        value = self._read().strip()
        if not value:
            raise SecretError(f"the secret in {self.place} is empty or not set")
        if not value.isprintable():
            raise SecretError(f"the secret in {self.place} has more than one line or holds control characters")
        return Secret(value)

    def _read(self) -> str:
        if self.env is not None:
            return os.environ.get(self.env, "")
        try:
            if self.file is not None:
                return self.file.read_text(encoding="utf-8")
            done = subprocess.run(
                shlex.split(self.command or ""),
                capture_output=True,
                text=True,
                timeout=_COMMAND_TIMEOUT_S,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise SecretError(f"the secret in {self.place} cannot be read ({type(error).__name__})") from None
        return done.stdout
