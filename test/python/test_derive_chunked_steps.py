"""Steps written in many ways: what their chunked form consists of, and that it is the same recurrence."""

from __future__ import annotations

import re

import numpy as np
import pytest
from derived_chunks import assert_same, chunked_op, derived
from random_steps import random_step
from recurrence_steps import STEPS, delta, inputs, program, then_read, unit

import aecompiler as aec
from aecompiler.dialect.chunked import parts_of, terminator_of
from aecompiler.errors import CompileError


@pytest.mark.parametrize("name", STEPS)
def test_step_is_derived_and_is_the_same(name):
    step, wanted = STEPS[name]
    traced = program(step)
    module = derived(traced)
    op = chunked_op(module)
    parts = [part for part in parts_of(terminator_of(op)) if part not in ("query", "key", "value")]
    found = [*parts, op.attributes["reads"].value]
    if "erase" in parts:
        found.append(op.attributes["erase_reads"].value)
    assert " ".join(found) == wanted
    assert_same(traced, module, inputs(), 1e-11)


@pytest.mark.parametrize("gate", [-np.inf, -1e30, -800.0, -70.0, -1e-30, 0.0])
def test_extreme_gates_give_the_same(gate):
    """Limited logarithms are exponentials of 0 where the gate's was one, and nothing becomes NaN."""
    for step in (
        then_read(lambda S, k, v, g, d, e: aec.exp(g) * S + aec.outer(k, v)),
        then_read(lambda S, k, v, g, d, e: delta(aec.exp(d)[:, None] * S, unit(k), v)),
    ):
        traced = program(step)
        q, k, v, g, d, e = inputs()
        g[..., ::2] = gate
        d[..., 1] = gate
        module = derived(traced)
        assert_same(traced, module, [q, k, v, -np.abs(g), -np.abs(d), e], 1e-12)


def test_key_whose_erase_has_the_decay_as_a_factor_reads_the_decayed_state():
    """Otherwise the vectors of the erase would not be k, and not of q's type."""
    module = derived(
        program(then_read(lambda S, k, v, g, d, e: delta(aec.exp(d)[:, None] * S, k, v)), "bf16")
    )
    op = chunked_op(module)
    assert parts_of(terminator_of(op))["erase"] == op.regions[0].blocks[0].arguments[1]


def test_random_steps_are_derived_and_are_the_same():
    """No structure is drawn but that of affine functions; what is refused has several directions."""
    several = "more than one rank-one term|several directions"
    refused = 0
    for seed in range(120):
        source, step = random_step(seed)
        traced = program(step)
        try:
            module = derived(traced)
        except CompileError as error:
            if not re.search(several, str(error)):
                raise AssertionError(f"seed {seed}\n{source}") from error
            refused += 1
            continue
        assert_same(traced, module, inputs(seed), 1e-8)
    assert refused < 15
