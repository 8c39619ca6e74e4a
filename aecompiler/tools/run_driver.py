"""The work of aec-run: from flags to a call, and what is made of its results."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aecompiler import diagnostics as diags
from aecompiler.accuracy import compare
from aecompiler.arrays import to_numpy
from aecompiler.bindings import ir
from aecompiler.compiler import compile
from aecompiler.dialect import make_context
from aecompiler.errors import AecError, BackendError
from aecompiler.kernel import Kernel
from aecompiler.tools import mask_plot, run_files
from aecompiler.tools.command_line import FAILED, OK, parse_options, parse_shape
from aecompiler.tools.errors import UsageError
from aecompiler.tools.files import check_writable
from aecompiler.tools.run_inputs import inputs_for
from aecompiler.tools.run_program import SUFFIXES, Loaded, load
from aecompiler.tools.streams import write_stdout
from aecompiler.tools.supervise import Reporter
from aecompiler.tools.tolerances import default_tolerance


def run(args: Any, report: Reporter) -> int:
    """Run the tool on parsed flags and return the exit status.

    Raises UsageError for mistakes in flags and files; reports an invalid program.
    """
    report("doing", "loading the program")
    loaded = Loaded(None)
    try:
        loaded = load(args.program)
        return _run(loaded, args, report)
    except BackendError as error:
        raise UsageError(str(error)) from None
    except AecError as error:
        sys.stderr.write(f"{diags.render_error(error, loaded.file)}\n")
        return FAILED
    except RuntimeError as error:
        if not diags.is_unreadable(error) or not args.program.endswith(SUFFIXES):
            raise
        return _report_escaped(error, args.program)
    except MemoryError as error:
        what = f": {error}" if str(error) else ""  # numpy says how much it asked for
        raise UsageError(f"not enough memory, while {report.facts['doing']}{what}") from None


def _report_escaped(error: RuntimeError, path: str) -> int:
    """Report the diagnostics of parsing a file, of which one is no UTF-8 text, or else raise `error`."""
    again = contextlib.suppress(ir.MLIRError, RuntimeError)  # the list holds what they say
    with make_context() as context, diags.capture_escaped(context, path) as found, again:
        ir.Module.parse(Path(path).read_bytes())
    if not found:
        raise error
    sys.stderr.writelines(f"{diagnostic.render()}\n" for diagnostic in found)
    return FAILED


def _run(loaded: Loaded, args: Any, report: Reporter) -> int:
    if args.mlir:
        program = loaded.program
        write_stdout(program.read_bytes() if isinstance(program, Path) else str(program))
        return OK
    tile = _plot_tile(args)
    report("doing", "compiling")
    kernel = _compile(loaded, args)
    outputs = _outputs(args.output, kernel)
    report("doing", "making the inputs")
    inputs = inputs_for(args, kernel, loaded.inputs)

    report("doing", "running the kernel")
    results = _call(kernel, inputs)
    manner = "" if kernel.launches is None else ", simulated"
    for launch in kernel.launches or ():
        grid = "x".join(map(str, launch.grid))
        write_stdout(
            f"simulated kernel {launch.kernel} for {args.target}: {grid} workgroups, "
            f"{launch.counts.instructions} wave instructions\n"
        )
    for result, array in zip(kernel.results, results, strict=True):
        write_stdout(f"{result.name}: {result.dtype} {list(array.shape)}{manner}\n")
        if args.print:
            write_stdout(f"{np.array2string(array, threshold=sys.maxsize, max_line_width=110)}\n")
    report("doing", "writing the results")
    by_name = {result.name: array for result, array in zip(kernel.results, results, strict=True)}
    for path, names in outputs:
        run_files.write(path, {name: by_name[name] for name in names})
    if args.plot_mask is not None:
        report("doing", "drawing the mask")
        mask_plot.plot(args.plot_mask, kernel, inputs, *tile)
    if args.time:
        report("doing", "timing the kernel")
        median = _median_ms(kernel, inputs, args.repeat)
        write_stdout(f"time: median {median:.3f} ms of {args.repeat} calls\n")
    if args.check:
        report("doing", "evaluating the reference")
        return _check(kernel, inputs, results, args.tolerance)
    return OK


def _plot_tile(args: Any) -> tuple[int, int]:
    """Rows and keys of the tiles to draw; checks what --plot-mask needs."""
    shape = parse_shape(args.plot_tile, "--plot-tile", "64x64")
    if len(shape) != 2 or not all(shape):
        raise UsageError(f"--plot-tile expects ROWSxKEYS, each at least 1, got '{args.plot_tile}'")
    if args.plot_mask is not None:
        mask_plot.check_plot(args.plot_mask)
    return shape[0], shape[1]


def _compile(loaded: Loaded, args: Any) -> Kernel:
    options = parse_options(args.option)
    try:
        return compile(loaded.program, args.target, function=args.function, simulate=args.simulate, **options)
    except TypeError as error:
        raise UsageError(f"--option: {error}") from None
    except ValueError as error:
        # Which of several functions is meant: compile() says it in the words of the Python interface.
        raise UsageError(str(error).replace("function=", "--function")) from None


def _call(kernel: Kernel, inputs: Sequence[Any]) -> tuple[np.ndarray, ...]:
    try:
        results = kernel(*kernel.place(inputs))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return tuple(map(to_numpy, results if isinstance(results, tuple) else (results,)))


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
        if os.path.realpath(path) in [os.path.realpath(other) for other, _ in found]:
            raise UsageError(f"--output '{path}' is given twice")
        check_writable(path)
        found.append((path, wanted))
    return found


def _median_ms(kernel: Kernel, inputs: Sequence[Any], repeat: int) -> float:
    seconds = []
    placed = kernel.place(inputs)
    for _ in range(repeat):
        begin = time.perf_counter()
        kernel(*placed)
        kernel.wait()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1e3


def _check(
    kernel: Kernel, inputs: Sequence[Any], results: Sequence[np.ndarray], tolerance: float | None
) -> int:
    if tolerance is None:
        tolerance = default_tolerance(kernel.arguments)
    reference = kernel.evaluate_reference(*inputs)
    status = OK
    manner = "" if kernel.launches is None else " (simulated)"
    for result, array, expected in zip(kernel.results, results, reference, strict=True):
        error = compare(result.name, array, expected)
        good = error.max_rel_error <= tolerance
        status = status if good else FAILED
        elsewhere = f", {error.mismatched} elements finite on one side only" if error.mismatched else ""
        write_stdout(
            f"check {result.name}{manner}: {'ok' if good else 'FAILED'}: error {error.max_rel_error:.2e} of "
            f"the largest value (tolerance {tolerance:.1e}), {error.max_abs_error:.2e} absolute{elsewhere}\n"
        )
    if reference.out_of_bounds:
        write_stdout(f"check: FAILED: {reference.out_of_bounds} reads out of bounds at unmasked elements\n")
        status = FAILED
    return status
