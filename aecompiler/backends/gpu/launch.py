"""Runs what a GPU backend emits: kernels loaded per device, launched on torch's streams."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aecompiler.backends.gpu.artifact import GpuArtifact
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.torch_types import torch_dtype


class Device(NamedTuple):
    """What calls on a device need of it.

    `driver` is that of its vendor's library: `current()` is the context of this thread, and within
    `using(context)` it is another one.
    """

    driver: Any
    ordinal: int
    context: int
    launchers: Sequence[Any]
    current_stream: Callable[[int], int]
    empty: Callable[[Sequence[int], str], Any]


class GpuExecutable(abc.ABC):
    """A compiled program on torch's tensors. Calls do not wait for the device, and may overlap in threads.

    A call runs on the current stream of the device that its tensors are on, and does nothing else than launch
    kernels and allocate by torch, so that a graph can capture it.
    """

    def __init__(self, artifact: GpuArtifact[Any]):
        self.plan = artifact.manifest["plan"]
        self.program = make_program(self.plan)
        self.kernels = kernel_names(self.plan)
        self._entry = artifact.entry
        self._tensors = [n for n, each in enumerate(self.plan["arguments"]) if each["shape"] is not None]
        self._devices: dict[int, Device] = {}
        self._lock = threading.Lock()

    def __call__(self, arguments: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """Run on tensors and numbers in the function's order; returns the results.

        `results` are tensors to write to, or None for new ones. Raises `ValueError` for tensors on several
        devices, `MemoryError` where memory is short, and `BackendError` where the code can't run.
        """
        device = self.device_of(arguments, results)
        stream = device.current_stream(device.ordinal)
        found = device.driver
        try:
            if found.current() == device.context:
                return self.program(device.launchers, stream, device.empty, arguments, results)
            with found.using(device.context):
                return self.program(device.launchers, stream, device.empty, arguments, results)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's
                raise
            raise MemoryError(f"'{self._entry}' needs more memory than there is: {error}") from None

    @abc.abstractmethod
    def require_device(self) -> None:
        """Raise `BackendError` where no device of the vendor can be used."""

    @abc.abstractmethod
    def find_device(self, index: int) -> Device:
        """What calls on a device share; `BackendError` for another chip than the code is for."""

    def device_of(self, arguments: Sequence[Any], results: Sequence[Any]) -> Device:
        """The device that all tensors are on."""
        index = self._index_of(arguments, results)
        return self._devices.get(index) or self._load(index)

    def _index_of(self, arguments: Sequence[Any], results: Sequence[Any]) -> int:
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
        name = self.plan[group][position]["name"]
        other = self.plan["arguments"][self._tensors[0]]["name"]
        return ValueError(
            f"{what} '{name}': expects a tensor on the device of '{other}', cuda:{first}, got {tensor.device}"
        )

    def _load(self, index: int) -> Device:
        with self._lock:
            if index not in self._devices:
                self._devices[index] = self.find_device(index)
            return self._devices[index]


def _current_device() -> int:
    import torch

    return torch.cuda.current_device()


def current_stream() -> Callable[[int], int]:
    """What gives the current stream of a device, as the number that the driver knows it by."""
    import torch

    raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    return raw or (lambda index: torch.cuda.current_stream(index).cuda_stream)


def empty_on(index: int) -> Callable[[Sequence[int], str], Any]:
    """What makes tensors on a device."""
    import torch

    device = torch.device("cuda", index)
    empty = torch.empty
    return lambda sizes, dtype: empty(sizes, dtype=torch_dtype(dtype), device=device)
