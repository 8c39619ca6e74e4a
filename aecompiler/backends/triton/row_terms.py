"""Tiles that are the same along an axis, and those that are a sum of two such, one along each axis."""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.constant_factors import is_f32
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

_SUMS = ("arith.addf", "arith.subf")


def repeated(value: ir.Value, axis: int) -> ir.Value | None:
    """What is repeated along an axis: a tensor without it, or a scalar; None if the value varies there."""
    op = rw.definer(value)
    while op is not None and op.name == "tt.broadcast":
        op = rw.definer(op.operands[0])
    if op is None:
        return None
    if op.name == "tt.splat":
        return op.operands[0]
    is_repeated = op.name == "tt.expand_dims" and int(ir.IntegerAttr(op.attributes["axis"]).value) == axis
    return op.operands[0] if is_repeated else None


def spread(vector: ir.Value, axis: int, shape: tuple[int, ...]) -> ir.Value:
    """A vector, or a scalar, repeated along an axis."""
    if not tt.shape_of(vector):
        return tt.splat(vector, shape)
    return tt.broadcast(tt.expand_dims(vector, axis), shape)


@dataclass(frozen=True)
class Terms:
    """A tile as a sum of what is repeated along an axis, and of what is repeated along the other."""

    along: ir.Value
    across: ir.Value


def is_separable(value: ir.Value, axis: int) -> bool:
    """Whether a tile of rank 2 is such a sum: a vector and places in the tile, a multiple of their sum.

    Other vectors across could be large numbers whose difference to the rows is small.
    """
    if len(tt.shape_of(value)) != 2 or not is_f32(value):
        return False
    op = rw.definer(value)
    if op is None:
        return False
    if op.name == "arith.mulf":
        return any(_is_scalar(a) and is_separable(b, axis) for a, b in _both_ways(op))
    return op.name in _SUMS and any(
        repeated(a, axis) is not None and _is_place(repeated(b, 1 - axis)) for a, b in _both_ways(op)
    )


def separate(value: ir.Value, axis: int) -> Terms:
    """The terms of a separable tile, made at the insertion point: vectors or scalars."""
    op = rw.definer(value)
    assert op is not None
    if op.name == "arith.mulf":
        factor, tile = next((a, b) for a, b in _both_ways(op) if _is_scalar(a) and is_separable(b, axis))
        number, terms = rw.definer(factor), separate(tile, axis)
        assert number is not None
        along, across = (
            arith.mulf(each, tt.splat(number.operands[0], tt.shape_of(each)))
            for each in (terms.along, terms.across)
        )
        return Terms(along, across)
    left, right = op.operands
    along, across = repeated(left, axis), repeated(right, 1 - axis)
    is_left = along is not None and _is_place(across)
    if not is_left:
        along, across = repeated(right, axis), repeated(left, 1 - axis)
    assert along is not None
    assert across is not None
    if op.name == "arith.subf":
        second = across if is_left else along
        zero = tt.splat(rw.constant(tt.element_of(second), -0.0), tt.shape_of(second))
        negative = arith.subf(zero, second)
        along, across = (along, negative) if is_left else (negative, across)
    return Terms(along, across)


def _is_place(value: ir.Value | None) -> bool:
    """Whether a vector is the numbers from 0 on, as floats."""
    op = None if value is None else rw.definer(value)
    if op is None or op.name not in ("arith.sitofp", "arith.uitofp"):
        return False
    made = rw.definer(op.operands[0])
    return made is not None and made.name == "tt.make_range"


def _both_ways(op: ir.Operation) -> list[tuple[ir.Value, ir.Value]]:
    left, right = op.operands
    return [(left, right), (right, left)]


def _is_scalar(value: ir.Value) -> bool:
    op = rw.definer(value)
    return op is not None and op.name == "tt.splat"
