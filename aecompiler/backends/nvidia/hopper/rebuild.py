"""Clones operations with other types: for passes that change the types of nearly all values of a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aecompiler.bindings import ir


def rebuild(
    op: ir.Operation, operands: Sequence[ir.Value], types: Sequence[ir.Type], attributes: dict | None = None
) -> ir.Operation:
    """A new operation like `op` with other operands and types of results; its regions are empty."""
    given = {_key(each): op.attributes[_key(each)] for each in op.attributes}
    return ir.Operation.create(
        op.name,
        results=list(types),
        operands=list(operands),
        attributes={**given, **(attributes or {})},
        regions=len(op.regions),
    )


def _key(attribute: Any) -> str:
    return attribute if isinstance(attribute, str) else attribute.name


def splat_of(op: ir.Operation, type_: ir.RankedTensorType) -> ir.Attribute:
    """The value of a constant tensor, all whose elements are one, for another type."""
    attribute = ir.DenseElementsAttr(op.attributes["value"])
    return ir.DenseElementsAttr.get_splat(type_, attribute.get_splat_value())
