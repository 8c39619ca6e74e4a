"""Sizes of the host's tensors in a form in which equal ones can be told: the same number, name or value."""

from __future__ import annotations

from typing import TypeAlias

from aecompiler.backends.triton.kernel_abi import LAUNCH
from aecompiler.bindings import ir
from aecompiler.dialect.types import DYNAMIC
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.program_arguments import dimension_name

_GRID = 3

Size: TypeAlias = int | str | ir.Value | tuple[ir.Value, int]
"""A number; a name, which stands for the same size wherever it does, as calls check; a number of the host; or
the tensor and the dimension that it is the size of.
"""


def size_of(tensor: ir.Value, axis: int) -> Size:
    """The size of a dimension."""
    shape = ir.RankedTensorType(tensor.type).shape
    if shape[axis] != DYNAMIC:
        return shape[axis]
    if isinstance(tensor.owner, ir.Block):
        return dimension_name(tensor, axis) or (tensor, axis)
    op = tensor.owner.operation
    if op.name == "tensor.empty":
        return size_as(op.operands[sum(size == DYNAMIC for size in shape[:axis])])
    if op.name == "tensor.cast":
        return size_of(op.operands[0], axis)
    if op.name == "linalg.transpose":
        return size_of(op.operands[0], op.attributes["permutation"][axis])
    if op.name == "tensor.extract_slice":
        sizes = slice_parts(op, 1)[1]
        dropped = dropped_dimensions(sizes, ir.RankedTensorType(tensor.type))
        size = [each for d, each in enumerate(sizes) if d not in dropped][axis]
        return size if isinstance(size, int) else size_as(size)
    if op.name == LAUNCH:
        output = list(ir.DenseI64ArrayAttr(op.attributes["outputs"]))[ir.OpResult(tensor).result_number]
        return size_of(op.operands[_GRID + output], axis)
    return tensor, axis


def size_as(value: ir.Value) -> Size:
    """A number of the host, as the size of a tensor if it is one."""
    number = rw.constant_value(value)
    if number is not None:
        return number
    op = rw.definer(value)
    axis = rw.constant_value(op.operands[1]) if op is not None and op.name == "tensor.dim" else None
    return value if op is None or axis is None else size_of(op.operands[0], axis)
