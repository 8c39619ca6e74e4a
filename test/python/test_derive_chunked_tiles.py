"""Chunked forms that are derived, cut into tiles and run: each is the recurrence that it comes from."""

from __future__ import annotations

import numpy as np
import pytest
import tiled_backend  # noqa: F401  (registers the target `tiled`)
from cpu_numerics import TOLERANCE, assert_close
from derived_chunks import EXAMPLES, derived, function_of
from example_files import load
from hypothesis import HealthCheck, given, settings
from random_recurrences import recurrence_programs
from recurrence_steps import STEPS, inputs, program
from streaming_forms import module_of

import aecompiler as aec
from aecompiler.errors import CompileError
from aecompiler.reference import evaluate

demo = load("demo")


def assert_tiles_are_the_same(traced, module, values, tolerance):
    original = module_of(traced)
    want = evaluate(function_of(original), values)
    for got, expected in zip(aec.compile(str(module), target="tiled")(*values), want, strict=True):
        assert_close(got, expected, tolerance)


@pytest.mark.parametrize("chunk", [4, 16])
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_in_chunks(name, chunk):
    example = load(name)
    traced = example.build(dtype="f64")
    kernel = aec.compile(traced, target="cpu", opt_level=0)
    values = demo.draw(kernel, getattr(example, "inputs", {}), {"B": 2, "T": 37, "Bounds": 5})
    assert_tiles_are_the_same(traced, derived(traced, f"{{chunk={chunk}}}"), list(values.values()), 1e-12)


@pytest.mark.parametrize("name", STEPS)
def test_step_in_chunks(name):
    traced = program(STEPS[name][0])
    assert_tiles_are_the_same(traced, derived(traced, "{chunk=3}"), inputs(), 1e-11)


@settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(drawn=recurrence_programs())
def test_random_program_in_chunks(drawn):
    traced = drawn.trace()
    try:
        module = derived(traced, "{chunk=8}")
    except CompileError:
        return  # test_derive_chunked says which
    for call in drawn.calls:
        values = drawn.inputs(call)
        if all(np.isfinite(np.asarray(value, np.float64)).all() for value in values):
            assert_tiles_are_the_same(traced, module, values, 4 * TOLERANCE[drawn.element])
