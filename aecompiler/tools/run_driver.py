"""The work of aec-run: from flags to inputs, a call, and what is made of its results."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aecompiler.arrays import Argument
from aecompiler.compiler import Kernel, compare, compile
from aecompiler.tools import run_files, run_values
from aecompiler.tools.command_line import FAILED, OK, parse_shape, split_name
from aecompiler.tools.errors import UsageError
from aecompiler.tools.run_files import FileError
from aecompiler.tools.run_program import ProgramError, load
from aecompiler.tools.run_values import InputError, Value
from aecompiler.tools.supervise import Reporter
from aecompiler.tools.tolerances import default_tolerance


def run(args: Any, report: Reporter) -> int:
    """Run the tool on parsed flags and return the exit status.

    Raises UsageError for mistakes in flags and files, AecError for an invalid program.
    """
    report("doing", "loading the program")
    try:
        program = load(args.program)
    except ProgramError as error:
        raise UsageError(str(error)) from None
    if args.mlir:
        print(program.read_text() if isinstance(program, Path) else program, end="")
        return OK
    report("doing", "compiling")
    kernel = _compile(program, args)
    outputs = _outputs(args.output, kernel)
    try:
        inputs = _inputs(args, kernel)
    except (InputError, FileError) as error:
        raise UsageError(str(error)) from None

    report("doing", "running the kernel")
    results = _call(kernel, inputs)
    for result, array in zip(kernel.results, results, strict=True):
        print(f"{result.name}: {result.dtype} {list(array.shape)}")
        if args.print:
            print(np.array2string(array, threshold=sys.maxsize, max_line_width=110))
    report("doing", "writing the results")
    by_name = {result.name: array for result, array in zip(kernel.results, results, strict=True)}
    try:
        for path, names in outputs:
            run_files.write(path, {name: by_name[name] for name in names})
    except FileError as error:
        raise UsageError(str(error)) from None
    if args.time:
        report("doing", "timing the kernel")
        print(f"time: median {_median_ms(kernel, inputs, args.repeat):.3f} ms of {args.repeat} calls")
    if args.check:
        report("doing", "evaluating the reference")
        return _check(kernel, inputs, results, args.tolerance)
    return OK


def _compile(program: Any, args: Any) -> Kernel:
    try:
        return compile(program, args.target, function=args.function)
    except ValueError as error:
        # Which of several functions is meant: compile() says it in the words of the Python interface.
        raise UsageError(str(error).replace("function=", "--function")) from None


def _call(kernel: Kernel, inputs: Sequence[Any]) -> tuple[np.ndarray, ...]:
    try:
        results = kernel(*inputs)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return results if isinstance(results, tuple) else (results,)


# ---- inputs --------------------------------------------------------------------------------------


def _inputs(args: Any, kernel: Kernel) -> list[Any]:
    """A value for each argument of the kernel, in order."""
    arguments = {argument.name: argument for argument in kernel.arguments}
    values = _given_values(args.input, arguments)
    shapes = _shapes(args, kernel, values)
    lengths = {
        dim: size
        for argument in kernel.arguments
        for dim, size in zip(argument.shape, shapes.get(argument.name, ()), strict=False)
        if isinstance(dim, str)
    }
    made: list[Any] = []
    for position, argument in enumerate(kernel.arguments):
        value = values.get(argument.name)
        if argument.kind == "scalar":
            made.append(run_values.make_scalar(argument.name, argument.dtype, value))
            continue
        if value is None:
            value = run_values.default_value(argument.dtype)
        # A generator for each argument: a file for one leaves the others as they are.
        rng = np.random.default_rng([args.seed, position])
        shape = shapes[argument.name]
        made.append(
            run_values.make_tensor(argument.name, argument.dtype, value, shape, rng, lengths, cast=args.cast)
        )
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
    return shapes


def _given_dims(texts: Sequence[str], kernel: Kernel) -> dict[str, int]:
    known = {dim for argument in kernel.arguments for dim in argument.shape if isinstance(dim, str)}
    dims: dict[str, int] = {}
    for text in texts:
        name, size = split_name("--dim", text, "NAME=SIZE")
        if name not in known:
            names = ", ".join(sorted(known)) or "none; give --shape"
            raise UsageError(f"--dim: the program has no dimension '{name}' (dimensions: {names})")
        if not size.isdecimal():
            raise UsageError(f"--dim {name}: expects a size, got '{size}'")
        if dims.setdefault(name, int(size)) != int(size):
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


# ---- results -------------------------------------------------------------------------------------


def _outputs(texts: Sequence[str], kernel: Kernel) -> list[tuple[str, list[str]]]:
    """Each file to write, with the names of the results that go there."""
    names = [result.name for result in kernel.results]
    found: list[tuple[str, list[str]]] = []
    for text in texts:
        name, separator, path = text.partition("=")
        if separator and name.isidentifier():
            if name not in names:
                raise UsageError(
                    f"--output: the program has no result '{name}' (results: {', '.join(names)})"
                )
            wanted = [name]
        else:
            path, wanted = text, names
        if not run_files.is_array_file(path):
            raise UsageError(
                f"--output expects a file ending in {', '.join(run_files.SUFFIXES)}, got '{path}'"
            )
        if len(wanted) > 1 and path.endswith(".npy"):
            raise UsageError(
                f"--output {path}: a .npy file holds one array and there are {len(wanted)} results "
                f"({', '.join(wanted)}); give NAME={path}, or a .npz or .safetensors file"
            )
        if not Path(path).absolute().parent.is_dir():
            raise UsageError(f"--output: no folder '{Path(path).parent}'")
        if path in [other for other, _ in found]:
            raise UsageError(f"--output '{path}' is given twice")
        found.append((path, wanted))
    return found


def _median_ms(kernel: Kernel, inputs: Sequence[Any], repeat: int) -> float:
    seconds = []
    for _ in range(max(repeat, 1)):
        begin = time.perf_counter()
        kernel(*inputs)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1e3


def _check(
    kernel: Kernel, inputs: Sequence[Any], results: Sequence[np.ndarray], tolerance: float | None
) -> int:
    if tolerance is None:
        tolerance = default_tolerance(kernel.arguments)
    reference = kernel.evaluate_reference(*inputs)
    status = OK
    for result, array, expected in zip(kernel.results, results, reference, strict=True):
        error = compare(result.name, array, expected)
        good = error.max_rel_error <= tolerance
        status = status if good else FAILED
        elsewhere = f", {error.mismatched} elements finite on one side only" if error.mismatched else ""
        print(
            f"check {result.name}: {'ok' if good else 'FAILED'}: error {error.max_rel_error:.2e} of the "
            f"largest value (tolerance {tolerance:.1e}), {error.max_abs_error:.2e} absolute{elsewhere}"
        )
    if reference.out_of_bounds:
        print(f"check: FAILED: {reference.out_of_bounds} reads out of bounds at unmasked elements")
        status = FAILED
    return status
