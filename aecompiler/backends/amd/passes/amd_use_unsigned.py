"""The pass `amd-use-unsigned`: numbers that are not negative are divided as such."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.offsets import Sums
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

SIZES = "tt_host.sizes"
"""The attribute of a kernel with the numbers of its parameters that are sizes of tensors."""

_UNSIGNED = {"arith.divsi": arith.divui, "arith.remsi": arith.remui}
_SLT, _SGE = 2, 5


@register_pass
class UseUnsigned(Pass):
    """Divide numbers that are not negative as unsigned ones.

    *Before*: kernels of `convert-tt-to-vector`, with `tt_host.sizes`. *After*: quotients and remainders of
    scalars that can't be negative, as follows from sizes, numbers of programs and turns of loops, are
    unsigned, and they are not asked whether they are below 0. There is no instruction that divides integers:
    signs take as many instructions as a third of the rest.

    ```mlir
    %tiles = arith.divsi %size, %c64 : i32
    %is_negative = arith.cmpi slt, %size, %c0 : i32
    ```
    becomes
    ```mlir
    %tiles = arith.divui %size, %c64 : i32
    %is_negative = arith.constant false
    ```
    """

    NAME = "amd-use-unsigned"

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            parameters = list(function.regions[0].blocks[0].arguments)
            sizes = ir.DenseI64ArrayAttr(function.attributes[SIZES]) if SIZES in function.attributes else ()
            sums = Sums({}, {parameters[number] for number in sizes})
            for each in rw.walk_list(function, "arith."):
                _change(each, sums)


def _change(op: ir.Operation, sums: Sums) -> None:
    """Replace an operation on scalars, if they are not negative."""
    result = op.results[0]
    if op.name in _UNSIGNED and isinstance(result.type, (ir.IntegerType, ir.IndexType)):
        if all(map(sums.is_natural_scalar, op.operands)):
            with ir.InsertionPoint(op), op.location:
                new = _UNSIGNED[op.name](*op.operands)
            sums.add_natural(new)
            result.replace_all_uses_with(new)
            op.erase()
    elif op.name == "arith.cmpi" and rw.constant_value(op.operands[1]) == 0:
        predicate = ir.IntegerAttr(op.attributes["predicate"]).value
        is_scalar = isinstance(op.operands[0].type, (ir.IntegerType, ir.IndexType))
        if is_scalar and predicate in (_SLT, _SGE) and sums.is_natural_scalar(op.operands[0]):
            with ir.InsertionPoint(op), op.location:
                new = arith.constant(ir.IntegerType.get_signless(1), int(predicate == _SGE))
            result.replace_all_uses_with(new)
            op.erase()
