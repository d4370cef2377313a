from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from batch_scan.endpoint import registry
from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.safecomms.endpoint import SafeComms, SafeCommsConfig
from batch_scan.errors import UsageError
from batch_scan.transcribe import registry as transcribers

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.endpoint.interface import Service
    from batch_scan.endpoint.registry import ServiceType

_KINDS: list[ServiceType[Any]] = [*registry.ENDPOINTS.values(), *transcribers.TRANSCRIBERS.values()]

PLUGIN = """
from batch_scan.endpoint.safecomms.endpoint import SafeComms, SafeCommsConfig as Config

class Acme(SafeComms):
    name = "acme"

def build(config):
    return Acme(config)
"""


def install_plugin(directory: Path, entry_points: str) -> None:
    (directory / "acme_endpoint.py").write_text(PLUGIN)
    metadata = directory / "acme_endpoint-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-endpoint\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)


def test_the_built_in_names_are_those_of_the_job_file() -> None:
    assert {"safecomms", "local"} <= set(registry.ENDPOINTS)
    assert "local" in transcribers.TRANSCRIBERS


def test_a_name_gives_its_table_and_its_endpoint() -> None:
    assert registry.ENDPOINTS["safecomms"].config_model is SafeCommsConfig
    assert isinstance(registry.build("safecomms", SafeCommsConfig()), SafeComms)


def test_every_built_in_table_can_be_read_without_the_extra() -> None:
    models = [kind.config_model for kind in registry.ENDPOINTS.values()]
    models += [kind.config_model for kind in transcribers.TRANSCRIBERS.values()]
    assert all(isinstance(model(), ServiceConfig) for model in models)


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.config_at)
def test_one_key_of_a_limit_leaves_the_others_as_they_are(kind: ServiceType[Any]) -> None:
    asked = kind.config_model.model_validate({"limit": {"max_attempts": 2}}).limit
    assert asked == kind.config_model().limit.model_copy(update={"max_attempts": 2})


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.config_at)
def test_a_longest_wait_can_be_set_where_it_is_kept_to_and_nowhere_else(kind: ServiceType[Any]) -> None:
    table = {"limit": {"timeout_s": 1.0}}
    if kind.extra == "local":  # a model that runs in a thread cannot be interrupted
        with pytest.raises(ValidationError, match="timeout_s"):
            kind.config_model.model_validate(table)
    else:
        limit = kind.config_model.model_validate(table).limit
        assert isinstance(limit, LimitTable)
        assert limit.timeout_s == 1.0


def test_an_unknown_name_is_a_usage_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no endpoint 'safecoms'; there are: deepcleer, local, safecomms, stream, "):
        registry.build("safecoms", SafeCommsConfig())
    with pytest.raises(UsageError, match="no transcriber 'deepgrum'"):
        transcribers.build("deepgrum", ServiceConfig())


def test_a_table_of_another_endpoint_is_refused() -> None:
    with pytest.raises(TypeError, match="SafeCommsConfig"):
        registry.build("safecomms", ServiceConfig())


def test_a_missing_extra_is_a_usage_error_that_names_it() -> None:
    kind: registry.ServiceType[Service] = registry.ServiceType(
        "a:Config", "no_such_library.endpoint:build", extra="local"
    )
    with pytest.raises(UsageError, match=r"no_such_library is not installed.*batch-scan\[local\]"):
        kind.build(ServiceConfig())


def test_a_missing_module_of_our_own_is_not_taken_for_a_missing_extra() -> None:
    kind: registry.ServiceType[Service] = registry.ServiceType("a:Config", "batch_scan.no_such:build", extra="local")
    with pytest.raises(ModuleNotFoundError):
        kind.build(ServiceConfig())


def test_naming_endpoints_imports_no_model_library() -> None:
    code = (
        "import sys, batch_scan.endpoint.registry as r, batch_scan.transcribe.registry as t;"
        "[k.config_model for k in (*r.ENDPOINTS.values(), *t.TRANSCRIBERS.values())];"
        "sys.exit(str({'onnxruntime', 'faster_whisper', 'torch', 'sklearn'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_an_installed_package_adds_an_endpoint_and_cannot_replace_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(tmp_path, "[batch_scan.endpoints]\nacme = acme_endpoint\nsafecomms = acme_endpoint\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = registry.with_installed("batch_scan.endpoints", {"safecomms": registry.ENDPOINTS["safecomms"]})
    assert found["safecomms"] is registry.ENDPOINTS["safecomms"]
    config = found["acme"].config_model()
    assert found["acme"].build(config).name == "acme"
