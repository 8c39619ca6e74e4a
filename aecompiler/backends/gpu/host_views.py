"""Views of tensors between kernels: the same memory with other sizes and strides.

The operations of the IR that are views, read as instructions of a plan (`host_plan.py`). `view_code.py` says
what they are in the host program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from aecompiler import diagnostics
from aecompiler.bindings import ir
from aecompiler.dialect.types import DYNAMIC
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.tensor_parts import groups_of


class Values(Protocol):
    """The values of a plan."""

    def number(self, value: int | ir.Value) -> int:
        """That of a number of the host."""

    def sizes(self, tensor: ir.Value) -> list[int]:
        """Those of the sizes of a tensor, which nobody reads otherwise."""


def _slice(op: ir.Operation, values: Values) -> dict[str, Any]:
    offsets, sizes, steps = slice_parts(op, 1)
    if not all(isinstance(step, int) and step > 0 for step in steps):
        raise diagnostics.error_at(op, "unsupported: a slice with steps that are not known to be positive")
    dropped = dropped_dimensions(sizes, ir.RankedTensorType(op.results[0].type))
    return {
        "op": "slice",
        "offsets": [values.number(each) for each in offsets],
        "sizes": [values.number(each) for each in sizes],
        "steps": steps,
        "dropped": sorted(dropped),
    }


def _permute(op: ir.Operation, _values: Values) -> dict[str, Any]:
    return {"op": "permute", "order": [int(each) for each in op.attributes["permutation"]]}


def _broadcast(op: ir.Operation, values: Values) -> dict[str, Any]:
    added = sorted(int(each) for each in op.attributes["dimensions"])
    return {"op": "broadcast", "added": added, "sizes": values.sizes(op.operands[1])}


def _expand(op: ir.Operation, values: Values) -> dict[str, Any]:
    dynamic = iter(list(op.operands)[1:])
    shape = op.results[0].type.shape
    return {
        "op": "expand",
        "sizes": [values.number(next(dynamic) if size == DYNAMIC else size) for size in shape],
    }


def _collapse(op: ir.Operation, _values: Values) -> dict[str, Any]:
    return {"op": "collapse", "groups": groups_of(op)}


VIEWS: dict[str, Callable[[ir.Operation, Values], dict[str, Any]]] = {
    "linalg.broadcast": _broadcast,
    "linalg.transpose": _permute,
    "tensor.collapse_shape": _collapse,
    "tensor.expand_shape": _expand,
    "tensor.extract_slice": _slice,
}
"""Operations that are views, and what reads them as instructions without `results` and `tensor`."""
