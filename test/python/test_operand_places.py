"""Where heads and packed sequences lie in operands."""

from __future__ import annotations

import numpy as np
import pytest
from ir_programs import run

from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.dialect.types import DYNAMIC
from aecompiler.passes.operand_places import head_in, heads_of_group, sequence_bounds


@pytest.mark.parametrize(
    ("count", "heads", "group"),
    [(4, 4, 1), (2, 4, 2), (1, 6, 6), (DYNAMIC, 4, 1), (2, DYNAMIC, 1), (0, 0, 1), (0, 4, 4), (4, 0, 1)],
)
def test_heads_of_a_group(count, heads, group):
    assert heads_of_group(count, heads) == group


def built(text, build):
    """The text of a function that returns what `build` makes of its arguments."""
    with make_context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        (function,) = module.body.operations
        block = function.regions[0].blocks[0]
        old = block.operations[len(block.operations) - 1].operation
        with ir.InsertionPoint(old):
            ir.Operation.create("func.return", operands=build(*block.arguments))
        old.erase()
        assert module.operation.verify()
        return str(module)


@pytest.mark.parametrize("sequence", [0, 1, 2, 3])
def test_bounds_of_sequences_stay_inside(sequence):
    text = built(
        "func.func @f(%o: tensor<?xi32>, %s: index, %n: index) -> (index, index) "
        "{ return %s, %n : index, index }",
        sequence_bounds,
    )
    offsets = np.array([-3, 2, 2, 5, 9], np.int32)
    got = run(text, offsets, sequence, 7)
    assert [int(each) for each in got] == [*np.clip(offsets, 0, 7)[sequence : sequence + 2]]


@pytest.mark.parametrize(("count", "heads"), [(2, 6), (6, 6), (1, 6)])
def test_the_head_of_an_operand(count, heads):
    text = built(
        f"func.func @f(%x: tensor<3x{count}x8xf32>, %h: index) -> index {{ return %h : index }}",
        lambda x, h: [head_in(x, heads, h)],
    )
    x = np.zeros((3, count, 8), np.float32)
    assert [int(run(text, x, head)[0]) for head in range(heads)] == [
        head // (heads // count) for head in range(heads)
    ]
