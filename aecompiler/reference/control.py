"""`scf.for` and `scf.if` around attention ops, with bounds and conditions that all lanes share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aecompiler.reference.machine import Frame, Instruction, implements, uniform

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
