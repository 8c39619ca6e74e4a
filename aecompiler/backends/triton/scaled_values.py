"""Products of values with constants, made where they cost least.

A product is a *plan* first: what it costs, and how it is built. Costs are operations on elements, less those
that nothing needs any more. Operations that repeat a value cost nothing; where a value is used a second
time, or comes from outside of the block, it stays, and is multiplied as it is.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.constant_factors import (
    SPREAD,
    Constants,
    as_multiple,
    is_normal,
    number_of,
    rounded,
)
from aecompiler.backends.triton.elementwise import LIBRARIES
from aecompiler.bindings import arith, ir
from aecompiler.bindings import math as math_ops
from aecompiler.passes import rewriting as rw

LOG2E = math.log2(math.e)

COARSE = 2.0**27
"""From here on numbers of f32 are 8 apart and more. Below, the rounding of a product with log2 e changes an
exponential by no more than 2^8, which f16 still holds."""

Made = ChainMap[tuple[ir.Value, float], ir.Value]
"""The products that exist where a product is built, by value and factor: by block, the innermost first."""

TANH = {library.function("tanh", 32) for library in LIBRARIES.values()}
"""The function's names in libraries of devices."""

_MONOTONE = ("arith.maximumf", "arith.minimumf", "arith.maxnumf", "arith.minnumf")


@dataclass(frozen=True)
class Plan:
    """How a product is made. `build` makes it at the insertion point."""

    cost: int
    build: Callable[[], ir.Value]


def elements(value: ir.Value) -> int:
    """The number of elements of a tensor; 1 for a scalar."""
    return math.prod(tt.shape_of(value))


def is_tile(value: ir.Value) -> bool:
    """Whether a tensor has several rows and several columns."""
    return sum(size > 1 for size in tt.shape_of(value)) > 1


class Scaling:
    """Plans products in a block."""

    def __init__(self, block: ir.Block, constants: Constants, made: Made):
        self.block, self.constants, self.made = block, constants, made

    def plan(self, value: ir.Value, factor: float, alone: bool = True) -> Plan:
        """The cheapest product of a value of f32 with a number.

        `alone`: the operation for whose sake the product is planned is replaced.
        """
        if (value, factor) in self.made:
            return Plan(0, lambda: self.made[value, factor])
        number = number_of(value)
        if number is not None and (is_normal(number * factor) or not number or not math.isfinite(number)):
            return Plan(0, lambda: self.constants.like(value.type, number * factor))
        as_it_is = self._as_it_is(value, factor)
        op = rw.definer(value)
        if op is None:
            return as_it_is
        alone = alone and len(list(value.uses)) == 1
        if op.name in SPREAD:
            spread = self._rebuilt(op, {0: self.plan(op.operands[0], factor, alone)})
            return spread if spread.cost <= as_it_is.cost else as_it_is
        if not alone or op.block != self.block:
            return as_it_is
        if op.name in ("arith.addf", "arith.subf"):
            # A product and a sum are one instruction: one of the terms may be multiplied as it is.
            by_terms = self._sum(op, factor)
            return by_terms if by_terms and by_terms.cost < 2 * as_it_is.cost else as_it_is
        inside = self._inside(op, factor)
        return inside if inside and inside.cost < as_it_is.cost else as_it_is

    def _as_it_is(self, value: ir.Value, factor: float) -> Plan:
        if rounded(factor) == 1:
            return Plan(0, lambda: value)

        def build() -> ir.Value:
            product = arith.mulf(value, self.constants.like(value.type, factor))
            self.made[value, factor] = product
            return product

        return Plan(elements(value), build)

    def _rebuilt(self, op: ir.Operation, plans: dict[int, Plan]) -> Plan:
        """The operation on products in place of some of its operands."""

        def build() -> ir.Value:
            operands = list(op.operands)
            for position, plan in plans.items():
                operands[position] = plan.build()
            return rw.clone_as(op, operands, op.results[0].type)

        return Plan(sum(plan.cost for plan in plans.values()), build)

    def _inside(self, op: ir.Operation, factor: float) -> Plan | None:
        """The product of the result of an operation that nothing else needs, by a change of its operands."""
        multiple = as_multiple(op.results[0])
        if multiple is not None:
            number = multiple.number
            other = factor / number if multiple.is_quotient else factor * number
            if not is_normal(number) or not is_normal(other):
                return None
            return self._in_place_of(op, self.plan(multiple.base, other))
        if op.name == "arith.select":
            return self._rebuilt(op, self._each(op, factor, [1, 2]))
        if op.name in _MONOTONE and factor > 0:
            return self._rebuilt(op, self._each(op, factor, [0, 1]))
        if op.name in ("arith.mulf", "arith.divf"):
            plans = self._each(op, factor, [0, 1] if op.name == "arith.mulf" else [0])
            cheapest = min(plans, key=lambda position: plans[position].cost)
            return self._rebuilt(op, {cheapest: plans[cheapest]})
        return None

    def _each(self, op: ir.Operation, factor: float, positions: Sequence[int]) -> dict[int, Plan]:
        return {position: self.plan(op.operands[position], factor) for position in positions}

    def _in_place_of(self, op: ir.Operation, plan: Plan) -> Plan:
        return Plan(plan.cost - elements(op.results[0]), plan.build)

    # ---- sums and differences ------------------------------------------------------------------------

    def _sum(self, op: ir.Operation, factor: float) -> Plan | None:
        """The product of a sum or a difference that nothing else needs, term by term."""
        left, right = op.operands
        if op.name == "arith.subf" and _is_negative_zero(number_of(left)):  # -0 - x is -x
            return self._in_place_of(op, self.plan(right, -factor))
        for position, other in ((0, left), (1, right)):
            number = number_of(other)
            if number is not None and abs(number) < COARSE:
                return self._rebuilt(op, self._each(op, factor, [0, 1]))
            source = _source(other)
            if elements(source) == elements(other) or not is_tile(other):
                continue
            term = op.operands[1 - position]
            if _is_moderate(term):
                return self._rebuilt(op, self._each(op, factor, [0, 1]))
            if abs(factor) == LOG2E:
                return self._beside_row(op, 1 - position, source, factor)
        return None

    def _beside_row(self, op: ir.Operation, position: int, row: ir.Value, factor: float) -> Plan:
        """The product of a sum or a difference of any tile, at `position`, with a row that is spread.

        The tile may hold numbers that stand for -inf, such as the lowest of f32, and the row their maximum.
        The difference of equal numbers must stay 0 then, and their product with the factor may overflow.
        Beside rows that are so large the factor is 1, and nothing is rounded: the difference is 0, or so
        large that to base 2 as well the exponential is next to nothing.
        """

        def build() -> ir.Value:
            like = self.constants.like
            fits = arith.cmpf(arith.CmpFPredicate.OLT, math_ops.absf(row), like(row.type, COARSE))
            chosen = like(row.type, factor), like(row.type, math.copysign(1, factor))
            numbers = arith.select(fits, *chosen)
            operands = list(op.operands)
            spread = operands[1 - position]
            operands[1 - position] = _spread_like(spread, arith.mulf(row, numbers))
            operands[position] = arith.mulf(operands[position], _spread_like(spread, numbers))
            return rw.clone_as(op, operands, op.results[0].type)

        return Plan(elements(op.results[0]) + 4 * elements(row), build)


def _is_negative_zero(number: float | None) -> bool:
    return number == 0 and math.copysign(1, number) < 0


def _source(value: ir.Value) -> ir.Value:
    """What is repeated to make a value."""
    op = rw.definer(value)
    while op is not None and op.name in SPREAD:
        value = op.operands[0]
        op = rw.definer(value)
    return value


def _spread_like(value: ir.Value, row: ir.Value) -> ir.Value:
    """A row of the shape of that which is repeated to make a value, repeated alike."""
    op = rw.definer(value)
    if op is None or op.name not in SPREAD:
        return row
    return rw.clone_as(op, [_spread_like(op.operands[0], row)], op.results[0].type)


def _is_moderate(value: ir.Value) -> bool:
    """Whether a value is a product of matrices or a tanh, times a constant, or an infinity or 0 in its place.

    Such values do not stand for -inf by being large.
    """
    op = rw.definer(value)
    while op is not None:
        multiple = as_multiple(op.results[0])
        if multiple is not None:
            op = rw.definer(multiple.base)
        elif op.name == "arith.select":
            sides = [each for each in op.operands[1:] if number_of(each) not in (0, math.inf, -math.inf)]
            op = rw.definer(sides[0]) if len(sides) == 1 else None
        else:
            return op.name == "tt.dot" or _is_tanh(op)
    return False


def _is_tanh(op: ir.Operation) -> bool:
    return op.name == "tt.extern_elementwise" and ir.StringAttr(op.attributes["symbol"]).value in TANH
