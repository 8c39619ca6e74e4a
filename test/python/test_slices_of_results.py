"""Programs whose only result is a slice of what attention computes, on each road.

Nothing else needs the rest of o, so that a slice may become part of its tile program: what the grid stores
must then lie in the slice.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from test_random_programs import Campaign
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.reference.evaluate import evaluate

SIZES = {"B": 3, "H": 3, "S": 21, "D": 6}
AXES = {"batch": 0, "heads": 1, "rows": 2, "features": 3}
PARTS = {
    "begin": (slice(None, 1), slice(None, 1), slice(None, 17), slice(None, 4)),
    "middle": (slice(1, 2), slice(1, 2), slice(3, 18), slice(1, 5)),
    "end": (slice(1, None), slice(-1, None), slice(16, None), slice(4, None)),
    "nothing": (slice(0, 0), slice(3, None), slice(0, 0), slice(0, 0)),
}
"""What is taken along each axis, of tiles of 16 rows."""

WORK = {
    "slice": lambda o, cut: cut(o),
    "work before": lambda o, cut: cut(aec.exp(o)),
    "work after": lambda o, cut: cut(o) * 2 + 1,
    "both": lambda o, cut: aec.transpose(cut(o * 2), (0, 2, 1, 3)) + 1,
}


@functools.cache
def program(axis, part, work, static):
    key = tuple(PARTS[part][n] if n == AXES[axis] else slice(None) for n in range(4))
    sizes = [SIZES[name] if static or name == "D" else name for name in SIZES]

    def function(q, k, v):
        return WORK[work](aec.attention(q, k, v, mask=aec.masks.causal()), lambda o: o[key])

    return aec.trace(function, **{name: aec.tensor(*sizes) for name in "qkv"})


def arrays(**changed):
    rng = np.random.default_rng(3)
    return [rng.standard_normal([*(SIZES | changed).values()]).astype(np.float32) for _ in range(3)]


def compare(got, want):
    Campaign().compare("result", "f32", np.asarray(got), want)


CASES = [
    pytest.param(axis, part, work, static, id=f"{axis}-{part}-{work}-{'static' if static else 'dynamic'}")
    for axis in AXES
    for part in PARTS
    for work in WORK
    for static in (True, False)
    if work == "slice" or (part in ("begin", "middle") and not static)
]


def calls(static):
    return [arrays()] if static else [arrays(), arrays(S=1, H=1), arrays(B=1, S=33), arrays(S=0)]


@pytest.mark.parametrize(("axis", "part", "work", "static"), CASES)
def test_slices_agree_with_the_reference_on_the_cpu(axis, part, work, static):
    traced = program(axis, part, work, static)
    kernel = aec.compile(traced, opt_level=0)
    for inputs in calls(static):
        (want,) = evaluate(traced.module.body.operations[0], inputs)
        compare(kernel(*inputs), want)


@pytest.mark.parametrize(("axis", "part", "work", "static"), CASES)
def test_slices_agree_with_the_reference_in_triton(axis, part, work, static):
    kernels = Kernels(program(axis, part, work, static).module)
    for inputs in calls(static):
        for _, got, want in kernels.run(inputs):
            compare(got, want)
