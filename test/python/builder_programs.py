"""What the tests of the builder share: declarations of one attention, and the evaluation of a trace."""

from __future__ import annotations

import numpy as np

from aecompiler import builder as aec
from aecompiler.reference.evaluate import evaluate

HEAD = {"q": ("B", 4, "Sq", 8), "k": ("B", 2, "Skv", 8), "v": ("B", 2, "Skv", 6)}


def specs(dtype="f32", **more):
    return {name: aec.tensor(*shape, dtype=dtype) for name, shape in HEAD.items()} | more


def run(program, *arguments):
    return evaluate(program.module.body.operations[0], arguments)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
