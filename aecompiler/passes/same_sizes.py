"""Which dimensions of tensors are known to have the same size."""

from __future__ import annotations

from typing import TypeAlias

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.program_arguments import dimension_name

Size: TypeAlias = int | str | tuple[ir.Value, int] | ir.Value
"""A size: a number, a name that the arguments of a function have it by, or the dimension or value it is."""


def comparable_size(value: ir.Value, axis: int) -> Size:
    """The size of a dimension; those that are known to be equal are equal."""
    shaped = ir.RankedTensorType(value.type)
    if not shaped.is_dynamic_dim(axis):
        return shaped.shape[axis]
    op = rw.definer(value)
    if op is None:
        return dimension_name(value, axis) or (value, axis)
    if op.name == "tensor.empty":
        before = sum(shaped.is_dynamic_dim(d) for d in range(axis))
        return _size_as(op.operands[before])
    if op.name == "tensor.cast" or (op.name.startswith(("arith.", "math.")) and len(op.operands)):
        first = next((each for each in op.operands if isinstance(each.type, ir.RankedTensorType)), None)
        return (value, axis) if first is None else comparable_size(first, axis)
    if op.name.startswith("linalg.") and len(op.results):
        out = op.operands[len(op.operands) - len(op.results) + ir.OpResult(value).result_number]
        return comparable_size(out, axis)
    return value, axis


def are_equal(a: ir.Value, a_axis: int, b: ir.Value, b_axis: int) -> bool:
    """Whether two dimensions have the same size, as far as it is known."""
    return comparable_size(a, a_axis) == comparable_size(b, b_axis)


def _size_as(value: ir.Value) -> Size:
    number = rw.constant_value(value)
    if number is not None:
        return number
    op = rw.definer(value)
    axis = rw.constant_value(op.operands[1]) if op is not None and op.name == "tensor.dim" else None
    return value if op is None or axis is None else comparable_size(op.operands[0], axis)
