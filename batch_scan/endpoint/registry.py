"""Endpoints by name: which table of the job file they take, and how they are made.

Nothing is imported before it is asked for, so that a job that names `safecomms` alone loads no model library. An
installed package adds an endpoint by an entry point in the group ``batch_scan.endpoints`` that names a module with
`Config`, a `ServiceConfig`, and ``build(config)``. Built-in names cannot be taken over.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from batch_scan.endpoint.interface import Endpoint, Service
from batch_scan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch_scan.endpoint.config import ServiceConfig

ServiceT = TypeVar("ServiceT", bound=Service)


@dataclass(frozen=True, slots=True)
class ServiceType(Generic[ServiceT]):
    """A kind of endpoint or transcriber, by where its parts are found (``module:name``)."""

    config_at: str
    build_at: str
    extra: str = ""
    """The extra of this package that it needs, for the message where it is not installed."""

    @property
    def config_model(self) -> type[ServiceConfig]:
        """The model of its table in the job file. Imports its module."""
        return cast("type[ServiceConfig]", resolve_name(self.config_at))

    def build(self, config: ServiceConfig) -> ServiceT:
        """Make one, not yet opened. Raises UsageError where what it needs is not installed."""
        try:
            make = cast("Callable[[ServiceConfig], ServiceT]", resolve_name(self.build_at))
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").startswith("batch_scan"):
                raise
            raise UsageError(
                f"{error.name} is not installed; the embedded engine needs: pip install 'batch-scan[{self.extra}]'"
            ) from None
        return make(config)


EndpointType = ServiceType[Endpoint]


def with_installed(group: str, built_in: Mapping[str, ServiceType[ServiceT]]) -> dict[str, ServiceType[ServiceT]]:
    """Return the built-in types and those that installed packages add under an entry-point group."""
    added: dict[str, ServiceType[ServiceT]] = {
        point.name: ServiceType(f"{point.value}:Config", f"{point.value}:build") for point in entry_points(group=group)
    }
    return {**added, **built_in}


def build_service(types: Mapping[str, ServiceType[ServiceT]], what: str, name: str, config: ServiceConfig) -> ServiceT:
    """Make the named service. Raises UsageError where there is none of that name, or what it needs is not installed."""
    if name not in types:
        raise UsageError(f"there is no {what} {name!r}; there are: {', '.join(sorted(types))}")
    return types[name].build(config)


ENDPOINTS: Mapping[str, EndpointType] = with_installed(
    "batch_scan.endpoints",
    {
        "deepcleer": ServiceType(
            "batch_scan.endpoint.deepcleer.config:DeepCleerConfig", "batch_scan.endpoint.deepcleer.endpoint:build"
        ),
        "stream": ServiceType(
            "batch_scan.endpoint.stream.config:StreamConfig", "batch_scan.endpoint.stream.endpoint:build"
        ),
        "visionular": ServiceType(
            "batch_scan.endpoint.visionular.config:VisionularConfig", "batch_scan.endpoint.visionular.endpoint:build"
        ),
        "safecomms": ServiceType(
            "batch_scan.endpoint.safecomms.config:SafeCommsConfig", "batch_scan.endpoint.safecomms.endpoint:build"
        ),
        "local": ServiceType(
            "batch_scan.endpoint.local.config:LocalConfig", "batch_scan.endpoint.local.endpoint:build", extra="local"
        ),
    },
)
"""Every endpoint there is, by the word under ``[endpoints.NAME]``."""


def build(name: str, config: ServiceConfig) -> Endpoint:
    """Make the named endpoint, not yet opened. Raises UsageError."""
    return build_service(ENDPOINTS, "endpoint", name, config)
