"""What an element of a tensor is computed from: operations on whole tensors, read backwards.

`Elements.at` follows the operations that make a tensor, from an element at places that are formulas in the
indices of loops, down to elements of tensors that stay in memory. What it returns, an `Expression`, is then
built in the body of a `linalg.generic`. Operations that move data leave no trace there but in the places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tensor_parts import Indices, Linear

Places = tuple[Linear, ...]
"""The indices of an element, one for each dimension."""

Make = Callable[[list[ir.Value], "Positions"], ir.Value]
"""Builds an element from those that it is computed from."""


@dataclasses.dataclass(frozen=True)
class Loop:
    """The index of a loop, a symbol in places."""

    number: int


@dataclasses.dataclass(frozen=True)
class Formula:
    """An operation of `arith` on two indices that is not linear, a symbol in places."""

    name: str
    left: Linear
    right: Linear


def loop(number: int) -> Linear:
    """The index of a loop."""
    return Linear(0, ((Loop(number), 1),))


def formula(name: str, left: Linear, right: Linear) -> Linear:
    """`arith.<name>` of indices, as a number where both are and it is a product."""
    if name == "muli" and (number := left.number if left.number is not None else right.number) is not None:
        return (right if left.number is not None else left) * number
    return Linear(0, ((Formula(name, left, right), 1),))


def clamped(place: Linear, size: Linear) -> Linear:
    """A place, or the nearest one below a size."""
    return formula("maxsi", formula("minsi", place, size + Linear(-1)), Linear())


def loops_of(place: Linear) -> set[int]:
    """The loops whose indices a place depends on."""
    found: set[int] = set()
    for symbol, _ in place.terms:
        if isinstance(symbol, Loop):
            found.add(symbol.number)
        elif isinstance(symbol, Formula):
            found |= loops_of(symbol.left) | loops_of(symbol.right)
    return found


class Positions(Indices):
    """Builds places at one point of the IR, given the indices of loops there.

    `sources` are tensors that are read in the place of others.
    """

    def __init__(
        self, loops: Mapping[int, Callable[[], ir.Value]], sources: Mapping[ir.Value, ir.Value]
    ) -> None:
        super().__init__()
        self._loops, self._sources = loops, sources

    def value(self, place: Linear) -> ir.Value:
        """A place as a value of the IR."""
        built = self.build(place)
        return rw.index(built) if isinstance(built, int) else built

    def source(self, value: ir.Value) -> ir.Value:
        """The tensor to read from."""
        return self._sources.get(value, value)

    def _symbol(self, symbol: object) -> ir.Value:
        if isinstance(symbol, Loop):
            if symbol not in self._built:
                self._built[symbol] = self._loops[symbol.number]()
            return self._built[symbol]
        if isinstance(symbol, Formula):
            if symbol not in self._built:
                left, right = self.value(symbol.left), self.value(symbol.right)
                self._built[symbol] = getattr(arith, symbol.name)(left, right)
            return self._built[symbol]
        return super()._symbol(symbol)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True, eq=False)
class Expression:
    """An element: what it is computed from, and how. `read` is the tensor and the places of one in memory."""

    needs: Sequence[Expression]
    make: Make
    read: tuple[ir.Value, Places] | None = None

    def build(self, positions: Positions, built: dict[Expression, ir.Value]) -> ir.Value:
        """The element; each expression in `built` has been built."""
        if self not in built:
            built[self] = self.make([need.build(positions, built) for need in self.needs], positions)
        return built[self]

    def every(self) -> list[Expression]:
        """The expression, and all that it needs."""
        found: dict[Expression, None] = {self: None}
        pending = [self]
        while pending:
            new = [need for need in dict.fromkeys(pending.pop().needs) if need not in found]
            found.update(dict.fromkeys(new))
            pending += new
        return list(found)


class Unreadable(Exception):
    """An operation whose elements can't be computed one by one; its text says why."""


Rule = Callable[["Elements", ir.Operation, int, Places], Expression]
"""An element of a result of an operation, whose number is given."""

MOVES: dict[str, Rule] = {}
"""The operations that move data, which are always followed."""

COMPUTES: dict[str, Rule] = {}
"""The operations that compute each element anew."""


def moves(*names: str) -> Callable[[Rule], Rule]:
    """Function decorator: the rule of operations that move data."""
    return _registered(MOVES, names)


def computes(*names: str) -> Callable[[Rule], Rule]:
    """Function decorator: the rule of operations that compute elements."""
    return _registered(COMPUTES, names)


def _registered(rules: dict[str, Rule], names: Sequence[str]) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        rules.update(dict.fromkeys(names, function))
        return function

    return register


class Elements:
    """Reads tensors element by element; equal elements are one.

    `inlined` are the tensors whose computation is followed; `loops` those that all work should depend on: a
    tensor that costs much is not computed again for each index of another loop.
    """

    def __init__(self, inlined: set[ir.Value], loops: set[int]):
        self.inlined, self.loops = inlined, loops
        self.guarded: set[ir.Value] = set()
        """Tensors of which elements are read where the result does not hold them: they may be empty."""
        self._known: dict[tuple[ir.Value, Places], Expression] = {}

    def at(self, value: ir.Value, places: Places) -> Expression:
        """An element of a tensor."""
        key = (value, places)
        if key not in self._known:
            self._known[key] = self._follow(value, places)
        return self._known[key]

    def maybe_at(self, value: ir.Value, places: Places, sizes: Sequence[Linear]) -> Expression:
        """An element that is not there where one of `sizes`, which the tensor has, is 0."""
        found = self.at(value, places)
        if all(size.number for size in sizes):
            return found
        self.guarded.update(each.read[0] for each in found.every() if each.read is not None)
        return found

    def of(self, op: ir.Operation, number: int, places: Places) -> Expression:
        """An element of a result of an operation; raises `Unreadable` where there is no such formula."""
        rule = MOVES.get(op.name) or COMPUTES.get(op.name)
        if rule is None:
            raise Unreadable(f"'{op.name}'")
        return rule(self, op, number, places)

    def _follow(self, value: ir.Value, places: Places) -> Expression:
        if not isinstance(value.owner, ir.Block):
            op = value.owner.operation
            here = set().union(*map(loops_of, places)) if places else set()
            repeated = bool(self.loops - here)
            if op.name in MOVES or (value in self.inlined and not (repeated and costs_much(op))):
                try:
                    return self.of(op, list(op.results).index(value), places)
                except Unreadable:
                    pass
        return Expression([], lambda _, positions: _extract(value, places, positions), (value, places))


def _extract(value: ir.Value, places: Places, positions: Positions) -> ir.Value:
    source = positions.source(value)
    indices = [positions.value(place) for place in places]
    if source != value:  # which may have one element only
        last = [arith.subi(rw.dim(source, d), rw.index(1)) for d in range(len(indices))]
        indices = [arith.minsi(index, end) for index, end in zip(indices, last, strict=True)]
    return tensor.extract(source, indices)


def costs_much(op: ir.Operation) -> bool:
    """Whether an element takes a division or a function."""
    bodies = [each.operation for region in op.regions for block in region.blocks for each in block.operations]
    return any(each.name.startswith("math.") or "div" in each.name for each in bodies or [op])


def scalar(value: ir.Value) -> Expression:
    """A scalar from outside."""
    return Expression([], lambda _needs, _positions: value)


def constant(element: ir.Type, number: int | float) -> Expression:
    """A number."""
    return Expression([], lambda _needs, _positions: rw.constant(element, number))


Condition = tuple[str, Linear, Linear]
"""A predicate of `arith.cmpi` and its operands."""


def choose(conditions: Sequence[Condition], yes: Expression, no: Expression) -> Expression:
    """`yes` where all conditions hold."""
    if not conditions:
        return yes

    def make(needs: list[ir.Value], positions: Positions) -> ir.Value:
        holds: ir.Value | None = None
        for predicate, left, right in conditions:
            sides = positions.value(left), positions.value(right)
            found = arith.cmpi(getattr(arith.CmpIPredicate, predicate), *sides)
            holds = found if holds is None else arith.andi(holds, found)
        return arith.select(holds, *needs)

    return Expression([yes, no], make)
