"""A compiled program as a function of numpy arrays and torch tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from aecompiler import arrays, device_arrays
from aecompiler.arrays import Argument
from aecompiler.backends.base import Artifact, Backend
from aecompiler.dialect import make_context
from aecompiler.signature import inlined
from aecompiler.sizes import Sizes
from aecompiler.updates import check_updated, updated

_ARRAYS: dict[str, Any] = {"host": arrays, "cuda": device_arrays}
"""What takes a kernel's arguments and makes its results, by the memory that its backend works in."""

_MOST_CHECKED = 1024


class Kernel:
    """A compiled program; made by `aec.compile`.

    Call it with numpy arrays or torch tensors, by position or by name; one for a GPU takes torch tensors on
    it, all on one device. Strided views (`[batch, sequence, head, feature]` transposed, expanded, sliced) are
    taken without a copy as long as the elements of a row, the last dimension, are neighbours; else code may
    copy them inside. Inputs are never written to, but for those that the program updates (`form="step"` of
    `aec.compile`; `in_place` of the argument): these are written in the caller's memory, overlap nothing else
    of the call, and are no results.
    The results are new contiguous arrays: torch tensors if any argument is one, else numpy arrays; a single
    result is returned by itself, several as a tuple. With `out=` they are written to an array of the caller
    (several: a tuple of them), which overlaps no input and, on the host, is contiguous; it is returned. A
    program with an argument of that name has no `out=`. Kernels may be called from several threads at once.
    On a GPU a call launches on torch's current stream and does not wait; CUDA graphs can capture it.

    `arguments` and `results` describe the signature, `artifact` holds the code.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[Argument],
        results: Sequence[Argument],
        sizes: Sizes,
        backend: Backend,
        artifact: Artifact,
        source: bytes,
    ):
        self.name = name
        self.arguments = tuple(arguments)
        self.results = tuple(results)
        self.artifact = artifact
        self._sizes = sizes
        self._source = source
        self._arrays = _ARRAYS[backend.memory]
        self._executable = backend.load(artifact)
        self._manner = ", simulated" if self.launches is not None else ""
        self._repeated = self._arrays.repeated_calls(self.arguments, self._executable)
        self._updated = updated(self.arguments)
        self._takes_out = all(argument.name != "out" for argument in self.arguments)
        self._checked: dict[tuple[Any, ...], list[tuple[int, ...]]] = {}

    def __repr__(self) -> str:
        arguments, results = (", ".join(map(str, group)) for group in (self.arguments, self.results))
        return f"<Kernel {self.name}({arguments}) -> ({results}) on {self.artifact.target}{self._manner}>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program.

        Raises `TypeError` for a wrong number or name of arguments, a wrong kind of object or dtype, and
        `ValueError` for a wrong rank, size or device, and for sizes of two arguments that do not agree; each
        message names the argument. Raises `MemoryError` for a tensor that no memory holds, before or while
        the program runs; arrays of `out` may have been written to by then.
        """
        out = kwargs.pop("out", None) if self._takes_out else None
        values = self.bind(args, kwargs)
        if self._repeated is not None and (outputs := self._repeated(values, out)) is not None:
            return outputs[0] if len(outputs) == 1 else tuple(outputs)
        take = self._arrays.take
        taken = [take(argument, value) for argument, value in zip(self.arguments, values, strict=True)]
        inputs = [each for each, _, _ in taken]
        if self._updated:
            check_updated(self.arguments, inputs, self._arrays.overlap)
        wanted = self._result_shapes([shape for _, shape, _ in taken])
        if out is None:
            like = self._arrays.like(values)
            made = [
                self._arrays.allocate(result.dtype, shape, like)
                for result, shape in zip(self.results, wanted, strict=True)
            ]
        else:
            made = self._into(out, wanted, inputs)
            for _, array in made:
                self._arrays.note_write(array)  # before it happens, since a call may fail half-way
        for n in self._updated:
            self._arrays.note_write(values[n])
        self._executable(inputs, [buffer for buffer, _ in made])
        outputs = tuple(array for _, array in made)
        if self._repeated is not None:
            self._repeated.note(values, inputs, () if out is None else outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _result_shapes(self, actuals: Sequence[Any]) -> list[tuple[int, ...]]:
        """The shapes of the results for shapes, or values, of arguments, once these are checked."""
        # No size follows from a float, and calls of the same sizes are many.
        key = tuple([None if type(actual) is float else actual for actual in actuals])
        shapes = self._checked.get(key)
        if shapes is None:
            self._sizes.check(actuals)
            shapes = [shape or () for shape in self._sizes.result_shapes(actuals)]
            if len(self._checked) >= _MOST_CHECKED:
                self._checked.clear()
            self._checked[key] = shapes
        return shapes

    def _into(
        self, out: Any, shapes: Sequence[tuple[int, ...]], inputs: Sequence[Any]
    ) -> list[tuple[Any, Any]]:
        """The arrays of the caller that results are written to."""
        given = out if isinstance(out, (tuple, list)) else (out,)
        if len(given) != len(self.results):
            raise TypeError(
                f"{self.name}() expects out to hold {len(self.results)} arrays, one for each result, "
                f"got {len(given)}"
            )
        taken = [
            (f"argument '{argument.name}'", argument.dtype, buffer)
            for argument, buffer in zip(self.arguments, inputs, strict=True)
            if argument.kind == "tensor"
        ]
        made = []
        for result, shape, value in zip(self.results, shapes, given, strict=True):
            buffer = self._arrays.take_result(result, shape, value)
            for what, dtype, other in taken:
                if self._arrays.overlap(buffer, result.dtype, other, dtype):
                    raise ValueError(f"result '{result.name}': expects an array that does not overlap {what}")
            taken.append((f"result '{result.name}'", result.dtype, buffer))
            made.append((buffer, value))
        return made

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The values of a call in the order of `arguments`; `TypeError` for a wrong number or name."""
        if not kwargs and len(args) == len(self.arguments):
            return list(args)
        names = [argument.name for argument in self.arguments]
        if len(args) > len(names):
            raise TypeError(
                f"{self.name}() takes {len(names)} arguments ({', '.join(names)}), got {len(args)}"
            )
        values = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in names:
                raise TypeError(f"{self.name}() has no argument '{name}' (arguments: {', '.join(names)})")
            if name in values:
                raise TypeError(f"{self.name}() got argument '{name}' twice")
            values[name] = value
        if missing := [name for name in names if name not in values]:
            raise TypeError(f"{self.name}() is missing argument {', '.join(map(repr, missing))}")
        return [values[name] for name in names]

    def complete_shapes(self, shapes: Sequence[Sequence[int | None]]) -> list[list[int | None]]:
        """The shapes of a call with unknown sizes (None) filled in where they follow from known ones.

        `shapes` holds one for each of `arguments`; that of a scalar is empty.
        """
        return self._sizes.complete(shapes)

    def place(self, values: Sequence[Any]) -> list[Any]:
        """Values for arguments, where this kernel reads them: for one of a GPU, arrays are copied there.

        Raises `BackendError` where there is no such GPU.
        """
        if (require := getattr(self._executable, "require_device", None)) is not None:
            require()
        return [self._arrays.place(value) for value in values]

    @property
    def launches(self) -> Sequence[Any] | None:
        """What the last call launched in a simulator, with its counts; None where nothing is simulated."""
        return getattr(self._executable, "launches", None)

    def wait(self) -> None:
        """Wait until the calls made so far are done."""
        self._arrays.wait()

    def evaluate_reference(self, /, *args: Any, **kwargs: Any) -> Any:
        """The program in float64, by `aecompiler.reference.evaluate` (slow, whole rows): a list of arrays.

        Arguments stay as they are; what they would be as updated stands at their `in_place` in the list.
        """
        from aecompiler.reference.evaluate import evaluate

        values = [arrays.to_numpy(value) for value in self.bind(args, kwargs)]
        with make_context():
            _module, function = self.inlined_program()
            return evaluate(function, values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the kernel to a file, which `aecompiler.saved_kernel.load` reads without MLIR and Triton.

        Raises `UnsupportedError` for a target whose code can't be saved, and for a program with rules for
        sizes other than that some are equal.
        """
        self.artifact.save(path, self._sizes.rules())

    def inlined_program(self) -> tuple[Any, Any]:
        """A copy of the program in the current context, with calls inlined: the module, and its function."""
        return inlined(self._source, self.name)
