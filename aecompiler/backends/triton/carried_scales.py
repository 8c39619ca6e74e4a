"""Which values of a kernel are multiplied if some are: sums of products, their rescalings, what loops carry.

A value that is linear in what is multiplied is multiplied by the same number. It leaves the others where an
operation needs it that is not linear: there it must be multiplied back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton.constant_factors import SPREAD, is_f32, number_of
from aecompiler.backends.triton.weight_bounds import is_reduction
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

_SUMS = ("arith.addf", "arith.subf")
_SHAPES = ("arith.negf", "tt.broadcast", "tt.expand_dims", "tt.reshape", "tt.trans")
_MOVES = (*_SHAPES, "arith.select")
"""They compute no number that a narrow type may not hold."""

_FIRST_INIT = 3


@dataclass(frozen=True)
class Exit:
    """Where an operation needs a value as it would be without the factor."""

    value: ir.Value
    op: ir.Operation
    position: int


class CarriedScale:
    """The values that carry a common factor if the values `seeds` are multiplied by it.

    `values`: those, with the seeds that reach each; `exits`: where they leave; `asked`: the seeds of values
    of which products with 0 are taken, by which kernels ask whether they are finite. `mixed`: what is made of
    values with the factor and of others, with the seeds of those.
    """

    def __init__(self, seeds: Iterable[ir.Value]):
        self.seeds = set(seeds)
        self.values: dict[ir.Value, set[ir.Value]] = {}
        self.exits: list[Exit] = []
        self.mixed: dict[ir.Value, set[ir.Value]] = {}
        self.asked: set[ir.Value] = set()
        for seed in self.seeds:
            self._reach(seed)
        self._prune()
        self._leave()

    def _reach(self, seed: ir.Value) -> None:
        """Note what may be multiplied because a seed is."""
        todo = [seed]
        while todo:
            value = todo.pop()
            reached = self.values.setdefault(value, set())
            if seed not in reached:
                reached.add(seed)
                todo += [target for use in value.uses for target in _targets(use)]

    def _prune(self) -> None:
        """Leave out values that are not multiplied even if all others are, until there are none."""
        while wrong := [each for each in self.values if not self._carries(each)]:
            removed = {each: self.values.pop(each) for each in wrong}
            self.mixed = self.mixed or removed

    def _leave(self) -> None:
        for value in self.values:
            for use in value.uses:
                op = use.owner.operation
                if _is_question(op):
                    self.asked |= self.values[value]
                elif not any(target in self.values for target in _targets(use)):
                    self.exits.append(Exit(value, op, use.operand_number))

    def _is_scaled(self, value: ir.Value) -> bool:
        """Whether a value is multiplied, or as good as that: 0, or a product with 0, which else is NaN."""
        if value in self.values or number_of(value) == 0:
            return True
        while (op := rw.definer(value)) is not None and op.name in SPREAD:
            value = op.operands[0]
        return op is not None and _is_question(op)

    def _carries(self, value: ir.Value) -> bool:
        if value in self.seeds:
            return True
        owner = value.owner
        if isinstance(owner, ir.Block):
            loop = owner.owner.operation
            return self._carried(loop, ir.BlockArgument(value).arg_number - 1)
        op = owner.operation
        number = list(op.results).index(value)
        if op.name == "scf.for":
            return self._carried(op, number)
        if op.name == "scf.if":
            ends = [list(region.blocks[0].operations)[-1].operands[number] for region in op.regions]
            return all(map(self._is_scaled, ends))
        scaled = [each in self.values for each in op.operands]
        if op.name in _SUMS:
            return all(map(self._is_scaled, op.operands))
        if op.name == "arith.mulf":
            return sum(scaled) == 1
        if op.name == "arith.divf":
            return scaled == [True, False]
        if op.name == "arith.select":
            return not scaled[0] and all(map(self._is_scaled, list(op.operands)[1:]))
        if op.name == "tt.dot":
            return sum(scaled[:2]) == 1 and self._is_scaled(op.operands[2])
        return scaled[0]

    def _carried(self, loop: ir.Operation, number: int) -> bool:
        """Whether what a loop carries is multiplied at its start and after each turn."""
        end = list(loop.regions[0].blocks[0].operations)[-1].operands[number]
        return all(map(self._is_scaled, (loop.operands[_FIRST_INIT + number], end)))


def _targets(use: ir.OpOperand) -> Sequence[ir.Value]:
    """What an operation makes of an operand, if it is linear in it."""
    op, position = use.owner.operation, use.operand_number
    if op.name == "scf.for":
        number = position - _FIRST_INIT
        return [] if number < 0 else [op.regions[0].blocks[0].arguments[number + 1], op.results[number]]
    if op.name == "scf.yield":
        around = op.parent.operation
        if around.name == "scf.for":
            return [around.regions[0].blocks[0].arguments[position + 1], around.results[position]]
        return [around.results[position]] if around.name == "scf.if" else []
    if _is_question(op):
        return []
    is_linear = (
        op.name in (*_SUMS, *_SHAPES, "arith.mulf", "tt.dot")
        or (op.name == "arith.divf" and position == 0)
        or (op.name == "arith.select" and position > 0)
        or is_reduction(op, ("arith.addf",))
    )
    has_room = op.name in _MOVES or all(map(is_f32, op.results))
    return list(op.results) if is_linear and has_room else []


def _is_question(op: ir.Operation) -> bool:
    """Whether an operation multiplies by 0: the product is 0 or NaN, however what is multiplied is scaled."""
    return op.name == "arith.mulf" and any(number_of(each) == 0 for each in op.operands)
