"""The pass `tt-narrow-bits`: what is computed of bits as integers, as bits."""

from __future__ import annotations

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.constant_factors import integer_of
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_ALL = ("arith.minsi", "arith.minui", "arith.andi", "arith.muli")
_ANY = ("arith.maxsi", "arith.maxui", "arith.ori")

_PREDICATES = arith.CmpIPredicate
_COMPARISONS = {
    _PREDICATES.eq: int.__eq__,
    _PREDICATES.ne: int.__ne__,
    _PREDICATES.slt: int.__lt__,
    _PREDICATES.sle: int.__le__,
    _PREDICATES.sgt: int.__gt__,
    _PREDICATES.sge: int.__ge__,
}


@register_pass
class NarrowBits(Pass):
    """Compute extremes and comparisons of bits that were made integers as bits.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`. Least and largest elements of tensors of i1, which
    say what a run-time mask leaves of a tile, are integers there. *After*: the least and the largest of two
    such integers are the bits' and and or, and a comparison with a constant is the bit, its opposite, or
    known.

    Beside being shorter this keeps out of reach of the assembler what it gets wrong: ptxas 12.8, that of
    Triton 3.6, makes of `(extui(a) | extui(b)) != 0`, where it holds a and b inverted, for sm_90 the logic of
    the opposite bits: a `PLOP3.LUT` of 0x07 in place of 0x0e.

    ```mlir
    %x = arith.extui %a : tensor<64xi1> to tensor<64xi32>
    %y = arith.extui %b : tensor<64xi1> to tensor<64xi32>
    %most = arith.maxsi %x, %y : tensor<64xi32>
    %some = arith.cmpi sge, %most, %ones : tensor<64xi32>
    ```
    becomes
    ```mlir
    %some = arith.ori %a, %b : tensor<64xi1>
    ```
    """

    NAME = "tt-narrow-bits"

    def run(self, op: ir.Operation) -> None:
        """Rewrite every kernel in `op`."""
        for kernel in kir.defined_kernels(op):
            for each in rw.walk_list(kernel, "arith."):
                with ir.InsertionPoint(each), each.location:
                    new = _narrowed(each)
                if new is not None:
                    each.results[0].replace_all_uses_with(new)
                    each.erase()
            kir.erase_dead(kir.body_of(kernel))


def _narrowed(op: ir.Operation) -> ir.Value | None:
    if op.name == "arith.cmpi":
        return _compared(op)
    if op.name not in (*_ALL, *_ANY) or tt.element_of(op.results[0]) == tt.integer(1):
        return None
    first, second = (_bit_of(operand) for operand in op.operands)
    if first is None or second is None:
        return None
    both = arith.andi(first, second) if op.name in _ALL else arith.ori(first, second)
    return arith.extui(op.results[0].type, both)


def _compared(op: ir.Operation) -> ir.Value | None:
    left, right = op.operands
    bit, number = _bit_of(left), integer_of(right)
    holds = _COMPARISONS.get(_PREDICATES(ir.IntegerAttr(op.attributes["predicate"]).value))
    if bit is None or number is None or holds is None:
        return None
    if_clear, if_set = holds(0, number), holds(1, number)
    if if_clear == if_set:
        return _all(bit, value=if_set)
    return bit if if_set else arith.xori(bit, _all(bit, value=True))


def _bit_of(value: ir.Value) -> ir.Value | None:
    """The bit that an integer of 0 or 1 is made of."""
    op = rw.definer(value)
    while op is not None and op.name in ("arith.trunci", "arith.extui"):
        operand = op.operands[0]
        if tt.element_of(operand) == tt.integer(1):
            return operand if op.name == "arith.extui" else None
        if tt.element_of(op.results[0]) == tt.integer(1):
            return None
        op = rw.definer(operand)
    return None


def _all(like: ir.Value, *, value: bool) -> ir.Value:
    bit = tt.constant(tt.integer(1), int(value))
    shape = tt.shape_of(like)
    return tt.splat(bit, shape) if shape else bit
