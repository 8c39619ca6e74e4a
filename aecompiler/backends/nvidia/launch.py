"""Runs what the NVIDIA backend emits: kernels loaded per device, launched on torch's streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.backends.nvidia.artifact import NvidiaArtifact
from aecompiler.backends.nvidia.driver import Driver, driver
from aecompiler.backends.nvidia.launcher import Launcher
from aecompiler.backends.nvidia.recorded_call import Device, RecordedCall, record
from aecompiler.errors import AecError, BackendError
from aecompiler.torch_types import torch_dtype


class CudaExecutable:
    """A compiled program on CUDA tensors. Calls do not wait for the device, and may overlap in threads.

    A call runs on the current stream of the device that its tensors are on, and does nothing else than launch
    kernels and allocate by torch, so that a CUDA graph can capture it. The first of a class of calls that has
    a schedule of its own compiles before.
    """

    def __init__(self, artifact: NvidiaArtifact, find_driver: Callable[[], Driver] = driver):
        plan = artifact.manifest["plan"]
        self._artifact = artifact
        self._program = make_program(plan)
        self._kernels = kernel_names(plan)
        self._tensors = [n for n, each in enumerate(plan["arguments"]) if each["shape"] is not None]
        self._find_driver = find_driver
        self._driver: Driver | None = None
        self._devices: dict[int, Device] = {}
        self._lock = threading.Lock()
        self._compiling = threading.Lock()  # held for seconds, in which other calls can load what there is
        self._lengths = artifact.manifest.get("lengths", {})
        self._few = self._lengths.get("few")
        self._of_class: dict[int, CudaExecutable] = {}
        self._of_bits: dict[int, CudaExecutable] = {}
        self._for_few: CudaExecutable | None = None

    def __call__(self, arguments: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """Run on tensors and numbers in the function's order; returns the results.

        `results` are tensors to write to, or None for new ones. Raises `ValueError` for tensors on several
        devices, `MemoryError` where memory is short, and `BackendError` where the code can't run.
        """
        if self._lengths and (other := self._for_call(arguments)) is not self:
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

    def record(self, arguments: Sequence[Any], results: Sequence[Any]) -> RecordedCall | None:
        """What a call like this one does, which was made before; None where that can't be recorded.

        `results` are tensors to write to, or nothing for new ones.
        """
        if self._lengths and (other := self._for_call(arguments)) is not self:
            return other.record(arguments, results)
        device = self._devices[self._device_of(arguments, results)]
        return record(device, self._program, self._artifact.manifest["plan"], arguments, results)

    def _for_call(self, arguments: Sequence[Any]) -> CudaExecutable:
        """What runs calls of such lengths."""
        few, lengths = self._few, self._lengths
        if few is not None and arguments[few["argument"]].shape[few["dimension"]] <= few["most"]:
            return self._for_few or self._made_for_few(few["most"])
        if "others" not in lengths:
            return self
        length = arguments[lengths["argument"]].shape[lengths["dimension"]]
        return self._of_bits.get(length.bit_length()) or self._for_length(length)

    def _made_for_few(self, queries: int) -> CudaExecutable:
        with self._compiling:
            self._for_few = self._for_few or self._made_for(queries=queries)
            return self._for_few

    def _for_length(self, length: int) -> CudaExecutable:
        """What runs calls of a length; all lengths of as many bits are of one class."""
        from aecompiler.backends.nvidia.schedule_choice import length_class

        wanted = length_class(length)
        is_other = wanted in self._lengths["others"]
        found = (self._of_class.get(wanted) or self._made_for_class(wanted)) if is_other else self
        return self._of_bits.setdefault(length.bit_length(), found)

    def _made_for_class(self, length: int) -> CudaExecutable:
        with self._compiling:
            if length not in self._of_class:
                self._of_class[length] = self._made_for(length=length)
            return self._of_class[length]

    def _made_for(self, **named: int) -> CudaExecutable:
        try:
            return CudaExecutable(self._artifact.for_class(**named), self._find_driver)
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

    def _load(self, index: int) -> Device:
        with self._lock:
            if index not in self._devices:
                found = self._driver = self._driver or self._find_driver()
                self._devices[index] = _find_device(found, index, self._artifact, self._kernels)
            return self._devices[index]


def _find_device(found: Driver, index: int, artifact: NvidiaArtifact, kernels: Sequence[str]) -> Device:
    """What calls on a device share; `BackendError` for another chip than the code is for."""
    wanted, got = tuple(artifact.manifest["capability"]), found.capability(index)
    if wanted != got:
        raise BackendError(
            f"'{artifact.entry}' is compiled for {artifact.target}, and device {index} is an "
            f"sm_{got[0]}{got[1]}"
        )
    return Device(
        found,
        index,
        found.context(index),
        [Launcher(found, index, artifact, name) for name in kernels],
        _current_stream(),
        _empty(index),
    )


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
