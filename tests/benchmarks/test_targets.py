from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks
from benchmarks.__main__ import CASES
from benchmarks.targets import TARGETS, Target

ROOM = Path(benchmarks.__file__).parent


def test_every_case_has_a_module_and_every_target_a_case() -> None:
    assert {name for name in CASES if not (ROOM / f"{name}.py").exists()} == set()
    assert {target.case for target in TARGETS} <= set(CASES)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.what)
def test_the_columns_and_the_rows_of_a_target_are_those_of_its_case(target: Target) -> None:
    source = (ROOM / f"{target.case}.py").read_text(encoding="utf-8")
    columns = {target.column, *target.by, *target.where, *([target.over] if target.over else [])}
    cells = {cell for cell in target.where.values() if isinstance(cell, str)}

    assert {text for text in columns | cells if f'"{text}"' not in source} == set()


def test_no_two_targets_have_one_name() -> None:
    assert len({target.what for target in TARGETS}) == len(TARGETS)
