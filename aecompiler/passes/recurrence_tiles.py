"""Tile programs of `attn.recurrence`, a part of the passes `attn-tile-steps` and `convert-attn-to-linalg`.

A program of the grid has one head of one sequence, or some of its value features: it goes from position to
position with the state in a tile, as the step is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.operand_places import head_in, recurrence_results, sequence_bounds
from aecompiler.passes.part_plans import Planner
from aecompiler.passes.tensor_parts import Indices, parts_of_slice
from aecompiler.passes.value_blocks import StepOnBlock


def tile_recurrence(op: ir.OpView, value_block: int = 0) -> None:
    """Replace an `attn.recurrence` whose step is total (`region_safety.make_total`) by a tile program.

    With `value_block` a program has that many value features, if they can be computed apart.
    """
    with ir.InsertionPoint(op), op.location:
        results = _Recurrence(op, value_block).build()
    for old, new in zip(op.operation.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


class _Recurrence:
    def __init__(self, op: ir.OpView, value_block: int):
        self.inputs, self.initial, self.offsets = list(op.operation.operands)[:3], op.initial, op.offsets
        self.o_type, self.final_type = (ir.RankedTensorType(result.type) for result in op.operation.results)
        self.acc = self.final_type.element_type
        self.step = StepOnBlock(op.operation.regions[0].blocks[0], value_block)

    def build(self) -> list[ir.Value]:
        q = self.inputs[0]
        sequences = rw.dim(q if self.offsets is None else self.initial, 0)
        heads = rw.dim(self.initial, 1)  # the verifier holds it to be the largest head count
        outs = recurrence_results(q, self.initial, self.o_type, self.offsets is not None)
        if self.o_type.shape[3] == 0:
            return outs
        self.length = rw.dim(q, 2)
        bounds = [sequences, heads]
        if self.step.blocks > 1:
            bounds.append(rw.index(self.step.blocks))
        return rw.forall(bounds, outs, self._program)

    def _program(self, indices: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
        """All positions of one head of one sequence, and some value features."""
        sequence, head = indices[:2]
        zero = rw.index(0)
        batch = sequence if self.offsets is None else zero
        start, end = zero, self.length
        if self.offsets is not None:
            start, end = sequence_bounds(self.offsets, sequence, self.length)
        columns = self.step.size
        first = self.step.first(indices[2]) if self.step.blocks > 1 else 0
        place, sizes = [sequence, head, 0, first], [1, 1, self.final_type.shape[2], columns]
        state = part_of(self.initial, place, sizes)
        count = end if self.offsets is None else arith.maxsi(arith.subi(end, start), zero)
        o_place, o_sizes = [batch, head, start, first], [1, 1, count, columns]
        o = rw.extract_slice(outs[0], o_place, o_sizes, keep=(2, 3))
        rows = Rows(self.inputs, self.final_type, self.acc, batch, head)

        def position(t: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            state, o = carried
            new_state, out = self.step.inline(state, rows.at(t, first, columns), [batch, head, t], first)
            # Into the old state, so that one buffer carries it through the loop.
            state = rw.copy(new_state, state)
            out = rw.convert_float(out, self.o_type.element_type)
            row = t if self.offsets is None else arith.subi(t, start)
            return [state, rw.insert_slice(out, o, [row, 0], [1, columns])]

        state, o = rw.for_loop(start, end, rw.index(1), [state, o], position)
        return [(o, outs[0], o_place, o_sizes), (state, outs[1], place, sizes)]


class Rows:
    """The rows of q, k and v that belong to a head of the state, in the type of the state."""

    def __init__(
        self,
        inputs: list[ir.Value],
        state: ir.RankedTensorType,
        acc: ir.Type,
        batch: ir.Value,
        head: ir.Value,
    ):
        self.inputs, self.acc, self.batch = inputs, acc, batch
        self.heads = [head_in(value, state.shape[1], head) for value in inputs]

    def at(self, t: int | ir.Value, first: int | ir.Value, columns: int) -> list[ir.Value]:
        """Those of position `t`; of v `columns` features from `first` on."""
        found = []
        for n, (value, head) in enumerate(zip(self.inputs, self.heads, strict=True)):
            start, size = (first, columns) if n == 2 else (0, ir.RankedTensorType(value.type).shape[3])
            row = rw.extract_slice(value, [self.batch, head, t, start], [1, 1, 1, size], keep=(3,))
            found.append(rw.convert_float(row, self.acc))
        return found


def part_of(states: ir.Value, place: Sequence[int | ir.Value], sizes: Sequence[int]) -> ir.Value:
    """The tile of one state, or some of its columns, from what `states` are made of: zeros stay such."""
    parts = parts_of_slice(states, place, sizes, {0, 1})
    return Planner().plan(states, parts, shared=True).build(Indices(), {})
