"""The reader of PyTorch's old file format, on files written by hand."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest

from dfk.models.torch_file import read_state_dict


class _Named:
    """Pickles as a reference to a global of any module."""

    def __init__(self, module, name):
        self.__module__, self.__qualname__ = module, name


class _Pickler(pickle._Pickler):
    """Writes names without importing them, and storages by reference."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Named):
            self.write(
                pickle.GLOBAL
                + f"{obj.__module__}\n{obj.__qualname__}\n".encode()
            )
        elif isinstance(obj, _Tensor):
            self.save(_Named("torch._utils", "_rebuild_tensor_v2"))
            storage = _Storage(obj.storage, obj.key)
            self.save((storage, obj.offset, obj.shape, obj.strides, False, 0))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        if isinstance(obj, _Storage):
            return ("storage", _Named("torch", obj.kind), obj.key, "cpu", 6)
        return None


class _Storage:
    def __init__(self, kind, key):
        self.kind, self.key = kind, key


class _Tensor:
    def __init__(self, storage, key, offset, shape, strides):
        self.storage, self.key = storage, key
        self.offset, self.shape, self.strides = offset, shape, strides


def _write(path, tensors, storages):
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, file, 2)
        _Pickler(file, 2).dump(OrderedDict(tensors))
        pickle.dump(list(storages), file, 2)
        for values in storages.values():
            np.int64(values.size).tofile(file)
            values.tofile(file)


def test_strides_and_offsets_are_honoured(tmp_path):
    values = np.arange(7, dtype="float32")
    transposed = _Tensor("FloatStorage", "0", 1, (3, 2), (1, 3))
    _write(tmp_path / "m.pth", {"w": transposed}, {"0": values})
    np.testing.assert_array_equal(
        read_state_dict(tmp_path / "m.pth")["w"],
        values[1:].reshape(2, 3).T,
    )


def test_a_file_that_names_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    with (tmp_path / "m.pth").open("wb") as file:
        pickle.dump(Evil(), file, 2)
    with pytest.raises(pickle.UnpicklingError, match="not admitted"):
        read_state_dict(tmp_path / "m.pth")
