from __future__ import annotations

import subprocess
import sys

TURNS = """
import io, sys, threading
from batch_scan.allocators import share_heaps
if sys.argv[1] == "shared":
    share_heaps()
import pyarrow as pa
import pyarrow.parquet as pq

def own_kib():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))

def work(done, end):
    table = pa.table({"name": pa.array([f"name {number}" for number in range(60_000)]), "at": pa.array(range(60_000))})
    pq.write_table(table, io.BytesIO(), compression="zstd")
    del table
    done.set()
    end.wait()

end, marks, threads = threading.Event(), [], []
for _ in range(8):
    done = threading.Event()
    threads.append(threading.Thread(target=work, args=(done, end)))
    threads[-1].start()
    done.wait()
    marks.append(own_kib())
end.set()
print(pa.default_memory_pool().backend_name, marks[-1] - marks[0])
"""


def run(program: str, *words: str, **env: str) -> list[str]:
    argv = [sys.executable, "-c", program, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.split()


def test_threads_that_take_turns_use_the_same_memory() -> None:
    pool, grown_kib = run(TURNS, "shared")
    assert pool == "system"
    assert int(grown_kib) < 40_000, "8 threads of their own heaps keep some 150 MB"


def test_what_the_environment_says_stands() -> None:
    name = "ARROW_DEFAULT_MEMORY_POOL"
    program = f"import os; from batch_scan.allocators import share_heaps; share_heaps(); print(os.environ[{name!r}])"
    assert run(program) == ["system"]
    assert run(program, **{name: "mimalloc"}) == ["mimalloc"]
