"""Runs what the NVIDIA backend emits: kernels loaded per device, launched on torch's streams."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.nvidia.artifact import ALIGNED, MAX_SCRATCH, UNALIGNED, NvidiaArtifact
from aecompiler.backends.nvidia.driver import Driver, driver
from aecompiler.backends.nvidia.host_program import kernel_names, make_program
from aecompiler.backends.nvidia.tensor_map import TensorMaps
from aecompiler.backends.triton.kernel_abi import (
    DESCRIPTOR_ALIGNMENT,
    SLOT_BYTES,
    parameter_places,
    parse_descriptor,
)
from aecompiler.errors import AecError, BackendError
from aecompiler.torch_types import torch_dtype

_MAX_GRID = ((1 << 31) - 1, 65535, 65535)

Launcher = Callable[..., None]


class CudaExecutable:
    """A compiled program on CUDA tensors. Calls do not wait for the device, and may overlap in threads.

    A call runs on the current stream of the device that its tensors are on, and does nothing else than launch
    kernels and allocate by torch, so that a CUDA graph can capture it.
    """

    def __init__(self, artifact: NvidiaArtifact, find_driver: Callable[[], Driver] = driver):
        plan = artifact.manifest["plan"]
        self._artifact = artifact
        self._program = make_program(plan)
        self._kernels = kernel_names(plan)
        self._tensors = [n for n, each in enumerate(plan["arguments"]) if each["shape"] is not None]
        self._find_driver = find_driver
        self._driver: Driver | None = None
        self._devices: dict[int, _Device] = {}
        self._lock = threading.Lock()
        self._lengths = artifact.manifest.get("lengths")
        self._of_class: dict[int, CudaExecutable] = {}
        self._of_bits: dict[int, CudaExecutable] = {}

    def __call__(self, arguments: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """Run on tensors and numbers in the function's order; returns the results.

        `results` are tensors to write to, or None for new ones. Raises `ValueError` for tensors on several
        devices, `MemoryError` where memory is short, and `BackendError` where the code can't run.
        """
        if self._lengths is not None:
            length = arguments[self._lengths["argument"]].shape[self._lengths["dimension"]]
            other = self._of_bits.get(length.bit_length()) or self._for_length(length)
            if other is not self:
                return other(arguments, results)
        index = self._device_of(arguments, results)
        device = self._devices.get(index) or self._load(index)
        stream = device.current_stream(index)
        found = device.driver
        try:
            if found.current() == device.context:
                return self._program(device.launchers, stream, device.empty, arguments, results)
            with found.using(device.context):
                return self._program(device.launchers, stream, device.empty, arguments, results)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's
                raise
            raise MemoryError(f"'{self._artifact.entry}' needs more memory than there is: {error}") from None

    def _for_length(self, length: int) -> CudaExecutable:
        """What runs calls of a length; all lengths of as many bits are of one class."""
        from aecompiler.backends.nvidia.schedule_choice import length_class

        assert self._lengths is not None
        wanted = length_class(length)
        with self._lock:
            if wanted not in self._of_class:
                self._of_class[wanted] = self._made_for(wanted) if wanted in self._lengths["others"] else self
            return self._of_bits.setdefault(length.bit_length(), self._of_class[wanted])

    def _made_for(self, length: int) -> CudaExecutable:
        try:
            return CudaExecutable(self._artifact.for_length(length), self._find_driver)
        except AecError:  # this one computes the same
            return self

    def _device_of(self, arguments: Sequence[Any], results: Sequence[Any]) -> int:
        """The number of the device that all tensors are on."""
        if not self._tensors:
            tensors = [each for each in results if each is not None]
            return tensors[0].get_device() if tensors else _current_device()
        first = arguments[self._tensors[0]].get_device()
        for n in self._tensors:
            if arguments[n].get_device() != first:
                raise self._devices_differ("argument", "arguments", n, arguments[n], first)
        for n, each in enumerate(results):
            if each is not None and each.get_device() != first:
                raise self._devices_differ("result", "results", n, each, first)
        return first

    def _devices_differ(self, what: str, group: str, position: int, tensor: Any, first: int) -> ValueError:
        plan = self._artifact.manifest["plan"]
        name = plan[group][position]["name"]
        other = plan["arguments"][self._tensors[0]]["name"]
        return ValueError(
            f"{what} '{name}': expects a tensor on the device of '{other}', cuda:{first}, got {tensor.device}"
        )

    def _load(self, index: int) -> _Device:
        with self._lock:
            if index not in self._devices:
                found = self._driver = self._driver or self._find_driver()
                self._devices[index] = _Device(found, index, self._artifact, self._kernels)
            return self._devices[index]


class _Device:
    """What calls on one device share."""

    def __init__(self, found: Driver, index: int, artifact: NvidiaArtifact, kernels: Sequence[str]):
        wanted, got = tuple(artifact.manifest["capability"]), found.capability(index)
        if wanted != got:
            raise BackendError(
                f"'{artifact.entry}' is compiled for {artifact.target}, and device {index} is an "
                f"sm_{got[0]}{got[1]}"
            )
        self.driver = found
        self.context = found.context(index)
        self.launchers = [make_launcher(found, index, artifact, name) for name in kernels]
        self.current_stream = _current_stream()
        self.empty = _empty(index)


def _current_device() -> int:
    import torch

    return torch.cuda.current_device()


def _current_stream() -> Callable[[int], int]:
    """What gives the current stream of a device, as the number that the driver knows it by."""
    import torch

    raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    return raw or (lambda index: torch.cuda.current_stream(index).cuda_stream)


def _empty(index: int) -> Callable[[Sequence[int], str], Any]:
    """What makes tensors on a device."""
    import torch

    device = torch.device("cuda", index)
    empty = torch.empty
    return lambda sizes, dtype: empty(sizes, dtype=torch_dtype(dtype), device=device)


class _Block:
    """The memory that the parameters of one launch at a time stand in, and the pointers to them.

    Behind those of the launch are null pointers, for what the compiler has added to a kernel.
    """

    __slots__ = ("buffer", "pointers", "start")

    def __init__(self, places: Sequence[int], size: int):
        places = [*places, *(size + SLOT_BYTES * n for n in range(MAX_SCRATCH))]
        self.buffer = ctypes.create_string_buffer(size + SLOT_BYTES * MAX_SCRATCH + DESCRIPTOR_ALIGNMENT)
        address = ctypes.addressof(self.buffer)
        self.start = -address % DESCRIPTOR_ALIGNMENT
        self.pointers = (ctypes.c_void_p * len(places))(*(address + self.start + n for n in places))


def make_launcher(found: Driver, index: int, artifact: NvidiaArtifact, name: str) -> Launcher:
    """`launch(stream, x, y, z, misaligned, *values)` of a kernel on a device; see `host_program.py`.

    The value of a descriptor is the address, the sizes and the strides of its tensor. The forms of a kernel,
    for aligned tensors and for others, are loaded when they are first needed.
    """
    parameters = artifact.manifest["kernels"][name]["parameters"]
    form, places = parameter_places(parameters)
    packed = struct.Struct(form)
    pack_into = packed.pack_into
    descriptors = [each for each in map(parse_descriptor, parameters) if each is not None]
    maps = TensorMaps(found, index, descriptors) if descriptors else None
    plain = len(parameters) - len(descriptors)
    launch_kernel = found.launch_kernel
    functions: dict[bool, tuple[int, int, int]] = {}  # by whether tensors are misaligned
    free: list[_Block] = []  # appending and popping are atomic
    lock = threading.Lock()

    def load(is_misaligned: bool) -> tuple[int, int, int]:
        with lock:
            if is_misaligned not in functions:
                code = artifact.code(name, UNALIGNED if is_misaligned else ALIGNED)
                function = found.load_function(index, code.binary, code.symbol, code.shared)
                functions[is_misaligned] = (function, code.threads, code.shared)
            return functions[is_misaligned]

    def launch(stream: int, x: int, y: int, z: int, misaligned: int, *values: Any) -> None:
        if x <= 0 or y <= 0 or z <= 0:
            return
        if x > _MAX_GRID[0] or y > _MAX_GRID[1] or z > _MAX_GRID[2]:
            raise ValueError(f"kernel '{name}' can't be launched on a grid of {x} x {y} x {z} blocks")
        is_misaligned = misaligned != 0
        function, threads, shared = functions.get(is_misaligned) or load(is_misaligned)
        try:
            block = free.pop()
        except IndexError:
            block = _Block(places, packed.size)
        if maps is not None:
            tensors = values[plain:]
            values = values[:plain] + (maps.known.get(tensors) or maps.add(tensors))
        pack_into(block.buffer, block.start, *values)
        code = launch_kernel(function, x, y, z, threads, 1, 1, shared, stream, block.pointers, None)
        free.append(block)
        if code:
            found.check(code, f"kernel '{name}' can't be launched")

    return launch
