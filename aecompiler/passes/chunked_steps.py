"""The step that a chunked recurrence stands for, written out: an `attn.recurrence` again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aecompiler.bindings import arith, ir, math, tensor
from aecompiler.dialect.chunked import parts_of, terminator_of
from aecompiler.passes import rewriting as rw

_OWN = ("chunk", "reads", "erase_reads", "exponents", "attn.proof")
"""The attributes that belong to the chunked form."""


def write_step(op: ir.Operation) -> ir.Operation:
    """Replace an `attn.chunked_recurrence` by the `attn.recurrence` that it means; return that."""
    attributes = {name: op.attributes[name] for name in op.attributes if name not in _OWN}
    types = [result.type for result in op.results]
    position = op.regions[0].blocks[0]
    row, _, column, *indices = [argument.type for argument in position.arguments]
    with ir.InsertionPoint(op), op.location:
        new = ir.Operation.create("attn.recurrence", types, list(op.operands), attributes, regions=1)
        state_type = ir.RankedTensorType.get([row.shape[0], column.shape[0]], row.element_type)
        block = new.regions[0].blocks.append(state_type, row, row, column, *indices)
        with ir.InsertionPoint(block):
            names = list(parts_of(terminator_of(op)))
            state, *arguments = block.arguments
            parts = dict(zip(names, rw.inline_block(position, arguments), strict=True))
            yielded = _Step(op, parts, state).build()
            ir.Operation.create("attn.step_yield", [], yielded)
    for old, result in zip(op.results, new.results, strict=True):
        old.replace_all_uses_with(result)
    op.erase()
    return new


class _Step:
    def __init__(self, op: ir.Operation, parts: Mapping[str, ir.Value], state: ir.Value):
        self.parts, self.state = parts, state
        self.after = ir.StringAttr(op.attributes["reads"]).value == "after"
        self.decayed = (
            "erase_reads" in op.attributes and ir.StringAttr(op.attributes["erase_reads"]).value == "decayed"
        )

    def build(self) -> list[ir.Value]:
        """The new state and the output."""
        parts = self.parts
        kept = self._kept()
        update = parts["value"]
        if "erase" in parts:
            seen = _read(parts["erase"], kept if self.decayed else self.state)
            update = arith.subf(update, self._scaled("erase_scale", seen))
        key = self._scaled("key_scale", parts["key"])
        new = self._elementwise(
            [(kept, (0, 1)), (key, (0,)), (update, (1,))],
            lambda e: arith.addf(e[0], arith.mulf(e[1], e[2])),
        )
        out = self._scaled("query_scale", _read(parts["query"], new if self.after else self.state))
        return [new, arith.addf(out, parts["skip"]) if "skip" in parts else out]

    def _kept(self) -> ir.Value:
        """The decayed state."""
        if "log_decay" not in self.parts:
            return self.state
        decay = math.exp(self.parts["log_decay"])
        if "sign" in self.parts:
            decay = arith.mulf(decay, self.parts["sign"])
        if not isinstance(decay.type, ir.RankedTensorType):
            return arith.mulf(self.state, tensor.splat(self.state.type, decay, []))
        return self._elementwise([(self.state, (0, 1)), (decay, (0,))], lambda e: arith.mulf(e[0], e[1]))

    def _elementwise(self, ins: Sequence[rw.Indexed], body: Callable[[list[ir.Value]], ir.Value]) -> ir.Value:
        """A matrix like the state."""
        return rw.elementwise(ins, self.state.type.shape, self.state.type.element_type, body)

    def _scaled(self, name: str, vector: ir.Value) -> ir.Value:
        if name not in self.parts:
            return vector
        return arith.mulf(vector, tensor.splat(vector.type, self.parts[name], []))


def _read(vector: ir.Value, state: ir.Value) -> ir.Value:
    """The product of a vector with a state."""
    zero = rw.filled([state.type.shape[1]], state.type.element_type, 0.0)
    (result,) = rw.generic(
        [(vector, (0,)), (state, (0, 1))],
        [(zero, (1,))],
        "rp",
        lambda ins, outs: [arith.addf(outs[0], arith.mulf(*ins))],
    )
    return result
