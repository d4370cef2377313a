from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from batch_scan.endpoint.local.config import FrameModel, LocalConfig

_DIGEST = "0" * 64


def test_without_a_table_every_model_looks_at_every_kind_of_sample() -> None:
    config = LocalConfig()
    assert config.samples == ("frame", "utterance")
    assert config.frame_models == tuple(FrameModel)
    assert config.threads == 0


def test_a_model_file_of_ones_own_starts_at_the_job_file() -> None:
    table = {"models": {"sexual": {"path": "own.onnx", "sha256": _DIGEST}}}
    config = LocalConfig.model_validate(table, context={"base": Path("/jobs")})
    assert config.models["sexual"].path == Path("/jobs/own.onnx")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (
            {"models": {"sexuel": {"path": "x", "sha256": _DIGEST}}},
            "is called 'sexuel'; there are: sexual, safety",
        ),
        ({"models": {"tiny.en": {"path": "x", "sha256": _DIGEST}}}, "no model for frames or words"),
        ({"models": {"sexual": {"path": "x", "sha256": "abc"}}}, "sha256"),
        ({"models": {"sexual": {"path": "x"}}}, "sha256"),
        ({"samples": ["frame", "frame"]}, "twice"),
        ({"samples": ["audio"]}, "frame"),
        ({"samples": []}, "samples"),
        ({"frame_models": []}, "frame_models"),
        ({"frame_models": ["nudity"]}, "sexual"),
        ({"threads": -1}, "threads"),
        ({"thread": 1}, "thread"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place_and_the_mend(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LocalConfig.model_validate(table)
