"""The direct lowering of `attn.recurrence`, a part of the pass `convert-attn-to-linalg`.

A loop over the sequences, the heads and the positions, with the state carried from position to position: the
step as it is written.
"""

from __future__ import annotations

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_safety import clamp_index


def lower_recurrence(op: ir.OpView) -> None:
    """Replace an `attn.recurrence` whose step is total (`region_safety.make_total`) by loops."""
    with ir.InsertionPoint(op), op.location:
        results = _Recurrence(op).build()
    for old, new in zip(op.operation.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


class _Recurrence:
    def __init__(self, op: ir.OpView):
        operands = list(op.operation.operands)
        self.inputs, self.initial = operands[:3], operands[3]
        self.offsets = operands[4] if len(operands) == 5 else None
        self.step = op.operation.regions[0].blocks[0]
        self.o_type, self.final_type = (ir.RankedTensorType(result.type) for result in op.operation.results)
        self.acc = self.final_type.element_type

    def build(self) -> list[ir.Value]:
        q = self.inputs[0]
        self.length = rw.dim(q, 2)
        sequences = rw.dim(q if self.offsets is None else self.initial, 0)
        heads = rw.dim(self.initial, 1)  # the verifier holds it to be the largest head count
        o_sizes = [rw.sizes(self.initial)[1] if d == 1 else rw.sizes(q)[d] for d in range(3)]
        o_shape = [*o_sizes, self.o_type.shape[3]]
        if self.offsets is None:
            o = tensor.empty(o_shape, self.o_type.element_type)
        else:  # positions that no sequence covers are 0
            o = rw.filled(o_shape, self.o_type.element_type, 0.0)
        final = tensor.empty(rw.sizes(self.initial), self.acc)
        return rw.loop_nest([sequences, heads], [o, final], self._sequence)

    def _sequence(self, indices: list[ir.Value], carried: list[ir.Value]) -> list[ir.Value]:
        """All positions of one head of one sequence."""
        sequence, head = indices
        o, final = carried
        zero = rw.index(0)
        batch = sequence if self.offsets is None else zero
        start, end = (zero, self.length) if self.offsets is None else self._bounds(sequence)
        input_heads = [self._head_of(value, head) for value in self.inputs]
        place, sizes = [sequence, head, 0, 0], [1, 1, *self.final_type.shape[2:]]
        state = rw.extract_slice(self.initial, place, sizes, keep=(2, 3))

        def position(t: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            state, o = carried
            rows = []
            for value, input_head in zip(self.inputs, input_heads, strict=True):
                features = ir.RankedTensorType(value.type).shape[3]
                row = rw.extract_slice(value, [batch, input_head, t, 0], [1, 1, 1, features], keep=(3,))
                rows.append(rw.convert_float(row, self.acc))
            new_state, out = rw.inline_block(self.step, [state, *rows, batch, head, t])
            # Into the old state, so that one buffer carries it through the loop.
            state = rw.copy(new_state, state)
            out = rw.convert_float(out, self.o_type.element_type)
            o = rw.insert_slice(out, o, [batch, head, t, 0], [1, 1, 1, self.o_type.shape[3]])
            return [state, o]

        state, o = rw.for_loop(start, end, rw.index(1), [state, o], position)
        return [o, rw.insert_slice(state, final, place, sizes)]

    def _head_of(self, value: ir.Value, head: ir.Value) -> ir.Value:
        """The head of an operand that belongs to a head of the state."""
        heads, all_heads = ir.RankedTensorType(value.type).shape[1], self.final_type.shape[1]
        group = 1 if rw.DYNAMIC in (heads, all_heads) else all_heads // max(heads, 1)
        return arith.divui(head, rw.index(group)) if group > 1 else head

    def _bounds(self, sequence: ir.Value) -> list[ir.Value]:
        """First and one past the last packed position of a sequence, clamped to those of q."""
        last = arith.subi(rw.dim(self.offsets, 0), rw.index(1))
        bounds = []
        for edge in (sequence, arith.addi(sequence, rw.index(1))):
            offset = tensor.extract(self.offsets, [clamp_index(edge, last)])
            offset = arith.index_cast(ir.IndexType.get(), offset)
            bounds.append(arith.minsi(arith.maxsi(offset, rw.index(0)), self.length))
        return bounds
