"""Tile programs of `attn.recurrence_step`: one position of each request, with states in a pool."""

from __future__ import annotations

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.recurrence_tiles import Rows
from aecompiler.passes.region_safety import clamp_index
from aecompiler.passes.value_blocks import StepOnBlock


def tile_recurrence_step(op: ir.OpView, value_block: int = 0, elements: int = 0) -> None:
    """Replace an `attn.recurrence_step` whose step is total (`region_safety.make_total`) by a tile program.

    With `value_block` a program has that many value features, if they can be computed apart; without, as many
    as make no more than `elements` of a state, or half of these where the new state waits for sums over it.
    """
    with ir.InsertionPoint(op), op.location:
        results = _Step(op, value_block, elements).build()
    for old, new in zip(op.operation.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


class _Step:
    def __init__(self, op: ir.OpView, value_block: int, elements: int):
        *self.inputs, self.pool, self.slots = op.operation.operands
        self.o_type, self.pool_type = (ir.RankedTensorType(result.type) for result in op.operation.results)
        self.acc = self.pool_type.element_type
        block = op.operation.regions[0].blocks[0]
        self.step = StepOnBlock(block, value_block)
        if elements and not value_block:
            most = elements // 2 if self.step.sums_old_state else elements
            wanted = self.step.size
            while wanted * self.pool_type.shape[2] > most and wanted % 2 == 0:
                wanted //= 2
            self.step = StepOnBlock(block, wanted)

    def build(self) -> list[ir.Value]:
        requests, heads = rw.sizes(self.inputs[0])[0], rw.sizes(self.pool)[1]
        features = self.o_type.shape[3]
        o = tensor.empty([requests, heads, 1, features], self.o_type.element_type)
        if features == 0:
            return [o, self.pool]
        self.count = rw.dim(self.pool, 0)
        bounds = [rw.dim(self.inputs[0], 0), rw.dim(self.pool, 1)]
        if self.step.blocks > 1:
            bounds.append(rw.index(self.step.blocks))
        return rw.forall(bounds, [o, self.pool], self._program)

    def _program(self, indices: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
        """One head of one request, and some value features.

        A state is read and written in as many rows as it has, or in none where there is no such slot.
        """
        request, head = indices[:2]
        zero, columns, keys = rw.index(0), self.step.size, self.pool_type.shape[2]
        first = self.step.first(indices[2]) if self.step.blocks > 1 else 0
        slot, exists = self._slot(request)
        rows = arith.select(exists, rw.index(keys), zero)
        place, sizes = [slot, head, 0, first], [1, 1, rows, columns]
        held = rw.extract_slice(outs[1], place, sizes, keep=(2, 3))
        shaped = ir.RankedTensorType.get([keys, columns], self.acc)
        missing = arith.subi(rw.index(keys), rows)
        state = rw.pad(held, shaped, [0, 0], [missing, 0], rw.constant(self.acc, 0.0))
        read = Rows(self.inputs, self.pool_type, self.acc, request, head).at(0, first, columns)
        new_state, out = self.step.inline(state, read, [request, head, zero], first)
        out = rw.convert_float(out, self.o_type.element_type)

        def chosen(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            return [arith.select(exists, inputs[0], rw.constant(self.o_type.element_type, 0.0))]

        row = tensor.empty([columns], out.type.element_type)
        (out,) = rw.generic([(out, (0,))], [(row, (0,))], "p", chosen)
        written = rw.cut(new_state, [0, 0], [rows, columns], [1, 1])
        if (made := rw.definer(new_state)) is not None:  # it can be written before o is computed
            written.owner.operation.move_after(made)
        return [
            (out, outs[0], [request, head, 0, first], [1, 1, 1, columns]),
            (written, outs[1], place, sizes),
        ]

    def _slot(self, request: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The slot of a request, 0 where the pool has no such, and whether it has."""
        last = arith.subi(rw.dim(self.slots, 0), rw.index(1))
        slot = tensor.extract(self.slots, [clamp_index(request, last)])
        slot = arith.index_cast(ir.IndexType.get(), slot)
        zero = rw.index(0)
        not_negative = arith.cmpi(arith.CmpIPredicate.sge, slot, zero)
        exists = arith.andi(not_negative, arith.cmpi(arith.CmpIPredicate.slt, slot, self.count))
        return arith.select(exists, slot, zero), exists
