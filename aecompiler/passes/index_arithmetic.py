"""Index values that follow from the arguments of a function: their sizes, and scalars among them.

Whoever calls a kernel knows them before it runs. So a slice at such an offset is checked at the call
(`size_analysis.py`), and only others need guards in the code (`region_safety.py`): both ask here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from aecompiler.bindings import ir
from aecompiler.dialect.types import DYNAMIC

ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "arith.addi": operator.add,
    "arith.subi": operator.sub,
    "arith.muli": operator.mul,
    "arith.divsi": lambda a, b: (abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)) if b else 0,
    "arith.floordivsi": lambda a, b: a // b if b else 0,
    "arith.ceildivsi": lambda a, b: -(-a // b) if b else 0,
    "arith.maxsi": max,
    "arith.minsi": min,
}
"""Operations on numbers that may be negative, with the dialect's result where the divisor is 0."""

UNSIGNED_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "arith.divui": lambda a, b: a // b if b else 0,
    "arith.ceildivui": lambda a, b: -(-a // b) if b else 0,
    "arith.remui": lambda a, b: a % b if b else a,
    "arith.maxui": max,
    "arith.minui": min,
}
"""Operations that read their operands as unsigned numbers."""

_CASTS = ("arith.index_cast", "arith.extsi")


def width_of(type_: ir.Type) -> int | None:
    """The bits of an integer or index; None for other types."""
    if isinstance(type_, ir.IndexType):
        return 64
    return type_.width if isinstance(type_, ir.IntegerType) else None


def wrap(value: int, width: int) -> int:
    """`value` as a signed number of `width` bits holds it."""
    return (value + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))


def is_widening(op: ir.Operation) -> bool:
    """Whether `op` is a cast of an integer that keeps its value."""
    if op.name not in _CASTS:
        return False
    source, target = width_of(op.operands[0].type), width_of(op.results[0].type)
    return source is not None and target is not None and source <= target


def follows_from_arguments(value: ir.Value) -> bool:
    """Whether an index or integer is computed from sizes and from scalar arguments of the function alone."""
    if width_of(value.type) is None:
        return False
    if isinstance(value.owner, ir.Block):
        return value.owner.owner.operation.name == "func.func"
    op = value.owner.operation
    if op.name == "arith.constant":
        return True
    if op.name == "tensor.dim":
        axis = op.operands[1].owner
        return not isinstance(axis, ir.Block) and axis.operation.name == "arith.constant"
    if op.name in ARITHMETIC or op.name in UNSIGNED_ARITHMETIC or is_widening(op):
        return all(follows_from_arguments(operand) for operand in op.operands)
    return False


def slice_parts(op: ir.Operation, first: int) -> tuple[list[int | ir.Value], ...]:
    """Offsets, sizes, strides of a slice operation, numbers where static; `first` operands come before."""
    dynamic = list(op.operands)[first:]
    parts = []
    for name in ("static_offsets", "static_sizes", "static_strides"):
        static = list(op.attributes[name])
        parts.append([dynamic.pop(0) if number == DYNAMIC else number for number in static])
    return tuple(parts)


def is_checked_at_the_call(op: ir.Operation, first: int) -> bool:
    """Whether the caller can check that a slice lies inside; `first` operands come before its offsets.

    It must be executed at each call, which one in a loop or a branch may not be.
    """
    parent = op.parent
    if parent is None or parent.operation.name != "func.func":
        return False
    values = [value for part in slice_parts(op, first) for value in part if not isinstance(value, int)]
    return all(map(follows_from_arguments, values))
