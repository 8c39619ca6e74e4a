"""Global memory: the arrays that were handed to a kernel, at addresses far apart from each other."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from aecompiler.backends.amd.simulator.errors import SimulationError, StrayAccess
from aecompiler.backends.amd.simulator.text import Instruction

_FIRST, _APART = 1 << 40, 1 << 36


@dataclass
class _Array:
    base: int
    name: str
    bytes: np.ndarray
    words: np.ndarray  # of the whole words at the start
    writable: bool


class GlobalMemory:
    """Arrays in one address space. An access is inside one array, or it is an error.

    Kernels read and write the arrays in place. Arrays must be contiguous; addresses are multiples of 256.
    """

    def __init__(self) -> None:
        self._arrays: list[_Array] = []
        self._bases: list[int] = []

    def add(self, array: np.ndarray, name: str, writable: bool = True) -> int:
        """The address of `array` from now on."""
        if not array.flags.c_contiguous:
            raise SimulationError(f"{name} expects a contiguous array")
        flat = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
        base = _FIRST + len(self._arrays) * _APART
        whole = flat[: flat.size // 4 * 4]
        self._arrays.append(
            _Array(base, name, flat, whole.view(np.uint32), writable and array.flags.writeable)
        )
        self._bases.append(base)
        return base

    def writable(self) -> list[np.ndarray]:
        """The bytes of the arrays that may be written."""
        return [array.bytes for array in self._arrays if array.writable]

    def read(
        self, addresses: np.ndarray, width: int, instruction: Instruction, lanes: np.ndarray
    ) -> np.ndarray:
        """Words [max(1, width // 4), lanes] at `addresses` (uint64); errors name `lanes`."""
        found = self._inside(addresses, width)
        if found is None:
            return self._read_each(addresses, width, instruction, lanes)
        array, offsets = found
        if width >= 4 and not (offsets & 3).any():
            return array.words.take((offsets >> 2) + np.arange(width // 4)[:, None])
        raw = np.zeros((offsets.size, max(width, 4)), np.uint8)
        raw[:, :width] = array.bytes[offsets[:, None] + np.arange(width)]
        return raw.view(np.uint32).T

    def write(
        self,
        addresses: np.ndarray,
        words: np.ndarray,
        width: int,
        instruction: Instruction,
        lanes: np.ndarray,
    ) -> None:
        """Write the low `width` bytes of `words` [words, lanes] to `addresses`."""
        found = self._inside(addresses, width)
        if found is None:
            for lane in range(addresses.size):
                here = slice(lane, lane + 1)
                if self._inside(addresses[here], width) is None:
                    self._stray(int(addresses[lane]), width, instruction, int(lanes[lane]))
                self.write(addresses[here], words[:, here], width, instruction, lanes[here])
            return
        array, offsets = found
        if not array.writable:
            raise StrayAccess(f"a store to {array.name}, which is read-only", instruction)
        if width >= 4 and not (offsets & 3).any():
            array.words[(offsets >> 2) + np.arange(width // 4)[:, None]] = words
        else:
            raw = np.ascontiguousarray(words.T).view(np.uint8)[:, :width]
            array.bytes[offsets[:, None] + np.arange(width)] = raw

    def _inside(self, addresses: np.ndarray, width: int) -> tuple[_Array, np.ndarray] | None:
        """The array that has all of the accesses, and offsets (int64) in it, or None."""
        low, high = int(addresses.min()), int(addresses.max())
        position = bisect_right(self._bases, low) - 1
        if position < 0:
            return None
        array = self._arrays[position]
        if high + width > array.base + array.bytes.size:
            return None
        return array, (addresses - np.uint64(array.base)).view(np.int64)

    def _read_each(
        self, addresses: np.ndarray, width: int, instruction: Instruction, lanes: np.ndarray
    ) -> np.ndarray:
        """Lanes that read from several arrays, one by one."""
        parts = []
        for lane in range(addresses.size):
            here = slice(lane, lane + 1)
            if self._inside(addresses[here], width) is None:
                self._stray(int(addresses[lane]), width, instruction, int(lanes[lane]))
            parts.append(self.read(addresses[here], width, instruction, lanes[here]))
        return np.concatenate(parts, axis=1)

    def _stray(self, address: int, width: int, instruction: Instruction, lane: int) -> NoReturn:
        position = bisect_right(self._bases, address) - 1
        where = ""
        if position >= 0:
            array = self._arrays[position]
            where = (
                f", {address - array.base} bytes from the start of {array.name} ({array.bytes.size} bytes)"
            )
        raise StrayAccess(
            f"lane {lane} accesses {width} bytes at {address:#x} outside every array{where}", instruction
        )
