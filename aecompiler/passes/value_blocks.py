"""The step of a recurrence on some of its value features, where these are independent of the others.

Columns of the state are independent if no element of the new state and of the output is computed from
elements of other columns: then a part of both is computed from the same part of the state and of v, as the
plans of `part_plans.py` find.
"""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.bindings import arith, ir, linalg, tensor
from aecompiler.passes import (  # noqa: F401  (registers the rules)
    part_moves,
    part_rules,
)
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_plans import NoPlan, Plan, Planner
from aecompiler.passes.tensor_parts import Indices, Linear, Parts, part, whole

_READ_AS_THEY_ARE = ("linalg.generic", "linalg.fill", "linalg.broadcast", "linalg.transpose", "linalg.reduce")


class StepOnBlock:
    """A step of which programs have `size` value features each, `blocks` of them; all, if these depend on
    one another."""

    def __init__(self, step: ir.Block, wanted: int):
        self.step = step
        self.state, self.value = step.arguments[0], step.arguments[3]
        features = ir.RankedTensorType(self.value.type).shape[0]
        self.size, self.blocks = features, 1
        _generalize(step)
        if 0 < wanted < features and features % wanted == 0 and self._is_independent(wanted):
            self.size, self.blocks = wanted, features // wanted

    @property
    def sums_old_state(self) -> bool:
        """Whether the new state is computed from sums over the old one, as in a delta rule."""
        dependent, sums = {self.state}, set()
        for view in self.step.operations:
            op = view.operation
            operands = [*op.operands, *[each for inner in rw.walk_list(op) for each in inner.operands]]
            if any(operand in dependent for operand in operands):
                dependent.update(op.results)
                reduces = "reduction" in str(op.attributes.get("iterator_types", ""))
                if reduces or op.name == "linalg.reduce" or any(operand in sums for operand in operands):
                    sums.update(op.results)
        *_, terminator = self.step.operations
        return terminator.operands[0] in sums

    def first(self, block: ir.Value) -> ir.Value:
        """The first value feature of a block."""
        return arith.muli(block, rw.index(self.size))

    def inline(
        self, state: ir.Value, rows: Sequence[ir.Value], places: Sequence[ir.Value], first: int | ir.Value
    ) -> list[ir.Value]:
        """The new state and the output of one position, in the value features from `first` on."""
        q, k, v = rows
        if self.blocks == 1:
            return rw.inline_block(self.step, [state, q, k, v, *places])
        # The step as a whole, on tensors that stand for the state and for v; what is left of it is shared.
        before = rw.index(0).owner.operation
        stand_ins = [
            tensor.empty(list(each.type.shape), each.type.element_type) for each in (self.state, self.value)
        ]
        yielded = rw.inline_block(self.step, [stand_ins[0], q, k, stand_ins[1], *places])
        plans = _plans(yielded, stand_ins, [state, v], Linear(0, ((first, 1),)), self.size)
        indices = Indices()
        built: dict[Plan, ir.Value] = {}
        results = [plan.build(indices, built) for plan in plans]
        _erase_unused(before, results)
        return results

    def _is_independent(self, size: int) -> bool:
        """Whether the new state and the output have plans that no part but a block's is needed for."""
        *_, terminator = self.step.operations
        given = [self.state, self.value]
        dependent = set(given)
        for view in self.step.operations:
            op = view.operation
            nested = [operand for each in rw.walk_list(op) for operand in each.operands]
            if any(operand in dependent for operand in (*op.operands, *nested)):
                dependent.update(op.results)
        try:
            plans = _plans(list(terminator.operands), given, given, Linear(size), size)
        except NoPlan:
            return False
        for plan in plans:
            for value, follows in plan.values().items():
                if False in follows and value in dependent:
                    return False
        return True


def _plans(
    values: Sequence[ir.Value],
    whole_values: Sequence[ir.Value],
    tiles: Sequence[ir.Value],
    first: Linear,
    size: int,
) -> list[Plan]:
    """Plans of the last dimension's elements from `first` on, where those of `whole_values` are `tiles`."""

    def of(value: ir.Value) -> Parts:
        rank = ir.RankedTensorType(value.type).rank
        rows = [whole(value, d) for d in range(rank - 1)]
        return (*rows, part(value, rank - 1, first, Linear(size)))

    given = {value: (of(value), tile) for value, tile in zip(whole_values, tiles, strict=True)}
    planner = Planner(given=given)
    return [planner.plan(value, of(value)) for value in values]


def _erase_unused(first: ir.Operation, needed: Sequence[ir.Value]) -> None:
    """Erase the operations of a block from `first` on that nothing in it and none of `needed` needs."""
    operations = [view.operation for view in first.block.operations]
    for op in reversed(operations[operations.index(first) :]):
        if not any(list(result.uses) or result in needed for result in op.results):
            op.erase()


def _generalize(step: ir.Block) -> None:
    """Make `linalg.generic` of the named operations of a step that nothing else reads by their names."""
    for op in [view.operation for view in step.operations]:
        if not op.name.startswith("linalg.") or op.name in (
            *_READ_AS_THEY_ARE,
            *part_rules.NAMED_ELEMENTWISE,
        ):
            continue
        maps = [ir.AffineMapAttr(each).value for each in linalg.get_indexing_maps(op)]
        loops = [[ir.AffineDimExpr(each).position for each in map_.results] for map_ in maps]
        # In the order of the dimensions of an operand that has all: tiles of the state are not transposed.
        order = next((each for each in loops if len(each) == maps[0].n_dims), list(range(maps[0].n_dims)))
        loops = [[order.index(loop) for loop in each] for each in loops]
        count = len(op.operands) - len(op.results)
        kept = {loop for each in loops[count:] for loop in each}
        iterators = "".join("p" if loop in kept else "r" for loop in range(maps[0].n_dims))
        block = op.regions[0].blocks[0]
        operands = list(zip(op.operands, loops, strict=True))

        def body(inputs: list[ir.Value], outputs: list[ir.Value], block: ir.Block = block) -> list[ir.Value]:
            return rw.inline_block(block, [*inputs, *outputs])

        with ir.InsertionPoint(op), op.location:
            results = rw.generic(operands[:count], operands[count:], iterators, body)
        for old, new in zip(op.results, results, strict=True):
            old.replace_all_uses_with(new)
        op.erase()
