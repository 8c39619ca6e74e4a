"""Regions in which comparisons of positions are decided, and what that leaves to be read of tensors.

A comparison is an `arith.cmpi`, or a minimum or maximum, which compares its operands. Where one is decided,
it is true or false, and a minimum is one of its operands; choices follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aecompiler.bindings import ir
from aecompiler.dialect.regions import Level, levels
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_safety import guard_again


def decide(block: ir.Block, decisions: Mapping[ir.Value, bool]) -> None:
    """Replace comparisons in a block by what they are, and fold choices that depend on them.

    A decision about a minimum or maximum is whether it is its first operand. What is unused stays.
    """
    for view in list(block.operations)[:-1]:
        op = view.operation
        if len(op.results) != 1:
            continue
        result = op.results[0]
        value: ir.Value | None
        if result not in decisions:
            value = _folded(op)
        elif op.name == "arith.cmpi":
            with ir.InsertionPoint(op), op.location:
                value = rw.constant(result.type, decisions[result])
        else:
            value = op.operands[0 if decisions[result] else 1]
        if value is not None:
            result.replace_all_uses_with(value)


def _folded(op: ir.Operation) -> ir.Value | None:
    """What a choice or an operation on truth values is, if one of them is known."""
    known = [rw.constant_value(value) for value in op.operands]
    if op.name == "arith.select":
        return None if known[0] is None else op.operands[1 if known[0] else 2]
    if op.name not in ("arith.andi", "arith.ori") or op.results[0].type != ir.IntegerType.get_signless(1):
        return None
    for at, number in enumerate(known):
        if number is not None:
            other = op.operands[1 - at]
            keeps = bool(number) == (op.name == "arith.andi")
            return other if keeps else op.operands[at]
    return None


def decide_for_some(block: ir.Block, arguments: Sequence[Level], decisions: Mapping[ir.Value, bool]) -> None:
    """`decide` what is true of some elements only; `arguments` are the levels of the region's arguments.

    What no longer depends on the element is guarded anew: it may be computed where there is no such element.
    """
    before = levels(block, arguments)
    decide(block, decisions)
    now = levels(block, arguments)
    guard_again(
        [
            view.operation
            for view in block.operations
            if any(now[result] < before.get(result, now[result]) for result in view.operation.results)
        ]
    )


def reads_of_elements(block: ir.Block, arguments: Sequence[Level]) -> list[ir.Operation]:
    """The reads of tensors that the region needs for each element."""
    level = levels(block, arguments)
    *_, terminator = block.operations
    needed = _computed_from(block, terminator.operation.operands)
    return [
        view.operation
        for view in block.operations
        if view.operation.name == "tensor.extract"
        and view.operation.results[0] in needed
        and level[view.operation.results[0]] == Level.ELEMENT
    ]


def governing(block: ir.Block, reads: Iterable[ir.Operation]) -> set[ir.Value]:
    """What the indices of reads are computed from, and the conditions of choices whether one is needed."""
    depends = {read.results[0] for read in reads}
    roots = [index for read in reads for index in list(read.operands)[1:]]
    for view in block.operations:
        op = view.operation
        if not any(operand in depends for operand in op.operands):
            continue
        depends.update(op.results)
        if op.name == "arith.select":
            roots.append(op.operands[0])
    return _computed_from(block, roots)


def _computed_from(block: ir.Block, values: Iterable[ir.Value]) -> set[ir.Value]:
    """Values, and all that they are computed from in a block."""
    found: set[ir.Value] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value not in found:
            found.add(value)
            if not isinstance(value.owner, ir.Block) and value.owner.operation.block == block:
                pending.extend(value.owner.operation.operands)
    return found
