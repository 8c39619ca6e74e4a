"""Tensors of the host's memory as host programs see them (`host_program.py`), without torch."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from aecompiler.arrays import numpy_dtype
from aecompiler.backends.base import Buffer


class Address(int):
    """The address of a tensor's first element, which knows the tensor."""

    tensor: HostTensor


class HostTensor:
    """An array in memory that somebody else keeps, or its own: what a host program does with tensors."""

    __slots__ = ("array", "dtype")

    def __init__(self, array: np.ndarray, dtype: str):
        self.array = array
        self.dtype = dtype

    @classmethod
    def of(cls, buffer: Buffer, dtype: str) -> HostTensor:
        """The tensor of a buffer, in its memory."""
        item = numpy_dtype(dtype)
        if 0 in buffer.shape:
            return cls(np.empty(buffer.shape, item), dtype)
        steps = zip(buffer.shape, buffer.strides, strict=True)
        length = 1 + sum((size - 1) * stride for size, stride in steps)
        elements = _bytes_at(buffer.address, length * item.itemsize).view(item)
        strides = [stride * item.itemsize for stride in buffer.strides]
        return cls(np.lib.stride_tricks.as_strided(elements, buffer.shape, strides), dtype)

    @classmethod
    def empty(cls, sizes: Sequence[int], dtype: str) -> HostTensor:
        """A new tensor whose elements are not known."""
        return cls(np.empty(tuple(sizes), numpy_dtype(dtype)), dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes."""
        return self.array.shape

    def stride(self, dimension: int | None = None) -> Any:
        """All strides, or one, in elements."""
        strides = tuple(stride // self.array.itemsize for stride in self.array.strides)
        return strides if dimension is None else strides[dimension]

    def data_ptr(self) -> Address:
        """The address of the first element."""
        address = Address(self.array.__array_interface__["data"][0])
        address.tensor = self
        return address

    def memory(self) -> np.ndarray:
        """The bytes from the first element to the end of the last, in place."""
        if not self.array.size:
            return np.empty(0, np.uint8)
        steps = zip(self.array.shape, self.array.strides, strict=True)
        length = self.array.itemsize + sum((size - 1) * stride for size, stride in steps)
        return _bytes_at(int(self.data_ptr()), length)

    def contiguous(self) -> HostTensor:
        """The tensor with elements side by side, copied if they are not."""
        return HostTensor(np.ascontiguousarray(self.array).reshape(self.array.shape), self.dtype)

    def copy_(self, other: HostTensor) -> HostTensor:
        """Copy the elements of another tensor."""
        np.copyto(self.array, other.array)
        return self

    def fill_(self, value: float) -> HostTensor:
        """Write one number everywhere."""
        self.array[...] = value
        return self

    def __getitem__(self, places: Any) -> HostTensor:
        found = self.array[places]
        return HostTensor(found if isinstance(found, np.ndarray) else self._element(places), self.dtype)

    def _element(self, places: Any) -> np.ndarray:
        """A view of one element: numpy would give its value."""
        return self.array[tuple(slice(place, place + 1) for place in places)].reshape(())

    def permute(self, order: Sequence[int]) -> HostTensor:
        """The dimensions in another order."""
        return HostTensor(self.array.transpose(order), self.dtype)

    def expand(self, sizes: Sequence[int]) -> HostTensor:
        """Dimensions of size 1 repeated."""
        strides = [
            0 if have == 1 and size != 1 else stride
            for have, size, stride in zip(self.array.shape, sizes, self.array.strides, strict=True)
        ]
        return HostTensor(np.lib.stride_tricks.as_strided(self.array, tuple(sizes), strides), self.dtype)

    def reshape(self, sizes: Sequence[int]) -> HostTensor:
        """Other sizes: a view where strides allow it, else a copy."""
        return HostTensor(self.array.reshape(tuple(sizes)), self.dtype)


def _bytes_at(address: int, length: int) -> np.ndarray:
    """Memory as an array, which does not keep it alive."""
    memory: Any = (ctypes.c_uint8 * length).from_address(address)
    return np.frombuffer(memory, np.uint8)
