"""`scf` around attention ops, and in what they are lowered to; all lanes share bounds and conditions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from aecompiler.reference.machine import DYNAMIC, HANDLERS, Frame, Instruction, implements, uniform

Array = np.ndarray


@implements("scf.for")
def _for(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    lower, upper, step = (uniform(value, op) for value in args[:3])
    if step <= 0:
        raise ValueError(f"'scf.for' op expects a positive step, got {step}")
    carried = args[3:]
    for i in range(lower, upper, step):
        inner = frame.inner(())
        carried = inner.run(op.body, [np.full((1,) * len(frame.lanes), i, np.int64), *carried])
        frame.close(inner)
    return carried


@implements("scf.if")
def _if(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    region = op.regions[0 if uniform(args[0], op) else 1]
    if not region:
        return []
    inner = frame.inner(())
    results = inner.run(region[0], [])
    frame.close(inner)
    return results


@implements("scf.forall")
def _forall(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    """One iteration after the other: what several insert at one place is what the last of them does."""
    split = len(args) - len(op.results)
    dynamic, outs = iter(args[:split]), list(args[split:])
    lower, upper, step = (
        [uniform(next(dynamic), op) if number == DYNAMIC else number for number in op.integers(name)]
        for name in ("staticLowerBound", "staticUpperBound", "staticStep")
    )
    rank = len(lower)
    (ending,) = op.body.terminator.regions
    inserts = [each for block in ending for each in (*block.instructions, block.terminator)]
    into = op.body.arguments[rank:]
    for places in itertools.product(*map(range, lower, upper, step)):
        inner = frame.inner(())
        numbers = [np.full((1,) * len(frame.lanes), place, np.int64) for place in places]
        inner.run(op.body, [*numbers, *outs])
        for insert in inserts:
            part, target, *rest = insert.operands
            at = into.index(target)
            parts = [inner[part], outs[at], *(inner[number] for number in rest)]
            (outs[at],) = HANDLERS["tensor.insert_slice"](insert, parts, inner)
        frame.close(inner)
    return outs
