"""What the examples share: inputs for a program, one run on the CPU, and the check against the reference.

An example names the inputs that are more than random numbers, in a dictionary `inputs`: an array, a text as
`aec-run --input` takes it, or a function of a random generator and a shape, such as those below. `aec-run`
reads that dictionary too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

import aecompiler as aec
from aecompiler.tools.run_inputs import make_inputs
from aecompiler.tools.run_values import module_value
from aecompiler.tools.tolerances import default_tolerance

Input = Any  # an array, a number, a text, or a function of a generator and a shape


def log_decay(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Logarithms of decays in (0, 1), most of them near 1: logsigmoid(x + 3)."""
    return -np.logaddexp(0.0, -(rng.standard_normal(shape) + 3.0))


def rate(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in (0, 1): sigmoid(x)."""
    return 1.0 / (1.0 + np.exp(-rng.standard_normal(shape)))


def step_size(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Small positive numbers: softplus(x - 2)."""
    return np.logaddexp(0.0, rng.standard_normal(shape) - 2.0)


def unit_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Rows of length 1."""
    x = rng.standard_normal(shape)
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)


def draw(
    kernel: aec.Kernel, inputs: Mapping[str, Input], sizes: Mapping[str, int], seed: int = 0
) -> dict[str, Any]:
    """A value for each argument of a kernel, as `aec-run` makes it: from `inputs`, or random."""
    values = {name: module_value(name, value) for name, value in inputs.items()}
    shapes = {
        argument.name: tuple(sizes[dim] if isinstance(dim, str) else dim for dim in argument.shape)
        for argument in kernel.arguments
    }
    made = make_inputs(kernel.arguments, values, shapes, seed)
    return dict(zip([argument.name for argument in kernel.arguments], made, strict=True))


def run(program: aec.Program, inputs: Mapping[str, Input] | None = None, **sizes: int) -> None:
    """Compile a program for the CPU, run it, and print its error; exit with status 1 if that is too large."""
    kernel = aec.compile(program, target="cpu")
    report = aec.check(kernel, **draw(kernel, inputs or {}, sizes))
    print(repr(program), report, sep="\n")
    if not report.max_rel_error <= default_tolerance(kernel.arguments):
        sys.exit("the error is too large")
