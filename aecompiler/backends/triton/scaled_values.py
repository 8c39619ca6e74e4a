"""Products of values with constants, made where they cost least.

A product is a *plan* first: what it costs, and how it is built. Costs are operations on elements, less those
that nothing needs any more. Operations that repeat a value cost nothing; where a value is used a second
time, or comes from outside of the block, it stays, and is multiplied as it is.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.constant_factors import (
    SPREAD,
    Constants,
    as_multiple,
    defining,
    is_normal,
    number_of,
    rounded,
)
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

Made = ChainMap[tuple[ir.Value, float], ir.Value]
"""The products that exist where a product is built, by value and factor: by block, the innermost first."""

_MONOTONE = ("arith.maximumf", "arith.minimumf", "arith.maxnumf", "arith.minnumf")


@dataclass(frozen=True)
class Plan:
    """How a product is made. `build` makes it at the insertion point."""

    cost: int
    build: Callable[[], ir.Value]


def elements(value: ir.Value) -> int:
    """The number of elements of a tensor; 1 for a scalar."""
    return math.prod(tt.shape_of(value))


class Scaling:
    """Plans products in a block."""

    def __init__(self, block: ir.Block, constants: Constants, made: Made):
        self.block, self.constants, self.made = block, constants, made

    def plan(self, value: ir.Value, factor: float, used_here: bool = True) -> Plan:
        """The cheapest product of a value of f32 with a number.

        `used_here`: the one operation that the product is planned for goes away with it.
        """
        if (value, factor) in self.made:
            return Plan(0, lambda: self.made[value, factor])
        number = number_of(value)
        if number is not None and (is_normal(number * factor) or not number or not math.isfinite(number)):
            return Plan(0, lambda: self.constants.like(value.type, number * factor))
        as_it_is = self._as_it_is(value, factor)
        op = defining(value)
        if op is None:
            return as_it_is
        if op.name in SPREAD:
            return self._rebuilt(op, self._each(op, factor, used_here, [0]), as_it_is, at_most=as_it_is.cost)
        if not used_here or op.block != self.block or len(list(value.uses)) != 1:
            return as_it_is
        return self._instead_of(op, factor, as_it_is)

    def _as_it_is(self, value: ir.Value, factor: float) -> Plan:
        if rounded(factor) == 1:
            return Plan(0, lambda: value)

        def build() -> ir.Value:
            product = arith.mulf(value, self.constants.like(value.type, factor))
            self.made[value, factor] = product
            return product

        return Plan(elements(value), build)

    def _instead_of(self, op: ir.Operation, factor: float, as_it_is: Plan) -> Plan:
        """The product of the result of an operation that nothing else needs, by changing its operands."""
        multiple = as_multiple(op.results[0])
        if multiple is not None:
            number = multiple.number
            other = factor / number if multiple.is_quotient else factor * number
            if not is_normal(number) or not is_normal(other):
                return as_it_is
            inner = self.plan(multiple.base, other)
            return Plan(inner.cost - elements(op.results[0]), inner.build)
        if op.name in ("arith.addf", "arith.subf"):
            if op.name == "arith.subf" and str(number_of(op.operands[0])) == "-0.0":  # -0 - x is -x
                inner = self.plan(op.operands[1], -factor)
                return Plan(inner.cost - elements(op.results[0]), inner.build)
            # A product and a sum are one instruction: one of the terms may be multiplied as it is.
            most = 2 * as_it_is.cost - 1
            return self._rebuilt(op, self._each(op, factor, True, [0, 1]), as_it_is, at_most=most)
        if op.name == "arith.select":
            return self._rebuilt(op, self._each(op, factor, True, [1, 2]), as_it_is)
        if op.name in _MONOTONE and factor > 0:
            return self._rebuilt(op, self._each(op, factor, True, [0, 1]), as_it_is)
        if op.name in ("arith.mulf", "arith.divf"):
            positions = [0, 1] if op.name == "arith.mulf" else [0]
            plans = self._each(op, factor, True, positions)
            cheapest = min(plans, key=lambda position: plans[position].cost)
            return self._rebuilt(op, {cheapest: plans[cheapest]}, as_it_is)
        return as_it_is

    def _each(
        self, op: ir.Operation, factor: float, used_here: bool, positions: list[int]
    ) -> dict[int, Plan]:
        alone = used_here and len(list(op.results[0].uses)) == 1
        return {position: self.plan(op.operands[position], factor, alone) for position in positions}

    def _rebuilt(
        self, op: ir.Operation, plans: dict[int, Plan], as_it_is: Plan, at_most: int | None = None
    ) -> Plan:
        """The operation on products in place of some of its operands, or the product of its result."""
        cost = sum(plan.cost for plan in plans.values())
        if cost > (as_it_is.cost - 1 if at_most is None else at_most):
            return as_it_is

        def build() -> ir.Value:
            operands = list(op.operands)
            for position, plan in plans.items():
                operands[position] = plan.build()
            return rw.clone_as(op, operands, op.results[0].type)

        return Plan(cost, build)
