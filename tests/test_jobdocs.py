from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan import jobdocs
from batch_scan.endpoint.registry import ENDPOINTS
from batch_scan.job import Job
from batch_scan.jobfile import ENVIRONMENT

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[1] / "docs" / "job-file.md"


def test_the_page_says_what_the_model_says() -> None:
    assert jobdocs.main(["--check"]) == 0, "run: python -m batch_scan.jobdocs"


def test_every_table_key_and_variable_has_its_line() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, field in Job.model_fields.items():
        assert f"[{name}" in page or f"| `{name}` |" in page, name
        for key in getattr(field.annotation, "model_fields", {}) if name != "transcribe" else ("engine", "local"):
            assert f"`{key}" in page or f"[{name}.{key}]" in page, f"{name}.{key}"
    for name, endpoint in ENDPOINTS.items():
        for key in endpoint.config_model.model_fields:
            assert f"| `{key}` |" in page or f"[endpoints.{name}.{key}]" in page, f"{name}.{key}"
    for variable in ENVIRONMENT:
        assert f"`{variable}`" in page


def test_drift_is_found_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "job-file.md"
    monkeypatch.setattr(jobdocs, "_PAGE", page)
    assert jobdocs.main(["--check"]) == 1
    assert "run python -m batch_scan.jobdocs" in capsys.readouterr().err
    assert jobdocs.main([]) == 0
    assert jobdocs.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8") + "and more\n", encoding="utf-8")
    assert jobdocs.main(["--check"]) == 1
