"""The scalar rewrites of `attn-canonicalize`: boolean expressions, and chains of scale factors."""

from __future__ import annotations

import math
from collections.abc import Callable

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

_SCALES = ("arith.mulf", "arith.divf", "arith.negf")

# The smallest normal and the largest number of each type.
_RANGES = {
    "f16": (2.0**-14, 65504.0),
    "bf16": (2.0**-126, float.fromhex("0x1.fep127")),
    "f32": (2.0**-126, float.fromhex("0x1.fffffep127")),
    "f64": (2.0**-1022, float.fromhex("0x1.fffffffffffffp1023")),
}

_ENLARGED = 2.0**24
"""A number that underflows stays negligible up to this factor."""


def simplify(block: ir.Block) -> None:
    """Rewrite the ops that stand directly in `block`.

    Values that lose their last use stay: `canonicalize` removes them.
    """
    for view in list(block.operations):
        op = view.operation
        if rule := _RULES.get(op.name):
            with ir.InsertionPoint(op), op.location:
                value = rule(op)
            if value is not None:
                op.results[0].replace_all_uses_with(value)


def producer(value: ir.Value, name: str) -> ir.Operation | None:
    """The op called `name` that `value` is a result of."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    return owner.operation if owner.operation.name == name else None


def constant(value: ir.Value) -> float | int | None:
    """The scalar that `value` always is; a true i1 is not 0."""
    op = producer(value, "arith.constant")
    attribute = op.attributes["value"] if op is not None else None
    scalars = (ir.FloatAttr, ir.IntegerAttr, ir.BoolAttr)
    return attribute.value if isinstance(attribute, scalars) else None


def is_minus_infinity(value: ir.Value) -> bool:
    """Whether `value` is the constant -inf."""
    return isinstance(value.type, ir.FloatType) and constant(value) == -math.inf


def binary(name: str, lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    """The op `name` on two values, with a result of their type."""
    return ir.Operation.create(name, [lhs.type], [lhs, rhs]).result


# ---- booleans ------------------------------------------------------------------------------------


def _is_boolean(value: ir.Value) -> bool:
    return isinstance(value.type, ir.IntegerType) and value.type.width == 1


def _select(op: ir.Operation) -> ir.Value | None:
    """`select(c, x, false)` is `c & x`, `select(c, true, x)` is `c | x`, and the two with `not c`."""
    condition, on_true, on_false = op.operands
    if not _is_boolean(op.results[0]) or not _is_boolean(condition):
        return None
    if constant(on_false) is not None:
        if not constant(on_false):
            return binary("arith.andi", condition, on_true)
        return binary("arith.ori", _not(condition), on_true)
    if constant(on_true) is not None:
        if constant(on_true):
            return binary("arith.ori", condition, on_false)
        return binary("arith.andi", _not(condition), on_false)
    return None


def _not(value: ir.Value) -> ir.Value:
    return binary("arith.xori", value, rw.constant(value.type, 1))


def _absorb(inner: str) -> Callable[[ir.Operation], ir.Value | None]:
    """`a & (a | b)` and `a | (a & b)` are `a`."""

    def rule(op: ir.Operation) -> ir.Value | None:
        for kept, other in (tuple(op.operands), tuple(op.operands)[::-1]):
            nested = producer(other, inner)
            if nested is not None and kept in list(nested.operands):
                return kept
        return None

    return rule


# ---- scale factors -------------------------------------------------------------------------------


def _scale(op: ir.Operation) -> ir.Value | None:
    """Merge two steps of a chain, or make a single exact quotient a product."""
    outer = _factor(op)
    if outer is None or str(op.results[0].type) not in _RANGES:
        return None
    inner_op = next((found for name in _SCALES if (found := producer(op.operands[0], name))), None)
    inner = _factor(inner_op) if inner_op is not None else None
    if inner_op is None or inner is None or not _mergeable(op, inner_op):
        return _exact_product(op, outer)
    if abs(inner) > 1 > abs(outer):
        return None  # x * inner may overflow where x * (inner * outer) would not
    if abs(inner) < 1 < _ENLARGED < abs(outer):
        return None  # x * inner may underflow to what outer makes a number that counts
    return _product(op, inner_op.operands[0], inner * outer)


def _factor(op: ir.Operation) -> float | None:
    """`c` when `op` multiplies its first operand by `c`."""
    if op.name == "arith.negf":
        return -1.0
    value = constant(op.operands[1])
    if value is None or not math.isfinite(value) or value == 0:
        return None
    if op.name == "arith.mulf":
        return float(value)
    reciprocal = 1.0 / value
    return reciprocal if math.isfinite(reciprocal) else None


def _mergeable(outer: ir.Operation, inner: ir.Operation) -> bool:
    same_flags = str(outer.attributes.get("fastmath")) == str(inner.attributes.get("fastmath"))
    return same_flags and len(list(inner.results[0].uses)) == 1 and inner.parent == outer.parent


def _exact_product(op: ir.Operation, factor: float) -> ir.Value | None:
    is_power_of_two = abs(math.frexp(factor)[0]) == 0.5
    if op.name != "arith.divf" or not is_power_of_two:
        return None
    return _product(op, op.operands[0], factor)


def _product(op: ir.Operation, value: ir.Value, factor: float) -> ir.Value | None:
    """`value * factor` with the flags of `op`, unless the factor is no normal number of the type."""
    smallest, largest = _RANGES[str(value.type)]
    if not smallest <= abs(factor) <= largest:
        return None
    if factor == 1.0:
        return value
    rhs = rw.constant(value.type, factor)
    flags = {"fastmath": op.attributes["fastmath"]} if "fastmath" in op.attributes else {}
    return ir.Operation.create("arith.mulf", [value.type], [value, rhs], flags).result


_RULES: dict[str, Callable[[ir.Operation], ir.Value | None]] = {
    "arith.select": _select,
    "arith.andi": _absorb("arith.ori"),
    "arith.ori": _absorb("arith.andi"),
    **dict.fromkeys(_SCALES, _scale),
}
