"""Runs what the AMD backend emits on an AMD GPU: kernels loaded per device, launched on torch's streams.

This code has only been run on a library that stands in for the HIP runtime.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.amd.artifact import AmdArtifact, KernelCode
from aecompiler.backends.amd.hip import Runtime, runtime
from aecompiler.backends.amd.reach import reach_check
from aecompiler.backends.gpu import launch as gpu
from aecompiler.backends.gpu.artifact import ALIGNED, UNALIGNED
from aecompiler.backends.gpu.launch import Device, GpuExecutable
from aecompiler.errors import BackendError

_MOST_THREADS = (1 << 32) - 1
_FORMATS = {"f32": "f", "f64": "d"}
_INTEGERS = {1: "b", 2: "h", 4: "i", 8: "q"}


_Loaded = tuple[int, KernelCode, struct.Struct, Callable[[Sequence[Any]], None] | None]
"""A form of a kernel: its function, its code, how arguments are packed, what checks them."""


class HipExecutable(GpuExecutable):
    """A compiled program on tensors of torch for ROCm, which it calls CUDA's as well."""

    def __init__(self, artifact: AmdArtifact, find_runtime: Callable[[], Runtime] = runtime):
        super().__init__(artifact)
        self._artifact = artifact
        self._find_runtime = find_runtime

    def require_device(self) -> None:
        """Raise `BackendError` where there is no HIP runtime, or no device."""
        self._find_runtime()

    def record(self, arguments: Sequence[Any], results: Sequence[Any]) -> None:
        """Calls are not recorded: each runs the host program anew."""

    def find_device(self, index: int) -> Device:
        """What calls on a device share; `BackendError` for another chip than the code is for."""
        found, artifact = self._find_runtime(), self._artifact
        chip = found.chip(index)
        if chip != artifact.manifest["chip"]:
            raise BackendError(
                f"'{artifact.entry}' is compiled for {artifact.target}, and device {index} is a {chip}"
            )
        launchers = [Launcher(found, index, artifact, name) for name in self.kernels]
        return Device(found, index, index, launchers, gpu.current_stream(), gpu.empty_on(index))


class Launcher:
    """Launches a kernel: `launcher(stream, x, y, z, misaligned, *values)`, as `host_program.py` says.

    The forms of a kernel, for aligned tensors and for others, are loaded when they are first needed.
    """

    def __init__(self, found: Runtime, index: int, artifact: AmdArtifact, name: str):
        self._runtime, self._index, self._artifact, self._name = found, index, artifact, name
        self._parameters = artifact.manifest["kernels"][name]["parameters"]
        self._loaded: dict[str, _Loaded] = {}
        self._lock = threading.Lock()

    def __call__(self, stream: int, x: int, y: int, z: int, misaligned: int, *values: Any) -> None:
        """Launch the kernel, unless the grid is empty."""
        if x <= 0 or y <= 0 or z <= 0:
            return
        form = UNALIGNED if misaligned else ALIGNED
        function, code, packed, check = self._loaded.get(form) or self._load(form)
        if check is not None:
            check(values)
        if max(x * code.threads, y, z) > _MOST_THREADS:
            raise ValueError(
                f"kernel '{self._name}' can't be launched on a grid of {x} x {y} x {z} workgroups"
            )
        arguments = packed.pack(*values)
        answer = self._runtime.launch(function, (x, y, z), code.threads, code.shared, stream, arguments)
        self._runtime.check(answer, f"kernel '{self._name}' can't be launched")

    def _load(self, form: str) -> _Loaded:
        with self._lock:
            if form not in self._loaded:
                code = self._artifact.code(self._name, form)
                function = self._runtime.load_function(self._index, code.binary, code.symbol)
                check = reach_check(self._name, self._parameters, code.reaches)
                self._loaded[form] = function, code, argument_layout(self._parameters, code), check
            return self._loaded[form]


def argument_layout(parameters: Sequence[str], code: KernelCode) -> struct.Struct:
    """How `struct` packs the values of a launch into the segment of arguments.

    Behind the parameters are the bytes of memory behind each pointer, where the code takes these, and null
    pointers for what the compiler has added.
    """
    formats, end = [], 0
    pointers = sum(each.startswith("!tt.ptr") for each in parameters)
    types = [*parameters, *["i64"] * (pointers if code.spans else 0)]
    for n, (offset, size) in enumerate(code.arguments):
        formats.append(f"{offset - end}x")
        end = offset + size
        if n >= len(types):
            formats.append(f"{size}x")
        elif types[n].startswith("!tt.ptr"):
            formats.append("Q")
        else:
            formats.append(_FORMATS.get(types[n]) or _INTEGERS[size])
    return struct.Struct("<" + "".join(formats))
