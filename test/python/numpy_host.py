"""Runs host programs on arrays of numpy, which have the methods of torch that they call, and launches."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from vector_interpreter import DTYPES

from aecompiler.backends.gpu.host_program import kernel_names, make_program

Launched = Callable[..., None]
"""A kernel: called with the grid and then, for each parameter, an array of one dimension or a number."""


class HostTensor:
    """An array as host programs see tensors."""

    def __init__(self, array: np.ndarray, memory: Memory):
        self.array, self._memory = array, memory
        self.shape = array.shape

    def stride(self) -> tuple[int, ...]:
        return tuple(stride // self.array.itemsize for stride in self.array.strides)

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def contiguous(self) -> HostTensor:
        return self._memory.tensor(self.array)

    def copy_(self, other: HostTensor) -> HostTensor:
        self.array[...] = other.array
        return self

    def fill_(self, number: float) -> HostTensor:
        self.array[...] = number
        return self

    def permute(self, order: Sequence[int]) -> HostTensor:
        return HostTensor(self.array.transpose(order), self._memory)

    def expand(self, sizes: Sequence[int]) -> HostTensor:
        return HostTensor(np.broadcast_to(self.array, sizes), self._memory)

    def reshape(self, sizes: Sequence[int]) -> HostTensor:
        view = self.array.reshape(sizes)
        shares = np.shares_memory(view, self.array) or not view.size
        return HostTensor(view, self._memory) if shares else self._memory.tensor(view)

    def __getitem__(self, places: Any) -> HostTensor:
        return HostTensor(self.array[places], self._memory)


class Memory:
    """All arrays of one call, found by address. What is not written yet is NaN, or a large number."""

    def __init__(self) -> None:
        self._arrays: dict[int, np.ndarray] = {}

    def empty(self, sizes: Sequence[int], dtype: str) -> HostTensor:
        """A tensor of `sizes` that is not initialised."""
        array = np.empty(sizes, DTYPES[dtype])
        array.reshape(-1).view(np.uint8)[...] = 1 if dtype == "i1" else 0x7F
        if array.dtype.kind == "f":
            array[...] = np.nan
        return self._kept(array)

    def tensor(self, values: np.ndarray) -> HostTensor:
        """A tensor with a copy of `values`."""
        return self._kept(np.array(values, order="C"))

    def _kept(self, array: np.ndarray) -> HostTensor:
        self._arrays[array.ctypes.data] = array
        return HostTensor(array, self)

    def at(self, address: int, dtype: np.dtype) -> np.ndarray:
        """What stands from an address to the end of the array that it is in."""
        starts = sorted(self._arrays)
        start = starts[bisect.bisect_right(starts, address) - 1]
        stored = self._arrays[start].reshape(-1).view(np.uint8)
        assert start <= address <= start + stored.size, "an address of no tensor"
        return stored[address - start :].view(dtype)


def run_plan(
    plan: Mapping[str, Any],
    kernels: Mapping[str, Launched],
    parameters: Mapping[str, Sequence[str]],
    arguments: Sequence[Any],
) -> list[np.ndarray]:
    """The results of a host program on arrays and numbers; `parameters` are the types of kernels' in `tt`."""
    memory = Memory()

    def launcher(name: str) -> Callable[..., None]:
        def launch(_stream: int, grid: int, y: int, z: int, _misaligned: int, *values: Any) -> None:
            assert (y, z) == (1, 1)
            given = [
                memory.at(value, DTYPES[type_[len("!tt.ptr<") : -1]])
                if type_.startswith("!tt.ptr")
                else value
                for value, type_ in zip(values, parameters[name], strict=True)
            ]
            kernels[name](grid, *given)

        return launch

    launchers = [launcher(name) for name in kernel_names(dict(plan))]
    placed = [
        memory.tensor(each) if isinstance(each, np.ndarray) and each.ndim else each for each in arguments
    ]
    made = make_program(dict(plan))(launchers, 0, memory.empty, placed, [None] * len(plan["returns"]))
    return [each.array if isinstance(each, HostTensor) else np.asarray(each) for each in made]
