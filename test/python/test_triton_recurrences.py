"""Recurrences in Triton's dialect, one position after the other, against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_numerics import LINEAR, READ_FIRST, random
from drawn_programs import each_different
from example_files import FOLDER, load
from ir_programs import recurrence
from random_recurrences import recurrence_programs
from test_random_programs import WEIGHTS, Campaign
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

NAMES = sorted(
    path.stem for path in (FOLDER / "mlir").glob("*.mlir") if "attn.recurrence" in path.read_text("utf-8")
)
SIZES = ({"B": 2, "T": 5, "Bounds": 4}, {"B": 1, "T": 1, "Bounds": 2}, {"B": 2, "T": 0, "Bounds": 1})

demo = load("demo")


def check(kernels, inputs, campaign=None, element="f32"):
    campaign = campaign or Campaign()
    for number, (dtype, got, want) in enumerate(kernels.run(inputs)):
        campaign.compare(f"result {number}", dtype, got, want, None if number else WEIGHTS.get(element))


@pytest.mark.parametrize("block", [0, 4, 16])
@pytest.mark.parametrize("name", NAMES)
def test_examples_agree_with_the_reference(name, block):
    module = load(name)
    program = module.build()
    kernels = Kernels(program.module, f"value-block={block}")
    kernel = aec.compile(program, opt_level=0)
    for sizes in SIZES:
        values = demo.draw(kernel, getattr(module, "inputs", {}), sizes)
        check(kernels, [values[argument.name] for argument in kernel.arguments])


def test_random_recurrences_agree_with_the_reference(report_lines):
    campaign = Campaign()

    def run(program):
        kernels = Kernels(program.trace().module, "value-block=2")
        for call in program.calls:
            check(kernels, program.inputs(call), campaign, program.element)

    different = each_different(recurrence_programs(), 7, 30, run, draws_each=5)
    report_lines.append(f"recurrences in kernels: {different} random programs; {campaign.text()}")
    assert different >= 30


@pytest.mark.parametrize("offsets", [[0, 2, 7], [0, 0, 3, 3, 7], [2, 4], [-3, 2, 99], [7, 7], [0]])
def test_packed_sequences(offsets):
    """Positions of no sequence are 0, whatever is in memory before."""
    with make_context():
        module = ir.Module.parse(recurrence(LINEAR, dk=4, dv=3, element="f32", varlen=True))
    q, k, v = (random(1, 2, 7, size, seed=size + n) for n, size in enumerate((4, 4, 3)))
    initial = random(len(offsets) - 1, 2, 4, 3)
    check(Kernels(module), [q, k, v, initial, np.array(offsets, np.int32)])


@pytest.mark.parametrize(("dk", "dv"), [(0, 3), (4, 0), (1, 1), (20, 33)])
def test_feature_sizes(dk, dv):
    with make_context():
        module = ir.Module.parse(recurrence(READ_FIRST, dk=dk, dv=dv, element="f32"))
    q, k, v = (random(1, 2, 5, size, seed=n) for n, size in enumerate((dk, dk, dv)))
    check(Kernels(module, "value-block=11"), [q, k, v, random(1, 2, dk, dv)])


STEPS = {
    "a decay that is a constant below 0": lambda S, q, k, v, g, b, h, t: (-S + aec.outer(k, v), q @ S),
    "a row of gates of another position": lambda S, q, k, v, g, b, h, t: (
        aec.sigmoid(g[b, h, t + 1])[:, None] * S + aec.outer(k, v),
        q @ S,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_rows_of_five_in_chunks(name):
    """Rows are eight wide in registers, and the last one ends where the tensor does."""
    rows, gates = aec.tensor("B", 2, "T", 5), aec.tensor("B", 2, "L", 5)

    @aec.program(q=rows, k=rows, v=rows, g=gates)
    def program(q, k, v, g):
        return aec.recurrence(q, k, v, lambda S, q, k, v, b, h, t: STEPS[name](S, q, k, v, g, b, h, t))

    q, k, v = (random(1, 2, 18, 5, seed=n) for n in range(3))
    check(Kernels(program.module, "chunk=16"), [q, k, v, random(1, 2, 9, 5)])
