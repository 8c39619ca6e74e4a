"""How large weights of kernels are at most: powers of scores from which a row's maximum is subtracted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.constant_factors import SPREAD, as_multiple, number_of
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

_SAME = 2.0**-22
"""How far two products of constants may be apart that are one number but for rounding."""

_POWERS = ("math.exp", "math.exp2")
_MAXIMA = ("arith.maximumf", "arith.maxnumf")
_OEQ = 1


def bound_of(value: ir.Value) -> float | None:
    """What absolute values are at most, in real numbers, those that are not NaN; None where it is not known.

    Known are constants, powers of differences to the maximum of a row, quotients of a constant and a constant
    plus a power, as of sigmoid, and choices and products of such.
    """
    number = number_of(value)
    if number is not None:
        return abs(number) if math.isfinite(number) else None
    op = rw.definer(value)
    if op is None:
        return None
    if op.name in SPREAD:
        return bound_of(op.operands[0])
    if op.name in _POWERS:
        return 1.0 if _is_below_maximum(op.operands[0]) else None
    if op.name == "arith.divf":
        return _of_quotient(op)
    if op.name not in ("arith.select", "arith.mulf"):
        return None
    left, right = (bound_of(each) for each in list(op.operands)[-2:])
    if left is None or right is None:
        return None
    return max(left, right) if op.name == "arith.select" else left * right


def powers_of(value: ir.Value) -> int:
    """How many powers of differences that are at most 0 a value with a bound is a product of.

    Of each, rounding may make more than 1.
    """
    op = rw.definer(value)
    if number_of(value) is not None or op is None:
        return 0
    if op.name in SPREAD:
        return powers_of(op.operands[0])
    if op.name in _POWERS:
        return 1
    if op.name not in ("arith.select", "arith.mulf"):
        return 0
    left, right = (powers_of(each) for each in list(op.operands)[-2:])
    return max(left, right) if op.name == "arith.select" else left + right


def _of_quotient(op: ir.Operation) -> float | None:
    """The bound of n / (d + e^x), of a positive d."""
    number, total = number_of(op.operands[0]), rw.definer(op.operands[1])
    if number is None or not math.isfinite(number) or total is None or total.name != "arith.addf":
        return None
    for one, other in (total.operands, list(total.operands)[::-1]):
        least, power = number_of(one), rw.definer(other)
        if least is not None and 0 < least < math.inf and power is not None and power.name in _POWERS:
            return abs(number / least)
    return None


@dataclass(frozen=True)
class _Spread:
    """A value that repeats another one, along these axes if the other is no scalar."""

    source: ir.Value
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Multiple:
    """A value that is `base` times a positive number and other positive factors."""

    base: _Spread
    number: float
    factors: tuple[_Spread, ...]


@dataclass(frozen=True)
class _Least:
    """What a vector is at least: the maximum of `tile` along an axis, times `factor`, and `addends`.

    These are vectors, each times a number.
    """

    tile: _Spread
    axis: int
    factor: float = 1.0
    addends: Mapping[ir.Value, float] = field(default_factory=dict)

    def times(self, number: float) -> _Least:
        """The same of a positive multiple."""
        addends = {value: each * number for value, each in self.addends.items()}
        return replace(self, factor=self.factor * number, addends=addends)

    def plus(self, value: ir.Value, sign: int) -> _Least:
        """The same of a sum, or a difference."""
        addends = {**self.addends, value: self.addends.get(value, 0.0) + sign}
        return replace(self, addends={key: each for key, each in addends.items() if each})

    def is_like(self, other: _Least) -> bool:
        """Whether two are the same but for rounding."""
        return (
            (self.tile, self.axis) == (other.tile, other.axis)
            and abs(self.factor / other.factor - 1) <= _SAME
            and self.addends == other.addends
        )


def _is_below_maximum(value: ir.Value) -> bool:
    """Whether values are a multiple of s - m, m being at least the maximum of each row of s."""
    while (multiple := as_multiple(value)) is not None and multiple.number > 0:
        value = multiple.base
    op = rw.definer(value)
    if op is None or op.name != "arith.subf":
        return False
    score, maximum = (_multiple(each) for each in op.operands)
    is_tile = len(tt.shape_of(value)) > 1
    if Counter(score.factors) != Counter(maximum.factors) or len(maximum.base.axes) != is_tile:
        return False
    for least in _least(maximum.base.source):
        base, axis = score.base, least.axis
        if is_tile:
            (axis,) = maximum.base.axes
        elif isinstance(base.source.type, ir.RankedTensorType):
            base = _Spread(base.source, (axis,))  # all elements of a row are one
        if least.times(maximum.number).is_like(_Least(base, axis, score.number)):
            return True
    return False


def _multiple(value: ir.Value) -> _Multiple:
    """What a value is a multiple of."""
    number = 1.0
    factors: list[_Spread] = []
    axes: tuple[int, ...] = ()
    while True:
        multiple = as_multiple(value)
        spread = _spread(value)
        op = rw.definer(value)
        if multiple is not None and multiple.number > 0:
            number = number / multiple.number if multiple.is_quotient else number * multiple.number
            value = multiple.base
        elif spread.source != value:
            value, axes = spread.source, axes + spread.axes
        elif op is not None and op.name == "arith.mulf" and (found := _positive_factor(op)) is not None:
            value, factor = found
            factors.append(_Spread(factor.source, axes + factor.axes))
        else:
            is_scalar = not isinstance(value.type, ir.RankedTensorType)
            return _Multiple(_Spread(value, () if is_scalar else axes), number, tuple(factors))


def _spread(value: ir.Value) -> _Spread:
    """What a value repeats: itself at least."""
    axes: list[int] = []
    while (op := rw.definer(value)) is not None and op.name in SPREAD:
        axes += [ir.IntegerAttr(op.attributes["axis"]).value] if op.name == "tt.expand_dims" else []
        value = op.operands[0]
    return _Spread(value, tuple(axes))


def _positive_factor(product: ir.Operation) -> tuple[ir.Value, _Spread] | None:
    """The two factors of a product of which the second is positive."""
    for one, other in (product.operands, list(product.operands)[::-1]):
        factor = _spread(other)
        if _is_positive(factor.source):
            return one, factor
    return None


def _is_positive(value: ir.Value) -> bool:
    """Whether a vector is a choice between positive numbers."""
    op = rw.definer(value)
    if op is None or op.name != "arith.select":
        return False
    numbers = [number_of(each) for each in list(op.operands)[1:]]
    return all(each is not None and 0 < each < math.inf for each in numbers)


def _least(value: ir.Value) -> list[_Least]:
    """What is known of a vector to be at most it, in real numbers."""
    multiple = as_multiple(value)
    if multiple is not None:
        number = 1 / multiple.number if multiple.is_quotient else multiple.number
        return [each.times(number) for each in _least(multiple.base)] if number > 0 else []
    op = rw.definer(value)
    if op is None:
        return []
    if op.name == "tt.reduce":
        if not is_reduction(op, _MAXIMA):
            return []
        tile = _multiple(op.operands[0])
        axis = ir.IntegerAttr(op.attributes["axis"]).value
        return [] if tile.factors else [_Least(tile.base, axis, tile.number)]
    if op.name in _MAXIMA:
        return [each for operand in op.operands for each in _least(operand)]
    if op.name in ("arith.addf", "arith.subf"):
        left, right = op.operands
        sign = 1 if op.name == "arith.addf" else -1
        return [each.plus(right, sign) for each in _least(left)] + (
            [each.plus(left, 1) for each in _least(right)] if sign > 0 else []
        )
    if op.name != "arith.select":
        return []
    if (other := _without_infinity(op)) is not None:
        return _least(other)
    one, two = (_least(each) for each in list(op.operands)[1:])
    return [each for each in one if any(map(each.is_like, two))]


def _without_infinity(op: ir.Operation) -> ir.Value | None:
    """The maximum m of a choice of a number in place of an m of -inf: where all scores are that as well."""
    test, number, other = rw.definer(op.operands[0]), number_of(op.operands[1]), op.operands[2]
    if test is None or test.name != "arith.cmpf" or number is None or not math.isfinite(number):
        return None
    is_equal = ir.IntegerAttr(test.attributes["predicate"]).value == _OEQ
    left, right = test.operands
    return other if is_equal and left == other and number_of(right) == -math.inf else None


def is_reduction(op: ir.Operation, names: tuple[str, ...]) -> bool:
    """Whether a `tt.reduce` of one tensor combines its elements by one of these operations."""
    if op.name != "tt.reduce" or len(op.operands) != 1:
        return False
    block = op.regions[0].blocks[0]
    first, *rest = (view.operation for view in block.operations)
    of_both = first.name in names and set(first.operands) == set(block.arguments)
    return of_both and len(rest) == 1 and list(rest[0].operands) == list(first.results)
