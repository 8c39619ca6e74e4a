"""What is known of the size of integers in a tile program, so that arithmetic on positions may be narrow.

Integers wrap in 64 bits. Where it is proved here that they do not, a comparison of positions needs their
distance only, which fits in any width once it is clamped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import is_widening, width_of

LARGEST_SIZE = 1 << 61
"""Dimensions are smaller: no tensor of floats with as many elements can be addressed."""

_DEEPEST = 16


@dataclasses.dataclass(frozen=True)
class Range:
    """The integers from `low` to `high`."""

    low: int
    high: int

    @property
    def fits(self) -> bool:
        """Whether all are signed numbers of 64 bits: a sum in this range has not wrapped."""
        return self.low >= -(1 << 63) and self.high < 1 << 63

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low)

    def __sub__(self, other: Range) -> Range:
        return self + -other

    def __mul__(self, other: Range) -> Range:
        products = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Range(min(products), max(products))


SIZE = Range(0, LARGEST_SIZE)
"""A size, or a position in a dimension."""

_RESULTS: dict[str, Callable[[Range, Range], Range]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.minsi": lambda a, b: Range(min(a.low, b.low), min(a.high, b.high)),
    "arith.maxsi": lambda a, b: Range(max(a.low, b.low), max(a.high, b.high)),
}
_UNSIGNED: dict[str, Callable[[Range, Range], Range]] = {
    "arith.minui": _RESULTS["arith.minsi"],
    "arith.maxui": _RESULTS["arith.maxsi"],
    "arith.divui": lambda a, b: Range(0, a.high),
    "arith.remui": lambda a, b: Range(0, min(a.high, max(b.high - 1, 0))),
}
_SIZES = ("tensor.dim", "memref.dim")


class Ranges:
    """Ranges of values; those of arguments and of positions of slices are told."""

    def __init__(self) -> None:
        self.known: dict[ir.Value, Range] = {}

    def of(self, value: ir.Value, depth: int = 0) -> Range:
        """A range that holds an index or integer."""
        width = width_of(value.type)
        if width is None:
            raise TypeError(f"{value.type} has no range")
        every = Range(-(1 << (width - 1)), (1 << (width - 1)) - 1)
        if value in self.known:
            return self.known[value]
        constant = rw.constant_value(value)
        if constant is not None:
            return Range(constant, constant)
        if depth == _DEEPEST:
            return every
        if isinstance(value.owner, ir.Block):
            return self._of_argument(value, depth) or every
        found = self._of_result(value.owner.operation, depth)
        return found if found is not None and every.low <= found.low and found.high <= every.high else every

    def _of_argument(self, value: ir.Value, depth: int) -> Range | None:
        """The range of the induction variable of a loop."""
        block = value.owner
        loop = block.owner.operation
        if loop.name != "scf.for" or value != block.arguments[0]:
            return None
        lower, upper = (self.of(bound, depth + 1) for bound in list(loop.operands)[:2])
        return Range(lower.low, max(lower.low, upper.high - 1))

    def _of_result(self, op: ir.Operation, depth: int) -> Range | None:
        name = op.name
        if name in _SIZES:
            return SIZE
        if is_widening(op):
            return self.of(op.operands[0], depth + 1)
        if name == "arith.select":
            a, b = (self.of(operand, depth + 1) for operand in list(op.operands)[1:])
            return Range(min(a.low, b.low), max(a.high, b.high))
        if name not in _RESULTS and name not in _UNSIGNED:
            return None
        a, b = (self.of(operand, depth + 1) for operand in op.operands)
        if name in _RESULTS:
            return _RESULTS[name](a, b)
        return _UNSIGNED[name](a, b) if a.low >= 0 and b.low >= 0 else None
