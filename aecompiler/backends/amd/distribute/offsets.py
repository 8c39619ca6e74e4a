"""Vectors of integers as sums: of multiples of positions, of numbers that all lanes share, and of the rest.

Addresses are such sums. What all lanes share moves the base of a tensor, multiples of positions are computed
once for a lane, and what a register adds is a constant; elements next to each other are read together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

Factors = tuple[int, ...]
"""Scalars, by their places among those that are known, so that the order is the same in each run."""

Number = dict[Factors, int]
"""A number that all lanes share: a sum of products of integers and scalars."""

MOST = 1 << 30
"""What divides 0, as far as anyone asks."""

_EXPANDED = ("arith.addi", "arith.subi", "arith.muli", "arith.extsi", "arith.index_cast")
"""Operations on scalars that a sum is made of."""

_NATURAL = ("gpu.block_id", "gpu.grid_dim", "gpu.thread_id")
_ANY_NATURAL = ("arith.maxsi", "arith.minui", "arith.andi")
_ALL_NATURAL = (
    *("arith.addi", "arith.muli", "arith.minsi", "arith.divsi", "arith.xori", "arith.ori"),
    *("arith.extsi", "arith.index_cast"),
)
_FIRST_NATURAL = ("arith.remsi", "arith.divui", "arith.remui", "arith.shrsi")
"""Operations whose results are not negative if one, all, or the first of their operands are not."""

_SAME = ("arith.extsi", "arith.extui", "arith.index_cast", "arith.index_castui", "arith.trunci")


def plus(a: Number, b: Number, times: int = 1) -> Number:
    """a + times b."""
    total = dict(a)
    for factors, count in b.items():
        total[factors] = total.get(factors, 0) + times * count
    return {factors: count for factors, count in total.items() if count}


def product(a: Number, b: Number) -> Number:
    """a b."""
    total: Number = {}
    for left, m in a.items():
        for right, n in b.items():
            factors = tuple(sorted((*left, *right)))
            total[factors] = total.get(factors, 0) + m * n
    return total


@dataclass
class Sum:
    """sum_d steps[d] i_d + rest + sum of scale * vector, where i_d are the positions in a tile."""

    steps: dict[int, Number] = field(default_factory=dict)
    rest: Number = field(default_factory=dict)
    others: list[tuple[Number, ir.Value, tuple[int, ...]]] = field(default_factory=list)
    """Vectors of which no more is known: the scale, the vector, and which dimension each of its own is."""

    def plus(self, other: Sum, times: int = 1) -> Sum:
        """The sum with `times` another one."""
        steps = dict(self.steps)
        for dim, step in other.steps.items():
            steps[dim] = plus(steps.get(dim, {}), step, times)
        others = [*self.others]
        others += [({key: n * times for key, n in scale.items()}, *more) for scale, *more in other.others]
        return Sum({d: step for d, step in steps.items() if step}, plus(self.rest, other.rest, times), others)

    def times(self, factor: Number) -> Sum:
        """The multiple by a number that all lanes share."""
        return Sum(
            {dim: product(step, factor) for dim, step in self.steps.items()},
            product(self.rest, factor),
            [(product(scale, factor), *more) for scale, *more in self.others],
        )

    def renamed(self, places: Mapping[int, int | None]) -> Sum:
        """The same with other numbers for the dimensions; None for one of size 1."""
        steps = {new: step for dim, step in self.steps.items() if (new := places[dim]) is not None}
        others = [
            (scale, vector, tuple(-1 if dim < 0 or places[dim] is None else places[dim] for dim in dims))
            for scale, vector, dims in self.others
        ]
        return Sum(steps, self.rest, others)  # type: ignore[arg-type]

    @property
    def is_number(self) -> bool:
        """Whether all elements are the same."""
        return not self.steps and not self.others


class Sums:
    """Reads vectors of integers as sums, and knows what divides scalars."""

    def __init__(self, divisors: Mapping[ir.Value, int], naturals: Iterable[ir.Value] = ()):
        self.divisors = divisors
        """What parameters are multiples of."""
        self._naturals = dict.fromkeys(naturals, True)
        """Scalars that are known not to be negative, and those of which that is not known."""
        self.scalars: list[ir.Value] = []
        """The factors of numbers."""
        self._places: dict[ir.Value, int] = {}
        self._sums: dict[ir.Value, Sum] = {}
        self._divisors: dict[ir.Value, int] = {}
        self._runs: dict[tuple[ir.Value, int, int], int] = {}

    def of(self, value: ir.Value) -> Sum:
        """The sum that a vector of integers, or a scalar, is."""
        if value not in self._sums:
            self._sums[value] = self._read(value)
        return self._sums[value]

    def _read(self, value: ir.Value) -> Sum:
        if not isinstance(value.type, ir.VectorType):
            return Sum(rest=self._read_number(value))
        op = rw.definer(value)
        unknown = Sum(others=[({(): 1}, value, tuple(range(value.type.rank)))])
        if op is None:
            return unknown
        operands = list(op.operands)
        match op.name:
            case "arith.constant":
                known = rw.constant_value(value)
                return unknown if known is None else Sum(rest=_number(known))
            case "vector.step":
                return Sum(steps={0: {(): 1}})
            case "vector.broadcast":
                return self._broadcast(operands[0], value)
            case "vector.shape_cast":
                places = unit_places(operands[0].type.shape, value.type.shape)
                return unknown if places is None else self.of(operands[0]).renamed(places)
            case "vector.transpose":
                order = list(op.attributes["permutation"])
                return self.of(operands[0]).renamed({old: new for new, old in enumerate(order)})
            case "arith.addi":
                return self.of(operands[0]).plus(self.of(operands[1]))
            case "arith.subi":
                return self.of(operands[0]).plus(self.of(operands[1]), -1)
            case "arith.muli":
                a, b = map(self.of, operands)
                if b.is_number:
                    return a.times(b.rest)
                return b.times(a.rest) if a.is_number else unknown
            case name if name in _SAME and _is_wide(operands[0]) and _is_wide(value):
                return self.of(operands[0])
        return unknown

    def _read_number(self, value: ir.Value) -> Number:
        """A scalar as a sum of products: ranges were chosen so that none of its parts wraps around."""
        known = rw.constant_value(value)
        if known is not None:
            return _number(known)
        op = rw.definer(value)
        if op is not None and op.name in _EXPANDED:
            first, *others = [self.of(each).rest for each in op.operands]
            match op.name:
                case "arith.addi":
                    return plus(first, others[0])
                case "arith.subi":
                    return plus(first, others[0], -1)
                case "arith.muli":
                    return product(first, others[0])
            return first
        if value not in self._places:
            self._places[value] = len(self.scalars)
            self.scalars.append(value)
        return {(self._places[value],): 1}

    def _broadcast(self, source: ir.Value, result: ir.Value) -> Sum:
        if not isinstance(source.type, ir.VectorType):
            return self.of(source)
        lead = result.type.rank - source.type.rank
        repeated = [
            a == 1 and b != 1 for a, b in zip(source.type.shape, result.type.shape[lead:], strict=True)
        ]
        return self.of(source).renamed(
            {dim: None if repeated[dim] else dim + lead for dim in range(source.type.rank)}
        )

    def divisor(self, value: ir.Value) -> int:
        """A power of two that divides a scalar."""
        if value not in self._divisors:
            self._divisors[value] = self._find_divisor(value)
        return self._divisors[value]

    def _find_divisor(self, value: ir.Value) -> int:
        known = rw.constant_value(value)
        if known is not None:
            return math.gcd(known, MOST) if known else MOST
        if value in self.divisors:
            return self.divisors[value]
        op = rw.definer(value)
        if op is None:
            return 1
        parts = [self.divisor(each) for each in op.operands] if op.name.startswith("arith.") else []
        match op.name:
            case "arith.muli":
                return min(MOST, parts[0] * parts[1])
            case "arith.addi" | "arith.subi" | "arith.minsi" | "arith.maxsi" | "arith.minui" | "arith.maxui":
                return min(parts)
            case "arith.select":
                return min(parts[1:])
            case name if name in _SAME:
                return parts[0]
        return 1

    def is_natural(self, number: Number) -> bool:
        """Whether a number is known not to be negative, as all terms of it are."""
        return all(
            n >= 0 and all(self.is_natural_scalar(self.scalars[each]) for each in factors)
            for factors, n in number.items()
        )

    def add_natural(self, value: ir.Value) -> None:
        """Say of a scalar that it is not negative."""
        self._naturals[value] = True

    def is_natural_scalar(self, value: ir.Value) -> bool:
        """Whether a scalar is known not to be negative; parameters that have divisors are strides."""
        if value not in self._naturals:
            self._naturals[value] = self._find_natural(value)
        return self._naturals[value]

    def _find_natural(self, value: ir.Value) -> bool:
        known = rw.constant_value(value)
        if known is not None:
            return known >= 0
        op = rw.definer(value)
        if op is None:
            parent = value.owner.owner.operation
            if parent.name == "scf.for" and ir.BlockArgument(value).arg_number == 0:
                return self.is_natural_scalar(parent.operands[0])
            return self.divisors.get(value, 1) > 1
        if op.name in _NATURAL:
            return True
        operands = list(op.operands)
        if op.name in _ANY_NATURAL:
            return any(map(self.is_natural_scalar, operands))
        if op.name in _FIRST_NATURAL:
            return self.is_natural_scalar(operands[0])
        if op.name == "arith.select":
            operands = operands[1:]
        elif op.name not in _ALL_NATURAL:
            return False
        return all(map(self.is_natural_scalar, operands))

    def number_divisor(self, number: Number) -> int:
        """A power of two that divides a number."""
        found = MOST
        for factors, count in number.items():
            each = math.gcd(count, MOST)
            for factor in factors:
                each = min(MOST, each * self.divisor(self.scalars[factor]))
            found = min(found, each & -each)
        return found

    def aligned_run(self, total: Sum, dim: int, most: int) -> int:
        """How many elements along `dim`, from a multiple of that on, follow each other, aligned."""
        if total.steps.get(dim) != {(): 1} or any(dim in dims for _, _, dims in total.others):
            return 1
        found = min(most, self.number_divisor(total.rest))
        for other, step in total.steps.items():
            if other != dim:
                found = min(found, self.number_divisor(step))
        for scale, _, _ in total.others:
            found = min(found, self.number_divisor(scale))
        return max(1, found)

    def constant_run(self, value: ir.Value, dim: int, most: int) -> int:
        """Along how many elements along `dim`, from a multiple of that on, a vector of bits is constant."""
        key = (value, dim, most)
        if key not in self._runs:
            self._runs[key] = self._find_constant_run(value, dim, most)
        return self._runs[key]

    def _find_constant_run(self, value: ir.Value, dim: int, most: int) -> int:
        if not isinstance(value.type, ir.VectorType) or value.type.shape[dim] == 1:
            return most
        op = rw.definer(value)
        if op is None:
            return 1
        operands = list(op.operands)
        match op.name:
            case "arith.constant":
                return most if op.attributes["value"].is_splat else 1
            case "vector.broadcast":
                lead = value.type.rank - getattr(operands[0].type, "rank", 0)
                return most if dim < lead else self.constant_run(operands[0], dim - lead, most)
            case "vector.shape_cast":
                places = unit_places(operands[0].type.shape, value.type.shape)
                olds = [] if places is None else [old for old, new in places.items() if new == dim]
                return self.constant_run(operands[0], olds[0], most) if olds else 1
            case "vector.transpose":
                return self.constant_run(operands[0], list(op.attributes["permutation"])[dim], most)
            case "arith.andi" | "arith.ori" | "arith.xori":
                return min(self.constant_run(each, dim, most) for each in operands)
            case "arith.cmpi":
                return self._comparison_run(op, dim, most)
        return 1

    def _comparison_run(self, op: ir.Operation, dim: int, most: int) -> int:
        """The same of a < b or a >= b: a - b changes its sign at multiples only of what divides its terms."""
        rising, falling = (2, 5), (3, 4)  # slt, sge; sle, sgt
        a, b = (self.of(each) for each in op.operands)
        difference = a.plus(b, -1)
        step = difference.steps.get(dim, {})
        if any(dim in dims for _, _, dims in difference.others):
            return 1
        if not step:
            return most
        signs = {1: rising, -1: falling}
        predicate = ir.IntegerAttr(op.attributes["predicate"]).value
        if set(step) != {()} or step[()] not in signs or predicate not in signs[step[()]]:
            return 1
        found = min(most, self.number_divisor(difference.rest))
        for other, each in difference.steps.items():
            if other != dim:
                found = min(found, self.number_divisor(each))
        for scale, _, _ in difference.others:
            found = min(found, self.number_divisor(scale))
        return max(1, found)


def _is_wide(vector: ir.Value) -> bool:
    """Whether elements have 32 bits or more: numbers of fewer wrap around, and have other signs."""
    element = vector.type.element_type
    return isinstance(element, ir.IndexType) or element.width >= 32


def _number(value: int) -> Number:
    return {(): value} if value else {}


def unit_places(old: list[int], new: list[int]) -> dict[int, int | None] | None:
    """Which dimension of `new` each of `old` is, but for those of size 1; None where others differ."""
    if [size for size in old if size != 1] != [size for size in new if size != 1]:
        return None
    left = [dim for dim, size in enumerate(new) if size != 1]
    return {dim: None if size == 1 else left.pop(0) for dim, size in enumerate(old)}
