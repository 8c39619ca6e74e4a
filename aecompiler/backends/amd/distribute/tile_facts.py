"""What is known of tiles from the operations that make them, and from those that use them."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.offsets import Sum, Sums
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw


def factor_dim(value: ir.Value) -> int | None:
    """Along which dimension products sum a tile that is a factor, or whose transpose is; None for others."""
    for use in value.uses:
        op = use.owner.operation
        if op.name == "vector.contract" and use.operand_number < 2:
            return 1 - use.operand_number
        if op.name == "vector.transpose" and (found := factor_dim(op.results[0])) is not None:
            return list(op.attributes["permutation"])[found]
    return None


def is_all_true(mask: ir.Value) -> bool:
    """Whether a mask leaves out nothing."""
    op = rw.definer(mask)
    if op is None or op.name != "arith.constant":
        return False
    value = op.attributes["value"]
    return value.is_splat and bool(ir.IntegerAttr(value.get_splat_value()).value)


def is_zero(value: ir.Value) -> bool:
    """Whether all elements of a tile are known to be 0."""
    splat = rw.constant_of_all(value)
    if splat is None:
        return False
    return splat.value == 0 if not isinstance(splat, ir.BoolAttr) else not splat.value


def sum_of_places(sums: Sums, access: ir.Operation) -> Sum:
    """Where the elements of a tile are, behind the address that a gather or a scatter has."""
    _, *base, offsets, _, _ = access.operands
    total = sums.of(offsets)
    for each in base:
        total = total.plus(Sum(rest=sums.of(each).rest))
    return total
