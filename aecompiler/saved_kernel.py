"""Kernels from files that `Kernel.save` has written; loads torch, but neither MLIR nor Triton."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aecompiler import device_arrays
from aecompiler.arrays import Argument
from aecompiler.backends.amd.artifact import AmdArtifact
from aecompiler.backends.amd.launch import HipExecutable
from aecompiler.backends.nvidia.artifact import NvidiaArtifact
from aecompiler.backends.nvidia.launch import CudaExecutable
from aecompiler.updates import check_updated, updated


class SavedKernel:
    """A compiled program; made by `load`. Call it as a `Kernel`, by position."""

    def __init__(self, artifact: NvidiaArtifact | AmdArtifact):
        plan = artifact.manifest["plan"]
        self.name: str = plan["function"]
        self.artifact = artifact
        self.arguments = tuple(_argument(each) for each in plan["arguments"])
        self.results = tuple(_argument(each) for each in plan["results"])
        self._sizes = _Rules(self.arguments, artifact.manifest.get("sizes", {}))
        self._executable = _executable(artifact)
        self._repeated = device_arrays.repeated_calls(self.arguments, self._executable)

    def __call__(self, *args: Any, out: Any = None) -> Any:
        """Run the program on the current stream of the device that the tensors are on.

        Raises `TypeError` and `ValueError` as a `Kernel` does.
        """
        if len(args) != len(self.arguments):
            names = ", ".join(argument.name for argument in self.arguments)
            raise TypeError(f"{self.name}() takes {len(self.arguments)} arguments ({names}), got {len(args)}")
        if self._repeated is not None and (found := self._repeated(args, out)) is not None:
            return found[0] if len(found) == 1 else tuple(found)
        taken = [device_arrays.take(*pair) for pair in zip(self.arguments, args, strict=True)]
        self._sizes.check([shape for _, shape, _ in taken])
        inputs = [value for value, _, _ in taken]
        check_updated(self.arguments, inputs, device_arrays.overlap)
        for n in updated(self.arguments):
            device_arrays.note_write(args[n])
        outputs = self._executable(inputs, self._into(out, inputs))
        if self._repeated is not None:
            self._repeated.note(args, inputs, () if out is None else outputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _into(self, out: Any, inputs: Sequence[Any]) -> list[Any]:
        """The tensors of the caller that results are written to; the program itself checks their shapes."""
        if out is None:
            return [None] * len(self.results)
        given = out if isinstance(out, (tuple, list)) else (out,)
        if len(given) != len(self.results):
            raise TypeError(
                f"{self.name}() expects out to hold {len(self.results)} tensors, got {len(given)}"
            )
        others = [
            (f"argument '{argument.name}'", value)
            for argument, value in zip(self.arguments, inputs, strict=True)
            if argument.kind == "tensor"
        ]
        for result, value in zip(self.results, given, strict=True):
            device_arrays.take_result(result, tuple(getattr(value, "shape", ())), value)
            for what, other in others:
                if device_arrays.overlap(value, "", other, ""):
                    raise ValueError(f"result '{result.name}': expects a tensor that does not overlap {what}")
            others.append((f"result '{result.name}'", value))
        for value in given:
            device_arrays.note_write(value)
        return list(given)


class _Rules:
    """Which sizes of a call must agree; those of one name do in any case."""

    def __init__(self, arguments: Sequence[Argument], rules: Mapping[str, Any]):
        self._names = [argument.name for argument in arguments]
        named: dict[str, list[tuple[int, int]]] = {}
        for n, argument in enumerate(arguments):
            for dimension, size in enumerate(argument.shape):
                if isinstance(size, str):
                    named.setdefault(size, []).append((n, dimension))
        self._equal = [*named.values(), *rules.get("equal", ())]
        self._fixed = rules.get("fixed", ())
        self._at_least = rules.get("at_least", ())

    def check(self, shapes: Sequence[Any]) -> None:
        """Raise `ValueError`, naming arguments and dimensions, for sizes that do not agree."""
        for (n, dimension), *others in self._equal:
            expected = shapes[n][dimension]
            for m, other in others:
                if shapes[m][other] != expected:
                    raise ValueError(
                        f"expects {self._place(n, dimension)} and {self._place(m, other)} to be equal, "
                        f"got {expected} and {shapes[m][other]}"
                    )
        for n, dimension, size in self._fixed:
            if shapes[n][dimension] != size:
                place, got = self._place(n, dimension), shapes[n][dimension]
                raise ValueError(f"expects {place} to be {size}, got {got}")
        for n, dimension, least in self._at_least:
            if shapes[n][dimension] < least:
                place, got = self._place(n, dimension), shapes[n][dimension]
                raise ValueError(f"expects {place} to be at least {least}, got {got}")

    def _place(self, argument: int, dimension: int) -> str:
        return f"{self._names[argument]}.shape[{dimension}]"


def load(path: str | os.PathLike[str]) -> SavedKernel:
    """The kernel in a file; `BackendError` for a file that holds none."""
    data = Path(path).read_bytes()
    artifact = NvidiaArtifact.from_bytes(data)
    is_amd = artifact.target.startswith("amd:")
    return SavedKernel(AmdArtifact.from_bytes(data) if is_amd else artifact)


def _executable(artifact: NvidiaArtifact | AmdArtifact) -> Any:
    return HipExecutable(artifact) if isinstance(artifact, AmdArtifact) else CudaExecutable(artifact)


def _argument(signature: Mapping[str, Any]) -> Argument:
    shape = signature["shape"]
    kind = "scalar" if shape is None else "tensor"
    return Argument(
        signature["name"], kind, tuple(shape or ()), signature["dtype"], signature.get("in_place")
    )
