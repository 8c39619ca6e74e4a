"""Views and choices of tensors between kernels, as the interpreters run them: on arrays of numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aecompiler.bindings import ir
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts


def _numbers(given: list, values: list) -> list[int]:
    """Numbers of an operation, of which those that are no constants are taken from `values`."""
    return [each if isinstance(each, int) else int(values.pop(0)) for each in given]


def _slice(_frame: Any, op: ir.Operation, operands: list) -> list:
    source, *values = operands
    offsets, sizes, steps = (_numbers(part, values) for part in slice_parts(op, 1))
    dropped = dropped_dimensions(slice_parts(op, 1)[1], ir.RankedTensorType(op.results[0].type))
    places = []
    for d, (offset, size, step) in enumerate(zip(offsets, sizes, steps, strict=True)):
        last = offset + (size - 1) * step
        assert not size or 0 <= offset <= last < source.shape[d], "a slice out of bounds"
        places.append(offset if d in dropped else slice(offset, offset + size * step, step))
    return [source[tuple(places)]]


def _expand(_frame: Any, op: ir.Operation, operands: list) -> list:
    source, *values = operands
    shape = [int(values.pop(0)) if size < 0 else size for size in op.results[0].type.shape]
    return [source.reshape(shape)]


def _collapse(_frame: Any, op: ir.Operation, operands: list) -> list:
    (source,) = operands
    shape = [
        int(np.prod([source.shape[axis.value] for axis in group])) for group in op.attributes["reassociation"]
    ]
    return [source.reshape(shape)]


def _broadcast(_frame: Any, op: ir.Operation, operands: list) -> list:
    source, into = operands
    return [np.broadcast_to(np.expand_dims(source, tuple(op.attributes["dimensions"])), into.shape)]


def _select(_frame: Any, op: ir.Operation, operands: list) -> list:
    """`arith.select`, also of tensors of which only one is there."""
    condition, yes, no = operands
    if isinstance(op.results[0].type, ir.RankedTensorType) and np.ndim(condition) == 0:
        return [yes if condition else no]
    return [np.where(condition, yes, no)]


HANDLERS: dict[str, Callable[[Any, ir.Operation, list], list]] = {
    "arith.select": _select,
    "linalg.broadcast": _broadcast,
    "linalg.transpose": lambda _frame, op, operands: [
        np.transpose(operands[0], list(op.attributes["permutation"]))
    ],
    "tensor.cast": lambda _frame, _op, operands: operands,
    "tensor.collapse_shape": _collapse,
    "tensor.expand_shape": _expand,
    "tensor.extract_slice": _slice,
}
