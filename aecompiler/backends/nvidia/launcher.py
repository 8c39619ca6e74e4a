"""Launches of one kernel on one device: its parameters in memory, and the driver's call."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from aecompiler.backends.nvidia.artifact import ALIGNED, MAX_SCRATCH, UNALIGNED, NvidiaArtifact
from aecompiler.backends.nvidia.driver import LAUNCH_CONFIG, Driver
from aecompiler.backends.nvidia.tensor_map import TensorMaps
from aecompiler.backends.triton.kernel_abi import (
    DESCRIPTOR_ALIGNMENT,
    SLOT_BYTES,
    parameter_places,
    parse_descriptor,
)

_MAX_GRID = ((1 << 31) - 1, 65535, 65535)
_POINTER_BYTES = 8


class _Block:
    """The memory that a launch is described in: how it is configured, its parameters, pointers to these.

    Behind the parameters are null pointers, for what the compiler has added to a kernel.
    """

    __slots__ = ("buffer", "config", "pointers", "start")

    def __init__(self, places: Sequence[int], size: int):
        count = len(places) + MAX_SCRATCH
        behind = size + SLOT_BYTES * MAX_SCRATCH
        self.buffer = ctypes.create_string_buffer(behind + _POINTER_BYTES * count + DESCRIPTOR_ALIGNMENT)
        address = ctypes.addressof(self.buffer)
        self.start = -address % DESCRIPTOR_ALIGNMENT
        self.config = address + self.start
        self.pointers = self.config + behind
        targets = [*places, *range(size, behind, SLOT_BYTES)]
        struct.pack_into(
            f"={count}Q", self.buffer, self.start + behind, *[self.config + each for each in targets]
        )


class ReadyLaunch(NamedTuple):
    """A launch that needs nothing more than the driver's call, any number of times and from any thread."""

    config: int
    function: int
    pointers: int
    launcher: Launcher
    block: _Block
    """What `config` and `pointers` stand in, which nobody writes to."""


class Launcher:
    """Launches a kernel: `launcher(stream, x, y, z, misaligned, *values)`, as `host_program.py` says.

    The value of a descriptor is the address, the sizes and the strides of its tensor. The forms of a kernel,
    for aligned tensors and for others, are loaded when they are first needed.
    """

    def __init__(self, found: Driver, index: int, artifact: NvidiaArtifact, name: str):
        parameters = artifact.manifest["kernels"][name]["parameters"]
        form, places = parameter_places(parameters)
        # Parameters follow at a multiple of the alignment of descriptors.
        gap = -struct.calcsize(LAUNCH_CONFIG) % DESCRIPTOR_ALIGNMENT
        first = struct.calcsize(LAUNCH_CONFIG) + gap
        packed = struct.Struct(f"{LAUNCH_CONFIG}{gap}x{form.removeprefix('<')}")
        descriptors = [each for each in map(parse_descriptor, parameters) if each is not None]
        self._size, self._places = packed.size, [first + place for place in places]
        self._pack_into = packed.pack_into
        self._maps = TensorMaps(found, index, descriptors) if descriptors else None
        self._plain = len(parameters) - len(descriptors)
        self._driver, self._launch_kernel = found, found.launch_kernel
        self._index, self._artifact, self._name = index, artifact, name
        self._functions: dict[bool, tuple[int, int, int]] = {}  # by whether tensors are misaligned
        self._free: list[_Block] = []  # appending and popping are atomic
        self._lock = threading.Lock()

    def __call__(self, stream: int, x: int, y: int, z: int, misaligned: int, *values: Any) -> None:
        """Launch the kernel, unless the grid is empty."""
        if x <= 0 or y <= 0 or z <= 0:
            return
        try:
            block = self._free.pop()
        except IndexError:
            block = _Block(self._places, self._size)
        function = self._pack(block, stream, x, y, z, misaligned, values)
        code = self._launch_kernel(block.config, function, block.pointers, None)
        self._free.append(block)
        if code:
            self.refuse(code)

    def ready(self, stream: int, x: int, y: int, z: int, misaligned: int, *values: Any) -> ReadyLaunch | None:
        """The launch that a call with these arguments makes, or None if it makes none."""
        if x <= 0 or y <= 0 or z <= 0:
            return None
        block = _Block(self._places, self._size)
        function = self._pack(block, stream, x, y, z, misaligned, values)
        return ReadyLaunch(block.config, function, block.pointers, self, block)

    def refuse(self, code: int) -> None:
        """Raise what the driver's answer to a launch stands for."""
        self._driver.check(code, f"kernel '{self._name}' can't be launched")

    def _pack(
        self, block: _Block, stream: int, x: int, y: int, z: int, misaligned: int, values: tuple[Any, ...]
    ) -> int:
        """Describe a launch in a block; returns the function to launch."""
        if x > _MAX_GRID[0] or y > _MAX_GRID[1] or z > _MAX_GRID[2]:
            raise ValueError(f"kernel '{self._name}' can't be launched on a grid of {x} x {y} x {z} blocks")
        is_misaligned = misaligned != 0
        function, threads, shared = self._functions.get(is_misaligned) or self._load(is_misaligned)
        if self._maps is not None:
            tensors = values[self._plain :]
            values = values[: self._plain] + (self._maps.known.get(tensors) or self._maps.add(tensors))
        self._pack_into(block.buffer, block.start, x, y, z, threads, 1, 1, shared, stream, 0, 0, *values)
        return function

    def _load(self, is_misaligned: bool) -> tuple[int, int, int]:
        with self._lock:
            if is_misaligned not in self._functions:
                code = self._artifact.code(self._name, UNALIGNED if is_misaligned else ALIGNED)
                function = self._driver.load_function(self._index, code.binary, code.symbol, code.shared)
                self._functions[is_misaligned] = (function, code.threads, code.shared)
            return self._functions[is_misaligned]
