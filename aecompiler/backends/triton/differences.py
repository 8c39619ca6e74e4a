"""Differences of positions as floats: one conversion for each row, not for each element."""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw


@dataclass(frozen=True)
class _Spread:
    """A vector that is spread over a tile: it varies along `axis` of the two dimensions."""

    vector: ir.Value
    axis: int


def as_float(value: ir.Value, type_: ir.Type) -> ir.Value | None:
    """A difference of a row's and a column's positions as f32; None where `value` is no such difference.

    With the columns s, s + 1, ... of a tile it is computed as (s - row) + (0, 1, ...), where the first is
    converted for each row. That is exact for distances below 2^24, and off by one unit in the last place at
    most beyond.
    """
    if str(type_) != "f32" or len(tt.shape_of(value)) != 2:
        return None
    op = _through_extension(value)
    if op is None or op.name != "arith.subi":
        return None
    left, right = (_spread(operand) for operand in op.operands)
    if left is None or right is None or left.axis == right.axis:
        return None
    shape = tt.shape_of(value)
    for positions, other, is_left in ((left, right, True), (right, left, False)):
        found = _from_start(positions.vector)
        if found is None or positions.axis != 1:
            continue
        start, steps = found
        rest = arith.subi(other.vector, tt.splat(start, tt.shape_of(other.vector)))
        near = _over(_converted(steps, type_), 1, shape)
        far = _over(_converted(rest, type_), 0, shape)
        return arith.subf(near, far) if is_left else arith.subf(far, near)
    return None


def _through_extension(value: ir.Value) -> ir.Operation | None:
    op = rw.definer(value)
    if op is not None and op.name == "arith.extsi":
        op = rw.definer(op.operands[0])
    return op


def _spread(value: ir.Value) -> _Spread | None:
    broadcast = rw.definer(value)
    if broadcast is None or broadcast.name != "tt.broadcast":
        return None
    expanded = rw.definer(broadcast.operands[0])
    if expanded is None or expanded.name != "tt.expand_dims" or str(tt.element_of(value)) != "i32":
        return None
    return _Spread(expanded.operands[0], 1 - expanded.attributes["axis"].value)


def _from_start(vector: ir.Value) -> tuple[ir.Value, ir.Value] | None:
    """The start and the steps of a vector that is their sum."""
    op = rw.definer(vector)
    if op is None or op.name != "arith.addi":
        return None
    start, steps = (rw.definer(operand) for operand in op.operands)
    if start is None or steps is None or (start.name, steps.name) != ("tt.splat", "tt.make_range"):
        return None
    return start.operands[0], op.operands[1]


def _converted(vector: ir.Value, type_: ir.Type) -> ir.Value:
    return arith.sitofp(tt.typed(tt.shape_of(vector), type_), vector)


def _over(vector: ir.Value, axis: int, shape: tuple[int, ...]) -> ir.Value:
    """A vector that varies along an axis, spread over a tile."""
    return tt.broadcast(tt.expand_dims(vector, 1 - axis), shape)
