"""What the examples share: inputs for a program, one run on the CPU, and the check against the reference.

An example names the inputs that are more than standard normal numbers: an array, or a function of a random
generator and a shape, such as those below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import aecompiler as aec
from aecompiler.arrays import numpy_dtype
from aecompiler.tools.tolerances import default_tolerance

Input = Any  # an array, a number, or a function of a generator and a shape
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers."""
    return rng.standard_normal(shape)


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
    """A value for each argument of a kernel: from `inputs`, or standard normal numbers."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for argument in kernel.arguments:
        shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in argument.shape)
        value = inputs.get(argument.name, normal)
        if callable(value):
            value = value(rng, shape)
        if argument.kind == "tensor":
            value = np.asarray(value).astype(numpy_dtype(argument.dtype))
        values[argument.name] = value
    return values


def run(program: aec.Program, inputs: Mapping[str, Input] | None = None, **sizes: int) -> None:
    """Compile a program for the CPU, run it, and print its error; exit with status 1 if that is too large."""
    kernel = aec.compile(program, target="cpu")
    report = aec.check(kernel, **draw(kernel, inputs or {}, sizes))
    print(repr(program), report, sep="\n")
    if not report.max_rel_error <= default_tolerance(kernel.arguments):
        sys.exit("the error is too large")
