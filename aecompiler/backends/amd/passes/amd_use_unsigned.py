"""The pass `amd-use-unsigned`: numbers that are not negative are divided as such."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.offsets import Sums
from aecompiler.backends.triton.kernel_ir import SIZES
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_UNSIGNED = {"arith.divsi": arith.divui, "arith.remsi": arith.remui}
_SLT, _SGE = 2, 5
_LARGEST = 1 << 31


@register_pass
class UseUnsigned(Pass):
    """Divide numbers that are not negative as unsigned ones.

    *Before*: kernels of `convert-tt-to-vector`, with `tt_host.sizes`. *After*: quotients and remainders of
    scalars that can't be negative, as follows from sizes, numbers of programs and turns of loops, are
    unsigned, and they are not asked whether they are below 0. There is no instruction that divides integers:
    signs take as many instructions as a third of the rest. How many rows of a tile are left, the least of a
    difference and a constant as unsigned numbers, is computed in 32 bits where a size is what is subtracted
    from: the difference is below 2^32, or above the constant in both ways.

    ```mlir
    %tiles = arith.divsi %size, %c64 : i32
    %is_negative = arith.cmpi slt, %size, %c0 : i32
    %left = arith.subi %wide_size, %wide_first : i64      // of arith.extsi
    %rows = arith.minui %left, %c64 : i64                 // of which 32 bits are used
    ```
    becomes
    ```mlir
    %tiles = arith.divui %size, %c64 : i32
    %is_negative = arith.constant false
    %left = arith.subi %size, %first : i32
    %rows = arith.minui %left, %c64 : i32
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
    elif op.name == "arith.minui":
        _narrow(op, sums)
    elif op.name == "arith.cmpi" and rw.constant_value(op.operands[1]) == 0:
        predicate = ir.IntegerAttr(op.attributes["predicate"]).value
        is_scalar = isinstance(op.operands[0].type, (ir.IntegerType, ir.IndexType))
        if is_scalar and predicate in (_SLT, _SGE) and sums.is_natural_scalar(op.operands[0]):
            with ir.InsertionPoint(op), op.location:
                new = arith.constant(ir.IntegerType.get_signless(1), int(predicate == _SGE))
            result.replace_all_uses_with(new)
            op.erase()


def _narrow(op: ir.Operation, sums: Sums) -> None:
    """Compute the least of a difference and a constant in 32 bits, if that is all that is used of it."""
    i32 = ir.IntegerType.get_signless(32)
    difference, least = rw.definer(op.operands[0]), rw.constant_value(op.operands[1])
    uses = [use.owner.operation for use in op.results[0].uses]
    if difference is None or difference.name != "arith.subi" or least is None or not 0 <= least <= _LARGEST:
        return
    sides = [rw.definer(each) for each in difference.operands]
    numbers = [each.operands[0] for each in sides if each is not None and each.name == "arith.extsi"]
    if len(numbers) != len(sides) or any(each.type != i32 for each in numbers):
        return
    if not sums.is_natural_scalar(numbers[0]) or any(
        use.name != "arith.trunci" or use.results[0].type != i32 for use in uses
    ):
        return
    with ir.InsertionPoint(op), op.location:
        new = arith.minui(arith.subi(*numbers), arith.constant(i32, least))
    for use in uses:
        use.results[0].replace_all_uses_with(new)
