from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.local.checkpoint import CheckpointError, read_state_dict

_MAGIC = 0x1950A86A20F9469CFC6C
_VALUES = [0.0, 1.5, -2.0, 3.25, 4.0, 5.0]


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"


def _tensor(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, items: int = len(_VALUES)) -> bytes:
    """The opcodes with which torch writes one tensor that looks into storage "0"."""
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + _number(items) + b"NtQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage + _number(offset) + _numbers(shape) + _numbers(strides) + b"\x89" + hooks + b"tR"
    )  # fmt: skip


def _checkpoint(tensor: bytes, *, magic: int = _MAGIC, items: int = len(_VALUES)) -> bytes:
    head = b"".join(pickle.dumps(value, 2) for value in (magic, 1001, {"little_endian": True}))
    state = b"\x80\x02}" + _text("w") + tensor + b"s."
    return head + state + pickle.dumps(["0"], 2) + struct.pack("<q", items) + struct.pack("<6f", *_VALUES)


_GOOD = _checkpoint(_tensor((2, 3), (3, 1)))


def _read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return read_state_dict(path)


def test_arrays_come_out_as_they_were_put_in(tmp_path: Path) -> None:
    assert _read(tmp_path, _GOOD)["w"].tolist() == [[0.0, 1.5, -2.0], [3.25, 4.0, 5.0]]


def test_a_tensor_that_looks_at_its_numbers_sideways_comes_out_in_its_own_order(tmp_path: Path) -> None:
    assert _read(tmp_path, _checkpoint(_tensor((2, 2), (1, 2), offset=1)))["w"].tolist() == [[1.5, 3.25], [-2.0, 4.0]]


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (_tensor((3, 3), (3, 1)), "outside"),
        (_tensor((2, 3), (3, 1), offset=1), "outside"),
        (_tensor((2, 3), (3, 1), offset=-1), "outside"),
        (_tensor((2, 3), (-3, 1), offset=3), "outside"),
        (_tensor((2, 1000000000), (1, 1000000000)), "outside"),
        (_tensor((2, 3), (3, 1), items=7), "announced"),
        (_tensor((2, 3), (3, 1), items=-1), "unknown way"),
        (b"ctorch\nHalfStorage\n", "torch.HalfStorage"),
        (_text("no tensor"), "not a checkpoint"),
    ],
)
def test_a_tensor_that_does_not_fit_its_numbers_is_refused(tmp_path: Path, tensor: bytes, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        _read(tmp_path, _checkpoint(tensor))


def test_a_program_in_place_of_weights_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = f"cos\nsystem\n(S'touch {trace}'\ntR".encode()
    with pytest.raises(CheckpointError, match=r"asks for os\.system"):
        _read(tmp_path, _checkpoint(program))
    assert not trace.exists()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="magic"):
        _read(tmp_path, _checkpoint(_tensor((2, 3), (3, 1)), magic=1))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@given(length=st.integers(0, len(_GOOD) - 1))
def test_a_file_cut_short_is_refused(scratch: Path, length: int) -> None:
    with pytest.raises(CheckpointError):
        _read(scratch, _GOOD[:length])


@given(at=st.integers(0, len(_GOOD) - 1), bits=st.integers(1, 255))
def test_a_damaged_file_is_refused_or_read_never_worse(scratch: Path, at: int, bits: int) -> None:
    data = bytearray(_GOOD)
    data[at] ^= bits
    try:
        arrays = _read(scratch, bytes(data))
    except CheckpointError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
