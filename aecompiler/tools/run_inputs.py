"""The arguments of a call: from --input, from the program's module, or random, at sizes that fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aecompiler.arrays import Argument
from aecompiler.kernel import Kernel
from aecompiler.tools import run_files, run_values
from aecompiler.tools.command_line import parse_shape, parse_size, split_name
from aecompiler.tools.errors import UsageError
from aecompiler.tools.run_values import Value


def inputs_for(args: Any, kernel: Kernel, module_inputs: Mapping[str, Any]) -> list[Any]:
    """A value for each argument of the kernel, in order, as the flags ask. Raises UsageError."""
    arguments = {argument.name: argument for argument in kernel.arguments}
    values = _given_values(args.input, arguments)
    for name, value in module_inputs.items():
        if name in arguments and name not in values:
            values[name] = run_values.module_value(name, value)
    return make_inputs(kernel.arguments, values, _shapes(args, kernel, values), args.seed, cast=args.cast)


def make_inputs(
    arguments: Sequence[Argument],
    values: Mapping[str, Value],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    *,
    cast: bool = False,
) -> list[Any]:
    """A number or an array for each argument: what `values` says, or random. Raises InputError."""
    lengths = {
        dim: size
        for argument in arguments
        for dim, size in zip(argument.shape, shapes.get(argument.name, ()), strict=False)
        if isinstance(dim, str)
    }
    made: list[Any] = []
    for position, argument in enumerate(arguments):
        name, dtype, value = argument.name, argument.dtype, values.get(argument.name)
        # A generator for each argument: a file for one leaves the others as they are.
        rng = np.random.default_rng([seed, position])
        if argument.kind == "scalar":
            made.append(run_values.make_scalar(name, dtype, value, rng))
            continue
        if value is None:
            value = run_values.default_value(dtype)
        made.append(run_values.make_tensor(name, dtype, value, shapes[name], rng, lengths, cast=cast))
    return made


def _given_values(texts: Sequence[str], arguments: Mapping[str, Argument]) -> dict[str, Value]:
    values: dict[str, Value] = {}

    def add(name: str, value: Value) -> None:
        if name in values:
            raise UsageError(f"input '{name}' is given twice")
        values[name] = value

    for text in texts:
        name, separator, value = text.partition("=")
        if separator and name.isidentifier():
            _known(name, arguments, "--input")
            add(name, run_values.parse_value(name, value))
            continue
        if not text.endswith((".npz", ".safetensors")):
            raise UsageError(f"--input expects NAME=VALUE or an archive (.npz, .safetensors), got '{text}'")
        entries = [entry for entry in run_files.entries(text) if entry in arguments]
        if not entries:
            names = ", ".join(arguments)
            raise UsageError(f"--input '{text}' has no entry that is an argument (arguments: {names})")
        for entry in entries:
            add(entry, run_files.read(text, entry))
    return values


def _known(name: str, arguments: Mapping[str, Argument], option: str) -> Argument:
    if name not in arguments:
        names = ", ".join(arguments) or "none"
        raise UsageError(f"{option}: the program has no argument '{name}' (arguments: {names})")
    return arguments[name]


def _shapes(args: Any, kernel: Kernel, values: Mapping[str, Value]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor argument: what is static, what is given, and what must be equal to that."""
    arguments = {argument.name: argument for argument in kernel.arguments}
    dims = _given_dims(args.dim, kernel)
    given: dict[str, tuple[int, ...]] = {}
    for name, value in values.items():
        if arguments[name].kind == "tensor":
            if isinstance(value, np.ndarray):
                given[name] = value.shape
            elif isinstance(value, run_values.Literal) and value.numbers.ndim:
                given[name] = value.numbers.shape
    for text in args.shape:
        name, sizes = split_name("--shape", text, "NAME=AxBxC")
        argument, shape = _known(name, arguments, "--shape"), parse_shape(sizes)
        if len(shape) != len(argument.shape):
            raise UsageError(
                f"--shape {text}: expects {len(argument.shape)} sizes for argument '{name}', got {len(shape)}"
            )
        if given.setdefault(name, shape) != shape:
            raise UsageError(f"--shape {text}: input '{name}' has shape {'x'.join(map(str, given[name]))}")
    partial = [
        [_given_size(argument, axis, dim, given, dims) for axis, dim in enumerate(argument.shape)]
        for argument in kernel.arguments
    ]
    complete = kernel.complete_shapes(partial)
    shapes = {}
    for argument, found in zip(kernel.arguments, complete, strict=True):
        if None in found:
            raise UsageError(_missing_size(argument, found.index(None)))
        shapes[argument.name] = tuple(size for size in found if size is not None)
        for dim, size in zip(argument.shape, found, strict=False):
            if isinstance(dim, str) and dims.get(dim, size) != size:
                raise UsageError(f"--dim {dim}={dims[dim]}: the size in argument '{argument.name}' is {size}")
    return shapes


def _given_dims(texts: Sequence[str], kernel: Kernel) -> dict[str, int]:
    known = {dim for argument in kernel.arguments for dim in argument.shape if isinstance(dim, str)}
    dims: dict[str, int] = {}
    for text in texts:
        name, size = split_name("--dim", text, "NAME=SIZE")
        if name not in known:
            names = ", ".join(sorted(known)) or "none; give --shape"
            raise UsageError(f"--dim: the program has no dimension '{name}' (dimensions: {names})")
        length = parse_size(f"--dim {name}", size)
        if dims.setdefault(name, length) != length:
            raise UsageError(f"--dim {name} is given twice")
    return dims


def _given_size(
    argument: Argument,
    axis: int,
    dim: int | str | None,
    given: Mapping[str, tuple[int, ...]],
    dims: Mapping[str, int],
) -> int | None:
    if argument.name in given and axis < len(given[argument.name]):
        return given[argument.name][axis]
    return dims.get(dim) if isinstance(dim, str) else dim


def _missing_size(argument: Argument, axis: int) -> str:
    dim = argument.shape[axis]
    shape = f"--shape {argument.name}={'x'.join(['SIZE'] * len(argument.shape))}"
    if dim is None:
        return f"argument '{argument.name}': the size of dimension {axis} is not known; give {shape}"
    return f"argument '{argument.name}': the size of dimension '{dim}' is not known; give --dim {dim}=SIZE"
