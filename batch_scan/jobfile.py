"""Builds the `Job` from flags, environment, job file and defaults, in this order of precedence.

Every message names the place (file, table, key) and the mend; nothing is started before the whole job is valid.
"""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from batch_scan.endpoint.registry import ENDPOINTS
from batch_scan.errors import UsageError
from batch_scan.job import Job
from batch_scan.lock import ALLOW_NETWORK_VARIABLE
from batch_scan.media.program import FFMPEG_VARIABLE
from batch_scan.secret import SecretRef
from batch_scan.transcribe.registry import TRANSCRIBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batch_scan.endpoint.registry import ServiceType

_log = logging.getLogger(__name__)

ENVIRONMENT = {
    "BATCH_SCAN_ENDPOINT": ("endpoints",),
    "BATCH_SCAN_INTERVAL": ("extract", "frame_interval"),
    "BATCH_SCAN_REPORT": ("report", "uri"),
    "BATCH_SCAN_MAX_TOKENS": ("budget", "tokens"),
    "BATCH_SCAN_MAX_TIME": ("run", "max_time"),
    "BATCH_SCAN_WORKERS": ("run", "workers"),
    "BATCH_SCAN_LIMIT": ("run", "limit"),
    "BATCH_SCAN_LOG_FORMAT": ("run", "log_format"),
    "BATCH_SCAN_FAIL_ON": ("run", "fail_on"),
    "BATCH_SCAN_STATE": ("state", "dir"),
}
"""Environment variable to place in the job; the flags set the same places."""

_PREFIX = "BATCH_SCAN_"
_READ = (*ENVIRONMENT, FFMPEG_VARIABLE, ALLOW_NETWORK_VARIABLE)
_NEAR = 0.7
"""How like a name that is read another one has to be to be taken for a slip, behind the prefix; between 0 and 1."""
_COMMAND_LINE = "the command line"

_SHOWN: dict[tuple[str, ...], str] = {
    ("source", "uri"): "SOURCE",
    ("report", "uri"): "the report",
    ("state", "dir"): "the state directory",
}
_NEVER_SHOWN = ("url", "uri", "key", "secret", "token")
"""Ends of keys whose values may hold a password or be one."""
_PATH_PLACES = {("report", "uri"), ("source", "uri"), ("state", "dir")}
_SECRET_MEND = 'a secret stands by reference: { env = "NAME" }, { file = "path" } or { command = "…" }'  # noqa: S105 - words
_TABLE_MEND = "this is a table: { key = value }"
_DEFAULT_KEY = "SAFECOMMS_API_KEY"


@dataclass(frozen=True, slots=True)
class _Origins:
    """Where the keys of a job come from, for messages."""

    job: str
    """The job file, or the command line where there is none."""
    given: Mapping[tuple[str, ...], str]
    """What set a place over it: an environment variable, or the command line."""

    def of(self, place: tuple[str, ...]) -> str:
        """Return what is to be mended where the value at a place, or a part of it, is wrong."""
        return self.given.get(place) or self.given.get(place[:2], self.job)


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job, and one line that says which endpoints it asks and why."""

    job: Job
    endpoints_because: str


def load_job(
    source: str | None,
    job_file: Path | None = None,
    flags: Mapping[tuple[str, ...], Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> LoadedJob:
    """Build the job.

    Args:
        source: what the command line names: a manifest, a directory, a URL or a job file (``.toml``); None = the
        job's own.
        job_file: the job file of ``--job``.
        flags: place in the job -> value, of the flags that were given.
        environ: the environment.

    Raises:
        UsageError: naming file, table, key and mend.
    """
    if source is not None and source.endswith(".toml") and job_file is None:
        job_file, source = Path(source), None
    data = _read_toml(job_file) if job_file is not None else {}
    where = str(job_file) if job_file is not None else _COMMAND_LINE
    base = job_file.parent.resolve() if job_file is not None else Path.cwd()
    for slip in _slips(environ, data):
        _log.warning("%s", slip)
    typed = ({("source", "uri"): source} if source is not None else {}) | dict(flags or {})
    given = {place: (name, environ[name]) for name, place in ENVIRONMENT.items() if environ.get(name)}
    given |= {place: (_COMMAND_LINE, value) for place, value in typed.items()}
    for place, (origin, value) in given.items():
        _overlay(data, place, value, origin)
    because = _choose_endpoints(data, environ)
    job = _validate(data, _Origins(where, {place: origin for place, (origin, _) in given.items()}), base)
    if not job.source.uri:
        raise UsageError(
            f'{where}: nothing to scan; name a manifest, a directory or a job file, or set [source] uri = "…"'
        )
    if not job.extract.audio and not job.extract.video:
        raise UsageError(f"{where}: [extract] audio and video are both false, so nothing would be examined")
    return LoadedJob(job, because)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such job file") from None
    except OSError as error:
        raise UsageError(f"{path}: the job file cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None


def _slips(environ: Mapping[str, str], data: dict[str, Any]) -> Iterator[str]:
    """Yield what to say of variables that nothing reads, and whose names are nearly those of others that are read."""
    nearly = {name.removeprefix(_PREFIX): name for name in _READ}
    known = {*_READ, *_variables_in(data)}
    for name in sorted(environ):
        if name not in known and name.upper().startswith(_PREFIX):
            close = difflib.get_close_matches(name[len(_PREFIX) :].upper(), nearly, n=1, cutoff=_NEAR)
            if close:
                yield f"{name} in the environment is not read; did you mean {nearly[close[0]]}?"


def _variables_in(value: Any) -> Iterator[str]:
    """Yield the variables that a job refers to as ``{ env = "NAME" }``."""
    if isinstance(value, dict):
        if isinstance(value.get("env"), str):
            yield value["env"]
        for inner in value.values():
            yield from _variables_in(inner)


def _overlay(data: dict[str, Any], place: tuple[str, ...], value: Any, origin: str) -> None:
    if isinstance(value, str) and not value.strip():
        raise UsageError(f"{origin} gives nothing for {_SHOWN.get(place, place[-1])}: name it, or leave it out")
    if place == ("endpoints",):
        _keep_endpoints(data, value.split(",") if isinstance(value, str) else value, origin)
        return
    if place in _PATH_PLACES and "://" not in str(value):
        value = str(Path(value).expanduser().absolute())
    table = data
    for name in place[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"[{name}] is not a table, so {origin} cannot set {place[-1]} in it")
    table[place[-1]] = value


def _keep_endpoints(data: dict[str, Any], names: Sequence[str], origin: str) -> None:
    if not all(name.strip() for name in names):
        raise UsageError(f"{origin} names an endpoint that has no name; there are: {', '.join(ENDPOINTS)}")
    tables = data.get("endpoints")
    tables = tables if isinstance(tables, dict) else {}
    data["endpoints"] = {name.strip(): tables.get(name.strip(), {}) for name in names}


def _choose_endpoints(data: dict[str, Any], environ: Mapping[str, str]) -> str:
    if data.get("endpoints"):
        return "as named"
    if environ.get(_DEFAULT_KEY):
        data["endpoints"] = {"safecomms": {}}
        return f"none was named and {_DEFAULT_KEY} is set"
    data["endpoints"] = {"local": {}}
    return f"none was named and {_DEFAULT_KEY} is not set"


def _validate(data: dict[str, Any], origins: _Origins, base: Path) -> Job:
    context = {"base": base}
    data.setdefault("report", {})  # its default is a path too, and starts where every other one does
    tables = data.get("endpoints")
    if isinstance(tables, dict):
        data["endpoints"] = _service_tables(tables, ENDPOINTS, "endpoints", origins, context)
    tables = data.get("transcribe")
    if isinstance(tables, dict):
        engine = {"engine": tables["engine"]} if "engine" in tables else {}
        own = {name: table for name, table in tables.items() if name != "engine"}
        data["transcribe"] = engine | _service_tables(own, TRANSCRIBERS, "transcribe", origins, context)
    job: Job = _validated(Job, data, origins, (), context)
    return job


def _service_tables(
    tables: dict[str, Any],
    known: Mapping[str, ServiceType[Any]],
    parent: str,
    origins: _Origins,
    context: dict[str, Any],
) -> dict[str, Any]:
    done = {}
    for name, table in tables.items():
        if name not in known:
            hint = f"{_nearest(name, known)}; there are: {', '.join(known)}"
            raise UsageError(f"{origins.of((parent,))}: [{parent}.{name}] is not known{hint}")
        done[name] = _validated(known[name].config_model, table, origins, (parent, name), context)
    return done


def _validated(
    model: type[Any], data: Any, origins: _Origins, parents: tuple[str, ...], context: dict[str, Any]
) -> Any:
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [f"{origins.of(_place(parents, one))}: {_message(model, parents, one)}" for one in problems]
        raise UsageError("\n".join(lines)) from None


def _place(parents: tuple[str, ...], problem: Any) -> tuple[str, ...]:
    return (*parents, *map(str, problem["loc"]))


def _message(model: type[BaseModel], parents: tuple[str, ...], problem: Any) -> str:
    loc = [str(part) for part in problem["loc"]]
    table = ".".join((*parents, *loc[:-1]))
    key = loc[-1] if loc else ""
    place = (f"[{table}] " if table else "") + key
    if problem["type"] == "extra_forbidden":
        return f"{place} is not a known key{_nearest(key, _keys_at(model, loc[:-1]))}"
    if problem["type"] == "model_type":  # not repeated: it may be a key that somebody wrote into the file
        return f"{place}: {_SECRET_MEND if problem['ctx']['class_name'] == SecretRef.__name__ else _TABLE_MEND}"
    text = problem["msg"].removeprefix("Value error, ")
    tell = isinstance(problem["input"], str | int | float) and not key.endswith(_NEVER_SHOWN)
    shown = f" (it is {problem['input']!r})" if tell else ""
    return f"{place}: {text}{shown}" if place else text


def _nearest(key: str, known: Any) -> str:
    close = difflib.get_close_matches(key, [str(name) for name in known], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _keys_at(model: type[BaseModel], loc: list[str]) -> list[str]:
    """Return the keys of the table at `loc`, for the nearest-name hint; empty where it cannot be told."""
    at: Any = model
    for name in loc:
        field = getattr(at, "model_fields", {}).get(name)
        at = field.annotation if field is not None else None
    return list(getattr(at, "model_fields", {}))
