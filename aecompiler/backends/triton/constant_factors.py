"""Constants of kernels, and values that are a constant times another value."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

LEAST_NORMAL, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""Of f32."""

SPREAD = ("tt.splat", "tt.expand_dims", "tt.broadcast")
"""Operations that repeat a value; in registers they cost nothing."""


def is_f32(value: ir.Value) -> bool:
    """Whether a value is a number of 32 bits, or a tensor of such."""
    return isinstance(tt.element_of(value), ir.F32Type)


def number_of(value: ir.Value) -> float | None:
    """The number that a float always is, or that all elements of a tensor are, or None."""
    attribute = _constant_of(value)
    return attribute.value if isinstance(attribute, ir.FloatAttr) else None


def integer_of(value: ir.Value) -> int | None:
    """The number that an integer always is, or that all elements of a tensor are, or None."""
    attribute = _constant_of(value)
    return attribute.value if isinstance(attribute, ir.IntegerAttr) else None


def _constant_of(value: ir.Value) -> ir.Attribute | None:
    op = rw.definer(value)
    while op is not None and op.name in SPREAD:
        op = rw.definer(op.operands[0])
    if op is None or op.name != "arith.constant":
        return None
    attribute = op.attributes["value"]
    if isinstance(attribute, ir.DenseElementsAttr):
        return attribute.get_splat_value() if attribute.is_splat else None
    return attribute


def rounded(number: float) -> float:
    """The number of f32 next to one that is not beyond the largest."""
    return struct.unpack("f", struct.pack("f", number))[0]


def is_normal(number: float) -> bool:
    """Whether f32 holds a number with all its bits: it is no zero, tiny, infinite or NaN."""
    return LEAST_NORMAL <= abs(number) <= LARGEST


class Constants:
    """Constants of f32 in a kernel: one scalar each, at its beginning."""

    def __init__(self, block: ir.Block):
        self._block = block
        self._made: dict[bytes, ir.Value] = {}

    def like(self, type_: ir.Type, number: float) -> ir.Value:
        """A number, in all elements of a tensor type."""
        key = struct.pack("f", number)  # 0 and -0 are two numbers, and a NaN equals itself
        if key not in self._made:
            with ir.InsertionPoint.at_block_begin(self._block):
                self._made[key] = arith.constant(ir.F32Type.get(), number)
        shape = type_.shape if isinstance(type_, ir.RankedTensorType) else ()
        return tt.splat(self._made[key], shape)


@dataclass(frozen=True)
class Multiple:
    """A value that `op` makes of `base`: times `number`, or divided by it."""

    op: ir.Operation
    base: ir.Value
    number: float

    @property
    def is_quotient(self) -> bool:
        """Whether the value is a quotient."""
        return self.op.name == "arith.divf"

    def of(self, base: ir.Value, constants: Constants) -> ir.Value:
        """The same operation on another value."""
        number = constants.like(base.type, self.number)
        return rw.clone_as(self.op, [base, number], base.type)


def as_multiple(value: ir.Value) -> Multiple | None:
    """A value of f32 as a multiple of another by a number that is finite and not 0."""
    op = rw.definer(value)
    if op is None or op.name not in ("arith.mulf", "arith.divf") or not is_f32(value):
        return None
    left, right = op.operands
    sides = [(left, right)] if op.name == "arith.divf" else [(left, right), (right, left)]
    for base, other in sides:
        number = number_of(other)
        if number and math.isfinite(number) and number_of(base) is None:
            return Multiple(op, base, number)
    return None
