"""Reads weights out of a torch checkpoint without torch, and without running what the file says.

A checkpoint of torch's first format (before its zip files) is five pickles in a row (magic number, protocol version,
facts about the machine, the state dict, the order of the storages), followed by each storage: its length as int64 and
its numbers. A pickle is a program; the reader here lets it name four things, all of which only describe arrays, and
refuses all others.

Trade-off: the file is held in memory once while it is read (19 MB for the one that ships).
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
"""Both from torch/serialization.py."""
_LENGTH: Final = struct.Struct("<q")


class CheckpointError(ValueError):
    """The file is not a checkpoint of plain arrays in torch's first format."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """A stretch of numbers that tensors look into; the numbers stand later in the file."""

    key: str
    dtype: np.dtype[Any]
    items: int


@dataclass(frozen=True, slots=True)
class _View:
    """One tensor: how it looks into its storage, in items."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a checkpoint by name.

    Raises:
        CheckpointError: the file is something else, is cut short, or names anything but arrays.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    try:
        return _arrays(data)
    except CheckpointError:
        raise
    except Exception as error:  # broken bytes break an unpickler in any way they like
        raise CheckpointError(f"not a checkpoint of arrays ({type(error).__name__}: {error})") from error


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    file = io.BytesIO(data)
    if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
        raise CheckpointError("the magic number is another one")
    _load(file)  # facts about the machine that wrote it
    views, order = _load(file), _load(file)
    storages = {view.storage.key: view.storage for view in views.values()}
    numbers = _numbers(data, file.tell(), [storages[key] for key in order])
    return {str(name): _array(view, numbers[view.storage.key]) for name, view in views.items()}


def _numbers(data: bytes, start: int, storages: list[_Storage]) -> dict[str, NDArray[Any]]:
    """Find each storage's numbers behind the pickles. The arrays are views of `data`."""
    found: dict[str, NDArray[Any]] = {}
    for storage in storages:
        (items,) = _LENGTH.unpack_from(data, start)
        if items != storage.items:
            raise CheckpointError(f"storage {storage.key} holds {items} numbers where {storage.items} were announced")
        start += _LENGTH.size
        found[storage.key] = np.frombuffer(data, storage.dtype, count=items, offset=start)
        start += items * storage.dtype.itemsize
    return found


def _array(view: _View, numbers: NDArray[Any]) -> NDArray[Any]:
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if min((view.offset, *view.strides)) < 0 or min(view.shape, default=1) < 1 or last >= numbers.size:
        raise CheckpointError(f"a tensor looks outside of its storage {view.storage.key}")
    step = numbers.itemsize
    looked_at = np.lib.stride_tricks.as_strided(
        numbers[view.offset :], view.shape, tuple(stride * step for stride in view.strides), writeable=False
    )
    return np.ascontiguousarray(looked_at).reshape(view.shape)


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _View:
    return _View(storage, offset, shape, strides)


_ALLOWED: Final[dict[tuple[str, str], Callable[..., Any] | np.dtype[Any]]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _ArraysOnly(pickle.Unpickler):
    """Knows the words of `_ALLOWED` and no other."""

    def find_class(self, module: str, name: str) -> Any:
        """Stand in for the import that a pickle asks for."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise CheckpointError(f"the file asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Take note of a storage: ``("storage", type, key, location, items, view metadata)``."""
        kind, dtype, key, _location, items, metadata = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or metadata is not None or items < 0:
            raise CheckpointError("a storage is described in an unknown way")
        return _Storage(str(key), dtype, int(items))


def _load(file: io.BytesIO) -> Any:
    return _ArraysOnly(file).load()
