"""Runs what the NVIDIA backend emits: kernels loaded per device, launched on torch's streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.gpu import launch as gpu
from aecompiler.backends.gpu.launch import Device, GpuExecutable
from aecompiler.backends.nvidia.artifact import NvidiaArtifact
from aecompiler.backends.nvidia.driver import Driver, driver
from aecompiler.backends.nvidia.launcher import Launcher
from aecompiler.backends.nvidia.recorded_call import RecordedCall, record
from aecompiler.errors import AecError, BackendError


class CudaExecutable(GpuExecutable):
    """A compiled program on CUDA tensors.

    The first of a class of calls that has a schedule of its own compiles before.
    """

    def __init__(self, artifact: NvidiaArtifact, find_driver: Callable[[], Driver] = driver):
        super().__init__(artifact)
        self._artifact = artifact
        self._find_driver = find_driver
        self._driver: Driver | None = None
        self._compiling = threading.Lock()  # held for seconds, in which other calls can load what there is
        self._lengths = artifact.manifest.get("lengths", {})
        self._few = self._lengths.get("few")
        self._of_class: dict[int, CudaExecutable] = {}
        self._of_bits: dict[int, CudaExecutable] = {}
        self._for_few: CudaExecutable | None = None

    def __call__(self, arguments: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """Run on tensors and numbers in the function's order; returns the results, as every GPU's does."""
        if self._lengths and (other := self._for_call(arguments)) is not self:
            return other(arguments, results)
        return super().__call__(arguments, results)

    def record(self, arguments: Sequence[Any], results: Sequence[Any]) -> RecordedCall | None:
        """What a call like this one does, which was made before; None where that can't be recorded.

        `results` are tensors to write to, or nothing for new ones.
        """
        if self._lengths and (other := self._for_call(arguments)) is not self:
            return other.record(arguments, results)
        device = self.device_of(arguments, results)
        return record(device, self.program, self.plan, arguments, results)

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

    def require_device(self) -> None:
        """Raise `BackendError` where there is no driver, or no device."""
        if not self._find_driver().device_count():
            raise BackendError("no NVIDIA GPU here")

    def find_device(self, index: int) -> Device:
        """What calls on a device share; `BackendError` for another chip than the code is for."""
        found = self._driver = self._driver or self._find_driver()
        wanted, got = tuple(self._artifact.manifest["capability"]), found.capability(index)
        if wanted != got:
            raise BackendError(
                f"'{self._artifact.entry}' is compiled for {self._artifact.target}, and device {index} is an "
                f"sm_{got[0]}{got[1]}"
            )
        return Device(
            found,
            index,
            found.context(index),
            [Launcher(found, index, self._artifact, name) for name in self.kernels],
            gpu.current_stream(),
            gpu.empty_on(index),
        )
