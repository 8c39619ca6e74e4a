"""Plans for computing a part of a tensor from parts of what it is computed from.

A plan is made before any IR is: `Planner.plan` follows the operations that make a tensor as far as each can
work on a part alone, and `Plan.build` then makes the same computation on parts.

Work is never done for several tiles alike: where an operand lacks a dimension of which a tile has a part, as
a table of positions lacks the heads, each tile would compute the same. There only operations that move data
are followed; what computes such an operand stays as it is and is sliced.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tensor_parts import Indices, Linear, Parts, is_padded, kept, part_type

Make = Callable[[list[ir.Value], Indices], ir.Value]
"""Builds a part of a tensor from the parts that it needs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """How a part of `value` is computed."""

    value: ir.Value
    parts: Parts
    needs: Sequence[Plan]
    make: Make
    follows: bool
    """Whether the operation that makes `value` is followed; otherwise `value` is sliced."""
    operations: int = 0
    """What is done for each element: see `_operations`."""

    def build(self, indices: Indices, built: dict[Plan, ir.Value]) -> ir.Value:
        """The part; each plan in `built` has been built."""
        if self not in built:
            result = self.make([need.build(indices, built) for need in self.needs], indices)
            wanted = part_type(self.value, self.parts)
            built[self] = result if result.type == wanted else rw.cast(result, wanted)
        return built[self]

    @property
    def elements(self) -> int:
        """How many elements the part has; sizes that are not known count as 1."""
        return math.prod(each.extent.number or 1 for each in self.parts if each.keep)

    def work(self) -> float:
        """The operations that building the part takes, for each of its elements."""
        total = 0
        for plan in self._every():
            total += plan.operations * max(each.elements for each in (plan, *plan.needs))
        return total / max(1, self.elements)

    def values(self) -> dict[ir.Value, set[bool]]:
        """The values of which parts are used; True if an operation is followed there, False if one is not."""
        found: dict[ir.Value, set[bool]] = {}
        for plan in self._every():
            found.setdefault(plan.value, set()).add(plan.follows)
        return found

    def _every(self) -> list[Plan]:
        """The plan, and all that it needs."""
        found: dict[Plan, None] = {self: None}
        pending: list[Plan] = [self]
        while pending:
            new = [need for need in dict.fromkeys(pending.pop().needs) if need not in found]
            found.update(dict.fromkeys(new))
            pending += new
        return list(found)


def pass_on(tiles: list[ir.Value], _indices: Indices) -> ir.Value:
    """A part that is the one it needs."""
    return tiles[0]


Rule = Callable[["Planner", ir.Operation, Parts, bool], "tuple[list[Plan], Make] | None"]
"""Needs of a part of an operation's result, and how it is made of them; None where it can't be."""

_FREE = frozenset({"linalg.yield", "linalg.index", "arith.constant", "math.absf", "math.fma"})

RULES: dict[str, Rule] = {}
"""For each operation that may be followed, how."""

MOVES: set[str] = set()
"""Operations that move data only."""


def rule(*names: str, moves: bool = False) -> Callable[[Rule], Rule]:
    """Function decorator: the rule of operations; `moves` says that they only move data."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        if moves:
            MOVES.update(names)
        return function

    return register


class Planner:
    """Makes plans of which equal ones are one.

    `stays` are values that something else needs as tensors: what computes them is not followed. `given` are
    values of which one part is at hand; of no other part there is a plan.
    """

    def __init__(
        self,
        stays: set[ir.Value] | None = None,
        given: dict[ir.Value, tuple[Parts, ir.Value]] | None = None,
    ):
        self.stays, self.given = stays or set(), given or {}
        self._plans: dict[object, Plan] = {}

    def plan(self, value: ir.Value, parts: Parts, shared: bool = False) -> Plan:
        """The plan for a part; with `shared` several tiles have the same part of `value`."""
        key = (value, parts, shared)
        if key not in self._plans:
            self._plans[key] = self._given(value, parts) or self._follow(value, parts, shared)
        return self._plans[key]

    def _given(self, value: ir.Value, parts: Parts) -> Plan | None:
        if value not in self.given:
            return None
        at_hand, tile = self.given[value]
        if at_hand != parts:
            raise NoPlan
        return Plan(value, parts, [], lambda _needs, _indices: tile, follows=True)

    def _follow(self, value: ir.Value, parts: Parts, shared: bool) -> Plan:
        found = None
        op = rw.definer(value)
        if op is not None and len(op.results) == 1 and op.name in RULES:
            moves = op.name in MOVES
            if moves or (not shared and value not in self.stays):
                found = RULES[op.name](self, op, parts, shared)
        if found is None:
            return Plan(
                value, parts, [], lambda _needs, indices: _slice(value, parts, indices), follows=False
            )
        return Plan(value, parts, *found, follows=True, operations=_operations(op, *found))


_SLOW, _NARROW = 8, 4
"""As how many operations a division or a function counts, and one that rounds to less than 32 bits."""


def _operations(op: ir.Operation, needs: Sequence[Plan], make: Make) -> int:
    """The operations for each element of what `op` makes; moving one counts as one, where it is moved."""
    if op.name in MOVES:
        return int(bool(needs) and make is not pass_on)
    bodies = [each.operation for region in op.regions for block in region.blocks for each in block.operations]
    return sum(_weight(each) for each in bodies or [op] if each.name not in _FREE)


def _weight(op: ir.Operation) -> int:
    """As how many operations an operation on elements counts."""
    if op.name.startswith("math.") or "div" in op.name:
        return _SLOW
    type_ = op.results[0].type
    element = type_.element_type if isinstance(type_, ir.ShapedType) else type_
    return _NARROW if isinstance(element, ir.FloatType) and element.width < 32 else 1


class NoPlan(Exception):
    """Another part is needed of a value than the one that is at hand."""


def _slice(value: ir.Value, parts: Parts, indices: Indices) -> ir.Value:
    if all(each.whole and each.keep for each in parts):
        return value
    offsets = [indices.build(each.offset) for each in parts]
    sizes = [indices.build(each.size) for each in parts]
    tile = rw.extract_slice(value, offsets, sizes, kept(range(len(parts)), parts))
    if not is_padded(parts):
        return tile
    high: list[int | ir.Value] = [
        0 if each.padded is None else indices.build(Linear(each.padded) + each.size * -1)
        for each in parts
        if each.keep
    ]
    shaped = part_type(value, parts)
    return rw.pad(tile, shaped, [0] * len(high), high, rw.constant(shaped.element_type, 0))
