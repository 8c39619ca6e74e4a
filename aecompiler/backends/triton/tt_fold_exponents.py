"""The pass `tt-fold-exponents`: exponentials to base 2, with the factors of scores in them."""

from __future__ import annotations

import math
from collections import ChainMap

from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.constant_factors import Constants, Multiple, as_multiple, is_f32, number_of
from aecompiler.backends.triton.scaled_values import LOG2E, Made, Scaling
from aecompiler.bindings import ir
from aecompiler.bindings import math as math_ops
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_EXTREMES = {f"arith.{name}" for name in ("maximumf", "minimumf", "maxnumf", "minnumf")}


@register_pass
class FoldExponents(Pass):
    """Compute exponentials in kernels to base 2, and fold the factors of scores into them.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`. *After*: each `math.exp` of f32 is a `math.exp2`,
    the instruction that GPUs have, of an exponent that is multiplied by log2 e where that costs least. No
    tile needs more operations than before, where an exp counts as a product and an exp2:

    - a product with a constant takes the factor into its constant;
    - a row or a constant is subtracted from a tile after both are multiplied, so that y * c - t is one
      instruction; the row is multiplied before it is spread;
    - choices, extremes and products of values that nothing else needs are multiplied inside.

    Maxima and minima are taken of the scores before a constant positive factor, and the result is multiplied;
    so are choices between such a product and 0 or an infinity, if nothing else needs the product. Of softmax
    there remain for each score: the maximum (and the choice, in loops with a mask), one product and
    difference, exp2, and the sum.

    Numbers of f64 and of 16 bits stay as they are, and so do constants whose product f32 does not hold with
    all bits. `math.log` stays: its base 2 is no shorter on GPUs.

    In real numbers nothing changes. In f32, with u = 2^-24: extremes are the same to the bit, since rounding
    is monotone. The relative error of exp(s - m), s = y * c, is u (|s| + |m| + |s - m|) beside
    u (|s| + 2 |s - m|) before: at most twice as much, or three times where y * c - t is two instructions.
    Results below 2^-126 may be 0. Infinities and NaN give what they gave.

    Scores may be large numbers that stand for -inf, such as the lowest of f32, and a row may have no others.
    Then s and m are equal, and s - m must stay 0. Products of matrices and tanh, times a constant, are no
    such numbers: those of 2^31 and more may become NaN. Beside other scores, a row of 2^27 and more gets the
    factor 1 in place of log2 e, and nothing is rounded. To base 2, weights of scores that differ by 8 and
    more, the least difference at that size, stay next to nothing.

    ```mlir
    %s = arith.mulf %y, %scale : tensor<64x64xf32>
    %r = "tt.reduce"(%s) ({... arith.maximumf ...}) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
    %m = arith.maximumf %old, %r : tensor<64xf32>
    ...                                              // %m as a column, spread
    %d = arith.subf %s, %spread : tensor<64x64xf32>
    %p = math.exp %d : tensor<64x64xf32>
    ```
    becomes
    ```mlir
    %r = "tt.reduce"(%y) ({... arith.maximumf ...}) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
    %scaled = arith.mulf %r, %scale_of_rows : tensor<64xf32>
    %m = arith.maximumf %old, %scaled : tensor<64xf32>
    %t = arith.mulf %m, %log2e : tensor<64xf32>
    ...                                              // %t as a column, spread
    %s = arith.mulf %y, %scale_log2e : tensor<64x64xf32>
    %d = arith.subf %s, %spread : tensor<64x64xf32>
    %p = math.exp2 %d : tensor<64x64xf32>
    ```
    """

    NAME = "tt-fold-exponents"

    def run(self, op: ir.Operation) -> None:
        """Rewrite every kernel in `op`."""
        for kernel in kir.defined_kernels(op):
            block = kir.body_of(kernel)
            with kernel.location:
                constants = Constants(block)
                _erase_unused(block)  # what is used once is found by its uses
                for inner in rw.walk_list(kernel):
                    _move_factor_out(inner, constants)
                _erase_unused(block)
                _fold(block, constants, ChainMap())
                _erase_unused(block)


# ---- factors of extremes and choices -----------------------------------------------------------------


def _move_factor_out(op: ir.Operation, constants: Constants) -> None:
    """Multiply the result of a maximum, a minimum or a choice, in place of what it is taken of."""
    found = _factor_of_extreme(op) or _factor_of_choice(op)
    if found is None:
        return
    position, multiple = found
    result = op.results[0]
    op.operands[position] = multiple.base
    with ir.InsertionPoint.after(op), op.location:
        product = multiple.of(result, constants)
    result.replace_all_uses_except(product, product.owner.operation)


def _factor_of_extreme(op: ir.Operation) -> tuple[int, Multiple] | None:
    """The factor of what a reduction is the maximum or minimum of."""
    if op.name != "tt.reduce" or len(op.operands) != 1:
        return None
    block = op.regions[0].blocks[0]
    first, *rest = (view.operation for view in block.operations)
    of_both = first.name in _EXTREMES and set(first.operands) == set(block.arguments)
    if not of_both or len(rest) != 1 or list(rest[0].operands) != list(first.results):
        return None
    multiple = _positive(op.operands[0])
    return None if multiple is None else (0, multiple)


def _factor_of_choice(op: ir.Operation) -> tuple[int, Multiple] | None:
    """The factor of one side of a choice, if it changes nothing of the other and nothing else needs it."""
    if op.name != "arith.select":
        return None
    for position, other in ((1, 2), (2, 1)):
        number, multiple = number_of(op.operands[other]), _positive(op.operands[position])
        if number is None or multiple is None or (number and not math.isinf(number)):
            continue
        if multiple.op.block == op.block and len(list(multiple.op.results[0].uses)) == 1:
            return position, multiple
    return None


def _positive(value: ir.Value) -> Multiple | None:
    multiple = as_multiple(value)
    return multiple if multiple is not None and multiple.number > 0 else None


# ---- exponentials ------------------------------------------------------------------------------------


def _fold(block: ir.Block, constants: Constants, made: Made) -> None:
    """Rewrite the exponentials in a block; `made` are the products of the blocks around it."""
    made = made.new_child()
    scaling = Scaling(block, constants, made)
    for view in list(block.operations):
        op = view.operation
        if op.name == "math.exp" and is_f32(op.operands[0]):
            with ir.InsertionPoint(op), op.location:
                exponent = scaling.plan(op.operands[0], LOG2E).build()
                power = math_ops.exp2(exponent)
            op.results[0].replace_all_uses_with(power)
            op.erase()
        elif op.name != "tt.reduce":
            for region in op.regions:
                for inner in region.blocks:
                    _fold(inner, constants, made)


def _erase_unused(block: ir.Block) -> None:
    """Erase the operations of a block that compute what nothing uses."""
    for view in reversed(list(block.operations)):
        op = view.operation
        if op.name.startswith("scf."):
            for region in op.regions:
                for inner in region.blocks:
                    _erase_unused(inner)
        elif _is_pure(op) and not any(list(result.uses) for result in op.results):
            op.erase()


def _is_pure(op: ir.Operation) -> bool:
    """Whether an operation does nothing but compute its results."""
    known = ("tt.splat", "tt.expand_dims", "tt.broadcast", "tt.trans", "tt.reduce", "tt.make_range")
    return op.name.startswith(("arith.", "math.")) or op.name in known
