"""Where heads and packed sequences lie in the operands and results of attn ops that run over them."""

from __future__ import annotations

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_safety import clamp_index


def heads_of_group(count: int, heads: int) -> int:
    """How many of `heads` heads read the same head of an operand with `count`; 1 if it is not known."""
    return 1 if rw.DYNAMIC in (count, heads) else max(heads // max(count, 1), 1)


def head_in(operand: ir.Value, heads: int, head: ir.Value) -> ir.Value:
    """The head of an operand, `[b, h, ...]`, that belongs to head `head` of `heads`."""
    group = heads_of_group(ir.RankedTensorType(operand.type).shape[1], heads)
    return arith.divui(head, rw.index(group)) if group > 1 else head


def sequence_bounds(offsets: ir.Value, sequence: ir.Value, length: ir.Value) -> tuple[ir.Value, ir.Value]:
    """First and one past the last packed position of a sequence, clamped to the `length` that there are."""
    last = arith.subi(rw.dim(offsets, 0), rw.index(1))
    start, end = (
        _clamped_offset(offsets, edge, last, length) for edge in (sequence, arith.addi(sequence, rw.index(1)))
    )
    return start, end


def _clamped_offset(offsets: ir.Value, edge: ir.Value, last: ir.Value, length: ir.Value) -> ir.Value:
    offset = tensor.extract(offsets, [clamp_index(edge, last)])
    offset = arith.index_cast(ir.IndexType.get(), offset)
    return arith.minsi(arith.maxsi(offset, rw.index(0)), length)


def recurrence_results(
    q: ir.Value, initial: ir.Value, o_type: ir.RankedTensorType, packed: bool
) -> list[ir.Value]:
    """What the programs of a recurrence write o and the final states to.

    o is 0 at positions of packed sequences that none covers.
    """
    sizes, states = rw.sizes(q), rw.sizes(initial)
    shape = [sizes[0], states[1], sizes[2], o_type.shape[3]]
    element = o_type.element_type
    o = rw.filled(shape, element, 0.0) if packed else tensor.empty(shape, element)
    return [o, tensor.empty(states, ir.RankedTensorType(initial.type).element_type)]
