from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from batch_scan.digest import digest_file
from batch_scan.endpoint.local.config import ModelOverride
from batch_scan.endpoint.local.models import MODEL_FILES, Part, digest_of, locate
from batch_scan.errors import UsageError

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", MODEL_FILES)
def test_every_file_of_the_table_is_installed_with_the_content_it_is_known_by(name: str) -> None:
    path = locate(name)
    assert digest_file(path) == MODEL_FILES[name].sha256 == digest_of(name)


def test_the_extra_pins_the_releases_whose_content_is_known() -> None:
    extra = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["local"]
    wanted = {f"{file.distribution}=={file.version}" for file in MODEL_FILES.values()}
    assert not wanted - set(extra)


def test_no_weights_forbid_use_in_a_closed_service() -> None:
    assert not [file.name for file in MODEL_FILES.values() if re.search(r"GPL|-NC", file.licence)]


def test_another_content_is_refused_with_file_expected_and_found(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(UsageError) as caught:
        locate("sexual", ModelOverride(path=path, sha256="0" * 64))
    message = str(caught.value)
    assert all(part in message for part in (str(path), "0" * 64, digest_file(path), "[endpoints.local]"))


def test_a_file_of_ones_own_that_is_missing_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.onnx cannot be read"):
        locate("sexual", ModelOverride(path=tmp_path / "gone.onnx", sha256="0" * 64))


def test_a_file_that_changed_since_it_was_verified_is_verified_again(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"first")
    override = ModelOverride(path=path, sha256=digest_file(path))
    assert locate("sexual", override) == path
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    with pytest.raises(UsageError, match="expected SHA-256"):
        locate("sexual", override)


def test_the_document_names_every_picture_model_with_its_package_and_licence() -> None:
    text = (_ROOT / "docs" / "endpoints" / "local.md").read_text(encoding="utf-8")
    for file in MODEL_FILES.values():
        if file.part is Part.FRAME:
            row = next(line for line in text.splitlines() if line.startswith(f"| `{file.name}`"))
            assert f"{file.distribution} {file.version}" in row
            assert file.licence in row
            assert file.sha256[:12] in row
