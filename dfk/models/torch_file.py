"""Reading a PyTorch state dict in the old (non-zip) format, without PyTorch.

The file is a sequence of pickles (a magic number, the protocol, system facts,
the state dict, the keys of its storages), then each storage as an int64 count
and raw values. Unpickling admits only the four names that a state dict of plain
tensors needs, so that a file cannot run code.

Reference:
    `_legacy_load` in https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

_STORAGES = {"FloatStorage": np.float32, "LongStorage": np.int64}


@dataclass
class _Storage:
    """One block of values, empty until the end of the file is read."""

    dtype: type
    values: np.ndarray = field(default_factory=lambda: np.empty(0))


def _rebuild_tensor(storage, offset, shape, strides, *_):
    """A function that gives the tensor, once its storage has been read."""

    def array() -> np.ndarray:
        # A tensor has its own strides: values read in the order of the storage
        # would scramble the kernels.
        values = storage.values[offset:]
        steps = [stride * values.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(values, shape, steps)
        return np.ascontiguousarray(view)

    return array


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]):
        super().__init__(file)
        self._storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")

    def persistent_load(self, saved_id):
        _, dtype, key, *_ = saved_id
        return self._storages.setdefault(key, _Storage(dtype))


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict.

    Args:
        path: a file that `torch.save` wrote in its old format.

    Returns:
        Arrays by name, in the file's order, float32 or int64.

    Raises:
        pickle.UnpicklingError: the file names anything but plain tensors.

    Example:
        >>> read_state_dict(Path("model.pth"))["_conv_stem.weight"].shape
        (32, 3, 3, 3)
    """
    storages: dict[str, _Storage] = {}
    with path.open("rb") as file:
        for _header in ("magic number", "protocol", "system"):
            _Unpickler(file, storages).load()
        tensors = _Unpickler(file, storages).load()
        for key in _Unpickler(file, storages).load():
            storage = storages[key]
            (count,) = np.fromfile(file, np.int64, 1)
            storage.values = np.fromfile(file, storage.dtype, count)
    return {name: array() for name, array in tensors.items()}
