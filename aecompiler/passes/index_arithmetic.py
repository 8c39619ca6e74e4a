"""Index values that follow from the arguments of a function: their sizes, and scalars among them.

Whoever calls a kernel knows them before it runs. So a slice at such an offset is checked at the call
(`size_analysis.py`), and only others need guards in the code (`region_safety.py`): both ask here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

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


def is_widening(op: ir.Operation) -> bool:
    """Whether `op` is a cast of an integer that keeps its value."""
    if op.name not in _CASTS:
        return False
    source, target = width_of(op.operands[0].type), width_of(op.results[0].type)
    return source is not None and target is not None and source <= target


def follows_from_arguments(value: ir.Value) -> bool:
    """Whether an index or integer is computed from sizes and from scalar arguments of the function alone.

    Only those of a public function come from outside: a private one may be called from anywhere.
    """
    seen: set[ir.Value] = set()
    pending = [value]
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if width_of(value.type) is None:
            return False
        if isinstance(value.owner, ir.Block):
            if not _is_public_function(value.owner.owner):
                return False
            continue
        op = value.owner.operation
        if op.name in ARITHMETIC or op.name in UNSIGNED_ARITHMETIC or is_widening(op):
            pending += op.operands
        elif op.name != "arith.constant" and not _is_size(op):
            return False
    return True


def _is_size(op: ir.Operation) -> bool:
    """Whether `op` is the size of a dimension that does not vary."""
    if op.name != "tensor.dim":
        return False
    axis = op.operands[1].owner
    return not isinstance(axis, ir.Block) and axis.operation.name == "arith.constant"


def slice_parts(op: ir.Operation, first: int) -> tuple[list[int | ir.Value], ...]:
    """Offsets, sizes, strides of a slice operation, numbers where static; `first` operands come before."""
    dynamic = list(op.operands)[first:]
    parts = []
    for name in ("static_offsets", "static_sizes", "static_strides"):
        static = list(op.attributes[name])
        parts.append([dynamic.pop(0) if number == DYNAMIC else number for number in static])
    return tuple(parts)


def dropped_dimensions(sizes: Sequence[int | ir.Value], part: ir.RankedTensorType) -> set[int]:
    """The dimensions of size 1 that a slice of type `part` lacks: the earliest that fit, as in MLIR."""
    dropped: set[int] = set()
    shape = list(part.shape)
    for d, size in enumerate(sizes):
        wanted = size if isinstance(size, int) else DYNAMIC
        remaining = len(sizes) - d
        if shape and shape[0] == wanted and (wanted != 1 or remaining <= len(shape)):
            shape.pop(0)
        else:
            dropped.add(d)
    return dropped


def is_checked_at_the_call(op: ir.Operation, first: int) -> bool:
    """Whether the caller can check that a slice lies inside; `first` operands come before its offsets.

    It must be executed at each call, which one in a loop or a branch may not be. MLIR takes strides for
    positive where they are static; one that is not is left to the code.
    """
    if op.parent is None or not _is_public_function(op.parent):
        return False
    parts = slice_parts(op, first)
    if any(isinstance(stride, int) and stride < 1 for stride in parts[2]):
        return False
    return all(isinstance(value, int) or follows_from_arguments(value) for part in parts for value in part)


def _is_public_function(op: ir.OpView | ir.Operation) -> bool:
    return op.operation.name == "func.func" and "sym_visibility" not in op.operation.attributes
