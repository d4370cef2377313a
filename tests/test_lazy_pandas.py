from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from batch_scan.lazy_pandas import keep_pandas_out
keep_pandas_out()
import pyarrow as pa
table = pa.table({"a": pa.array([1, 2])})
print("pandas" in sys.modules, list(table.to_pandas()["a"]))
import pandas
print(pa.array(pandas.Series([3])).to_pylist())
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def test_arrays_are_made_without_pandas_and_tables_still_become_data_frames() -> None:
    assert run(PROGRAM).splitlines() == ["False [1, 2]", "[3]"]


def test_pandas_that_was_imported_before_stays() -> None:
    said = run("import pandas; from batch_scan.lazy_pandas import keep_pandas_out; keep_pandas_out(); import pyarrow;"
               "print(pyarrow.array(pandas.Series([3])).to_pylist())")  # fmt: skip
    assert said == "[3]\n"
