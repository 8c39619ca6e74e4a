"""Tensor descriptors in numpy: boxes of a tensor in memory that are copied as a whole, cut at its ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aecompiler.bindings import ir

_BOX = re.compile(r"!tt\.tensordesc<(?:tensor<)?((?:\d+x)+)(\w+)")


@dataclass
class Descriptor:
    """A tensor in the `Memory` of triton_interpreter: the place of its first element, sizes, and strides."""

    memory: Any
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def load(self, corner: Sequence[Any], box: Sequence[int]) -> np.ndarray:
        """The elements of a box; 0 outside of the tensor."""
        offset, inside = self._places(corner, box)
        self.memory.check(offset[inside], "descriptor load")
        result = np.zeros(tuple(box), self.memory.data.dtype)
        result[inside] = self.memory.data[offset[inside]]
        return result

    def store(self, corner: Sequence[Any], box: Sequence[int], value: np.ndarray) -> None:
        """Write a box; nothing outside of the tensor."""
        offset, inside = self._places(corner, box)
        self.memory.check(offset[inside], "descriptor store")
        self.memory.mark(offset[inside])
        self.memory.data[offset[inside]] = value.reshape(tuple(box))[inside]

    def _places(self, corner: Sequence[Any], box: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        assert len(corner) == len(box) == len(self.shape), (
            f"a box of {len(box)} dimensions at {len(corner)} positions of a tensor of {len(self.shape)}"
        )
        offset, inside = np.full(tuple(box), self.first, np.int64), np.ones(tuple(box), bool)
        for axis, (low, count) in enumerate(zip(corner, box, strict=True)):
            beside = (-1, *[1] * (len(box) - axis - 1))
            place = (int(low) + np.arange(count)).reshape(beside)
            offset += place * self.strides[axis]
            inside &= (place >= 0) & (place < self.shape[axis])
        return offset, inside


def describe(array: np.ndarray, pointers: Any) -> Descriptor:
    """The descriptor of an array that `pointers` is the first element of."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return Descriptor(pointers.memory, int(pointers.offset), array.shape, strides)


def box_of(type_: ir.Type) -> tuple[int, ...]:
    """The sizes of the box in the type of a descriptor."""
    found = _BOX.match(str(type_))
    assert found, f"no descriptor: {type_}"
    return tuple(int(size) for size in found[1].split("x")[:-1])


def element_of(type_: ir.Type) -> str:
    """The type of the elements, as text."""
    found = _BOX.match(str(type_))
    assert found, f"no descriptor: {type_}"
    return found[2]


def load(op: ir.Operation, operands: list) -> list:
    """`tt.descriptor_load`: a box without its dimensions of size 1 in front."""
    descriptor, *corner = operands
    box, shape = box_of(op.operands[0].type), tuple(op.results[0].type.shape)
    assert without_ones(box) == without_ones(shape), f"a box of {box} as a tile of {shape}"
    return [descriptor.load(corner, box).reshape(shape)]


def store(op: ir.Operation, operands: list) -> list:
    """`tt.descriptor_store`."""
    descriptor, value, *corner = operands
    box = box_of(op.operands[0].type)
    assert without_ones(box) == without_ones(value.shape), f"a box of {box} from a tile of {value.shape}"
    descriptor.store(corner, box, value)
    return []


def without_ones(shape: Sequence[int]) -> list[int]:
    """The sizes of the dimensions that have more than one element."""
    return [size for size in shape if size != 1]
