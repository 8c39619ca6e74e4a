"""How far the results of a kernel are from the float64 reference."""

from __future__ import annotations

import dataclasses
from typing import Any

from aecompiler import arrays
from aecompiler.compiler import compile
from aecompiler.kernel import Kernel


@dataclasses.dataclass(frozen=True)
class ResultError:
    """How far one result is from the reference: the largest absolute error, and that relative to the largest
    magnitude of the reference. `mismatched` counts elements where only one of the two is finite, or both are
    not finite and differ."""

    name: str
    max_abs_error: float
    max_rel_error: float
    mismatched: int


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """A kernel's results compared with the float64 reference.

    `out_of_bounds` counts reads outside of captured tensors at unmasked elements: they read the nearest
    element, which is rarely meant.
    """

    results: tuple[ResultError, ...]
    out_of_bounds: int

    @property
    def max_abs_error(self) -> float:
        """The largest of the results; infinite if an element is finite on one side only."""
        return max((r.max_abs_error for r in self.results), default=0.0)

    @property
    def max_rel_error(self) -> float:
        """The largest of the results; infinite if an element is finite on one side only."""
        return max((r.max_rel_error for r in self.results), default=0.0)

    def __str__(self) -> str:
        lines = [
            f"{r.name}: max abs error {r.max_abs_error:.2e}, "
            f"relative to the largest value {r.max_rel_error:.2e}"
            + (f", {r.mismatched} elements disagree about being finite" if r.mismatched else "")
            for r in self.results
        ]
        if self.out_of_bounds:
            lines.append(f"{self.out_of_bounds} reads out of bounds at unmasked elements")
        return "\n".join(lines)


def check(program: Any, /, *args: Any, target: str = "cpu", **kwargs: Any) -> CheckReport:
    """Run a program (or a `Kernel`) on arguments and compare it with the float64 reference.

    Arrays of the host are copied to the GPU for a kernel that runs there. Arrays that a call updates are
    compared as well, and stay as they are. An argument of the program that is
    called target goes by position. Raises what `compile` and a call of the
    kernel raise.
    """
    if not isinstance(target, str):
        raise TypeError(f"check() expects target to be the name of one, got '{type(target).__name__}'")
    kernel = program if isinstance(program, Kernel) else compile(program, target)
    values = kernel.bind(args, kwargs)
    reference = kernel.evaluate_reference(*values)
    placed = kernel.place(values)
    changed: dict[int, Any] = {}
    names: dict[int, str] = {}
    for number, argument in enumerate(kernel.arguments):
        if argument.in_place is not None:  # in a copy: the caller's stays
            placed[number] = changed[argument.in_place] = arrays.copy_of(placed[number])
            names[argument.in_place] = argument.name
    outputs = kernel(*placed)
    outputs = iter((outputs,) if len(kernel.results) == 1 else outputs)
    results = iter(kernel.results)
    errors = tuple(
        compare(names[n], changed[n], expected)
        if n in changed
        else compare(next(results).name, next(outputs), expected)
        for n, expected in enumerate(reference)
    )
    return CheckReport(errors, reference.out_of_bounds)


def compare(name: str, output: Any, expected: Any) -> ResultError:
    """The error of one array against float64 values; `ValueError` unless both have the same shape."""
    import numpy as np

    got = np.asarray(arrays.to_numpy(output)).astype(np.float64)
    want = np.asarray(expected, np.float64)
    if got.shape != want.shape:
        raise ValueError(f"result '{name}': expects shape {want.shape}, got {got.shape}")
    finite = np.isfinite(got) & np.isfinite(want)
    same = np.where(np.isnan(want), np.isnan(got), got == want)
    mismatched = int(np.count_nonzero(~finite & ~same))
    error = float(np.abs(np.where(finite, got, 0) - np.where(finite, want, 0)).max(initial=0.0))
    scale = float(np.abs(np.where(finite, want, 0)).max(initial=0.0))
    relative = error / scale if scale else error
    if mismatched:
        error = relative = float("inf")
    return ResultError(name, error, relative, mismatched)
