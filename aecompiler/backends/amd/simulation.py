"""Runs what the AMD backend emits without an AMD GPU: kernels in the simulator, on the host's memory.

Nothing is said about time: a simulated call counts instructions.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.amd.artifact import AmdArtifact
from aecompiler.backends.amd.reach import reach_check
from aecompiler.backends.base import Buffer, Scalar
from aecompiler.backends.gpu.artifact import ALIGNED, UNALIGNED
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.backends.gpu.host_tensors import Address, HostTensor

_FLOATS = {"f16": "e", "f32": "f", "f64": "d"}


@dataclasses.dataclass(frozen=True)
class SimulatedLaunch:
    """A launch that was simulated, and what the simulator counted."""

    kernel: str
    grid: tuple[int, int, int]
    counts: Any


class SimulatedExecutable:
    """A compiled program on the host's arrays, whose kernels are executed instruction by instruction.

    `launches` are those of the call that ended last.
    """

    def __init__(self, artifact: AmdArtifact):
        plan = artifact.manifest["plan"]
        self._artifact = artifact
        self._arguments, self._results = plan["arguments"], plan["results"]
        self._program = make_program(plan)
        self._kernels = kernel_names(plan)
        self._parsed = functools.cache(self._parse)
        self.launches: tuple[SimulatedLaunch, ...] = ()

    def __call__(self, arguments: Sequence[Any], results: Sequence[Any]) -> None:
        """Run on buffers and scalars in the function's order, and write to the results.

        Raises the simulator's errors, as for a kernel that accesses memory which is not its own.
        """
        made: list[SimulatedLaunch] = []
        self._program(
            [self._launcher(name, made) for name in self._kernels],
            0,
            HostTensor.empty,
            [_value(each, value) for each, value in zip(self._arguments, arguments, strict=True)],
            [HostTensor.of(value, each["dtype"]) for each, value in zip(self._results, results, strict=True)],
        )
        self.launches = tuple(made)

    def _launcher(self, name: str, made: list[SimulatedLaunch]) -> Callable[..., None]:
        from aecompiler.backends.amd.simulator import simulate

        parameters = self._artifact.manifest["kernels"][name]["parameters"]

        def launch(_stream: int, x: int, y: int, z: int, misaligned: int, *values: Any) -> None:
            if x <= 0 or y <= 0 or z <= 0:
                return
            form = UNALIGNED if misaligned else ALIGNED
            code = self._artifact.code(name, form)
            if (check := reach_check(name, parameters, code.reaches)) is not None:
                check(values)
            given = [each.tensor.memory() if isinstance(each, Address) else each for each in values]
            counts = simulate(self._parsed(name, form), given, (x, y, z), code.threads, code.shared)
            made.append(SimulatedLaunch(name, (x, y, z), counts))

        return launch

    def _parse(self, name: str, form: str) -> Any:
        from aecompiler.backends.amd.simulator import Program

        code = self._artifact.code(name, form)
        return Program.parse(code.assembly, code.symbol, self._artifact.manifest["chip"])


def _value(argument: dict[str, Any], value: Buffer | Scalar) -> Any:
    """An argument as host programs take it."""
    if isinstance(value, Buffer):
        return HostTensor.of(value, argument["dtype"])
    dtype = argument["dtype"]
    if dtype == "bf16":  # the upper half of an f32
        return struct.unpack("=f", bytes(2) + value.data[:2])[0]
    if dtype in _FLOATS:
        return struct.unpack_from(f"={_FLOATS[dtype]}", value.data)[0]
    return int.from_bytes(value.data, sys.byteorder, signed=True)
