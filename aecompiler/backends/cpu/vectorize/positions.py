"""Integers that differ from lane to lane by constants, as positions do: a scalar as long as possible.

A vector of positions of 64 bits takes two registers, and a comparison of two such takes several instructions.
Instead the distance of the scalars is computed once for all vectors of a row, and compared with constants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.ranges import Range, Ranges
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import ARITHMETIC, UNSIGNED_ARITHMETIC, width_of

_LARGEST_STEP = 1 << 20
"""Steps are smaller."""

_FAR = 1 << 22
"""More than two steps can differ by: the same for all vectors, which then share the clamped distance."""

_UNSIGNED = {
    arith.CmpIPredicate.ult: arith.CmpIPredicate.slt,
    arith.CmpIPredicate.ule: arith.CmpIPredicate.sle,
    arith.CmpIPredicate.ugt: arith.CmpIPredicate.sgt,
    arith.CmpIPredicate.uge: arith.CmpIPredicate.sge,
}


@dataclasses.dataclass(frozen=True)
class Spread:
    """The integers `base + steps[lane]`, of 64 bits, none of which has wrapped; `base` lies in `range`."""

    base: ir.Value
    steps: tuple[int, ...]
    range: Range

    @property
    def all(self) -> Range:
        """A range that holds the integers of all lanes."""
        return self.range + Range(min(self.steps), max(self.steps))

    @property
    def numbers(self) -> list[int] | None:
        """The integers, where they are constants."""
        base = rw.constant_value(self.base)
        return None if base is None else [base + step for step in self.steps]

    def vector(self) -> ir.Value:
        """The integers as a vector."""
        steps = vec.constants(self.base.type, self.steps)
        return arith.addi(vec.broadcast(self.base, len(self.steps)), steps)


class Positions:
    """Arithmetic on spreads and scalars; None is the answer where it takes vectors."""

    def __init__(self, ranges: Ranges, lanes: int):
        self.ranges, self.lanes = ranges, lanes

    def along(self, first: int) -> Spread:
        """`first`, `first` + 1, ... in the lanes."""
        return Spread(rw.index(0), tuple(range(first, first + self.lanes)), Range(0, 0))

    def operation(self, op: ir.Operation, operands: Sequence[ir.Value | Spread]) -> ir.Value | Spread | None:
        """The operation on spreads and scalars, if the result is one of these or a comparison."""
        if not any(isinstance(v, Spread) for v in operands):
            return None
        name = op.name
        if name in ("arith.index_cast", "arith.index_castui") and width_of(op.results[0].type) == 64:
            (a,) = operands
            return Spread(arith.index_cast(op.results[0].type, a.base), a.steps, a.range)
        if any(not isinstance(v, Spread) and vec.is_vector(v) for v in operands) or len(operands) != 2:
            return None
        a, b = (v if isinstance(v, Spread) else self._same(v) for v in operands)
        if name == "arith.cmpi":
            return self._compare(op, a, b)
        if name == "arith.addi":
            steps = [x + y for x, y in zip(a.steps, b.steps, strict=True)]
            return self._sum(arith.addi, a, b, steps, a.range + b.range)
        if name == "arith.subi":
            steps = [x - y for x, y in zip(a.steps, b.steps, strict=True)]
            return self._sum(arith.subi, a, b, steps, a.range - b.range)
        return self._constants(op, a, b)

    def _same(self, scalar: ir.Value) -> Spread:
        return Spread(scalar, (0,) * self.lanes, self.ranges.of(scalar))

    def _sum(self, build, a: Spread, b: Spread, steps: list[int], range_: Range) -> ir.Value | Spread | None:
        spread = (range_ + Range(min(steps), max(steps))).fits and range_.fits
        if not spread or max(map(abs, steps)) >= _LARGEST_STEP:
            return None
        base = build(a.base, b.base)
        return Spread(base, tuple(steps), range_) if any(steps) else base

    @staticmethod
    def _constants(op: ir.Operation, a: Spread, b: Spread) -> ir.Value | Spread | None:
        """Operations on constants: where in a head a row of packed heads stands, and in which head."""
        x, y = a.numbers, b.numbers
        if x is None or y is None:
            return None
        if op.name in ARITHMETIC:
            found = ARITHMETIC[op.name]
        elif op.name in UNSIGNED_ARITHMETIC and min(*x, *y) >= 0:
            found = UNSIGNED_ARITHMETIC[op.name]
        else:
            return None
        results = [found(*pair) for pair in zip(x, y, strict=True)]
        if max(map(abs, results)) >= _LARGEST_STEP:
            return None
        type_ = op.results[0].type
        if len(set(results)) == 1:
            return rw.constant(type_, results[0])
        return Spread(rw.constant(type_, 0), tuple(results), Range(0, 0))

    def _compare(self, op: ir.Operation, a: Spread, b: Spread) -> ir.Value | None:
        """`a.base + a.steps < b.base + b.steps` as `a.steps - b.steps < b.base - a.base`.

        The distance on the right is clamped to more than the steps can make up for.
        """
        predicate = arith.CmpIPredicate(op.attributes["predicate"].value)
        if predicate in _UNSIGNED:
            if min(a.all.low, b.all.low) < 0:
                return None
            predicate = _UNSIGNED[predicate]
        steps = [x - y for x, y in zip(a.steps, b.steps, strict=True)]
        if not any(a.steps):
            a = _near(a, b.range)
        if not any(b.steps):
            b = _near(b, a.range)
        if not (b.range - a.range).fits:
            return None
        distance = arith.subi(b.base, a.base)
        if len(set(steps)) == 1:
            return arith.cmpi(predicate, rw.constant(distance.type, steps[0]), distance)
        distance = _clamp(distance, -_FAR, _FAR)
        i32 = ir.IntegerType.get_signless(32)
        cast = arith.index_cast if isinstance(distance.type, ir.IndexType) else arith.trunci
        narrow = vec.broadcast(cast(i32, distance), self.lanes)
        return arith.cmpi(predicate, vec.constants(i32, steps), narrow)


def _near(scalar: Spread, other: Range) -> Spread:
    """A scalar, brought so near to a range that its place beside it is kept, where it may be too far away."""
    near = Range(other.low - _FAR, other.high + _FAR)
    if (scalar.range - other).fits or not near.fits:
        return scalar
    return Spread(_clamp(scalar.base, near.low, near.high), scalar.steps, near)


def _clamp(value: ir.Value, low: int, high: int) -> ir.Value:
    return arith.minsi(arith.maxsi(value, rw.constant(value.type, low)), rw.constant(value.type, high))
