"""Which stores of a grid come before its end: those into tensors that exist before, as the states of a pool.

What a program still computes then does not wait for memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw


def early_stores(loop: ir.Operation, inits: Sequence[ir.Value]) -> dict[int, list[ir.Operation]]:
    """The insertions into such tensors, by the number of the operation in the body after which all is there.

    Nothing behind it may read the tensor.
    """
    body = loop.regions[0].blocks[0]
    operations = [view.operation for view in body.operations]
    places = {op: number for number, op in enumerate(operations)}
    outs = list(body.arguments)[len(body.arguments) - len(loop.results) :]
    found: dict[int, list[ir.Operation]] = {}
    for out, init in zip(outs, inits, strict=True):
        made = rw.definer(init)
        if made is not None and made.name == "tensor.empty":
            continue
        insertions = [
            use.owner.operation
            for use in out.uses
            if use.owner.operation.name == "tensor.parallel_insert_slice" and use.operand_number == 1
        ]
        if len(insertions) != 1:
            continue
        (insertion,) = insertions
        definers = [rw.definer(operand) for operand in insertion.operands]
        last = max((places[op] for op in definers if op in places), default=-1)
        reads = [_place(use.owner.operation, places) for use in out.uses if use.owner.operation != insertion]
        if last >= 0 and all(read <= last for read in reads):
            found.setdefault(last, []).append(insertion)
    return found


def _place(op: ir.Operation, places: dict[ir.Operation, int]) -> int:
    """The number of the operation of the body that an operation is or is in."""
    while op not in places:
        op = op.parent.operation
    return places[op]
