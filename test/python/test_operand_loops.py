"""The loops that index operands of structured operations, also of those that don't say them."""

import pytest

from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import UnsupportedTile, operand_loops

PROGRAM = """
func.func @f(%v: tensor<3xf32>, %w: tensor<5xf32>, %m: tensor<3x5xf32>, %t: tensor<5x3xf32>) {
  %0 = linalg.vecmat ins(%v, %m : tensor<3xf32>, tensor<3x5xf32>) outs(%w : tensor<5xf32>) -> tensor<5xf32>
  %1 = linalg.broadcast ins(%w : tensor<5xf32>) outs(%m : tensor<3x5xf32>) dimensions = [0]
  %2 = linalg.transpose ins(%m : tensor<3x5xf32>) outs(%t : tensor<5x3xf32>) permutation = [1, 0]
  %3 = linalg.reduce {arith.addf} ins(%m : tensor<3x5xf32>) outs(%v : tensor<3xf32>) dimensions = [1]
  %4 = arith.addf %m, %m : tensor<3x5xf32>
  return
}"""

LOOPS = {
    "linalg.vecmat": [(1,), (1, 0), (0,)],
    "linalg.broadcast": [(1,), (0, 1)],
    "linalg.transpose": [(1, 0), (0, 1)],
    "linalg.reduce": [(0, 1), (0,)],
    "arith.addf": [(0, 1), (0, 1)],
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_of_operands(name):
    with make_context():
        module = ir.Module.parse(PROGRAM)
        op = next(
            each
            for each in rw.walk_list(module.operation, name)
            if isinstance(each.results[0].type, ir.RankedTensorType)
        )
        assert operand_loops(op) == LOOPS[name]


def test_operand_that_is_not_indexed_by_loops_is_refused():
    text = """
    func.func @f(%x: tensor<7xf32>, %o: tensor<3xf32>) {
      %0 = linalg.generic {indexing_maps = [affine_map<(i) -> (i + 4)>, affine_map<(i) -> (i)>],
                           iterator_types = ["parallel"]}
        ins(%x : tensor<7xf32>) outs(%o : tensor<3xf32>) {
      ^bb0(%a: f32, %b: f32):
        linalg.yield %a : f32
      } -> tensor<3xf32>
      return
    }"""
    with make_context():
        (op,) = rw.walk_list(ir.Module.parse(text).operation, "linalg.generic")
        with pytest.raises(UnsupportedTile, match=r"an operand indexed by d0 \+ 4"):
            operand_loops(op)
