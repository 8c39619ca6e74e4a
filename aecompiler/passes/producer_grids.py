"""Producers of k and v that are not fused get grids of their own; a part of `attn-fuse-elementwise`."""

from __future__ import annotations

from collections.abc import Collection

from aecompiler.bindings import arith, ir, scf, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_plans import Planner
from aecompiler.passes.producer_fusion import (
    Load,
    erase_unused,
    followed_values,
    loads_of,
    needed_otherwise,
    resolve_sizes,
)
from aecompiler.passes.tensor_parts import Indices, Linear, Part, Parts, is_padded, kept, size_of, whole


def tile_producers(op: ir.Operation, operands: Collection[str]) -> None:
    """Compute operands that are computed element by element in grids, in tiles as they are read."""
    found: dict[ir.Value, Load] = {}
    for load in loads_of(op, operands):
        found.setdefault(load.slice_.operands[0], load)
    loads = [load for load in found.values() if _row(load.parts) is not None]
    first = Planner()
    plans = [plan for load in loads if (plan := load.planned(first)).follows and plan.work()]
    stays = needed_otherwise(plans, {plan.value for plan in plans})
    for load in loads:
        value = load.slice_.operands[0]
        if any(plan.value == value for plan in plans):
            _compute_in_grid(value, load.parts, stays - {value})


def _row(parts: Parts) -> int | None:
    """The dimension of which tiles have a range of static size, if it is one."""
    rows = [d for d, each in enumerate(parts) if each.keep and not each.whole]
    return rows[0] if len(rows) == 1 and parts[rows[0]].extent.number else None


def _compute_in_grid(value: ir.Value, parts: Parts, stays: set[ir.Value]) -> None:
    """Let a grid compute `value`, in parts like `parts`."""
    row, op, shaped = _row(parts), value.owner.operation, ir.RankedTensorType(value.type)
    assert row is not None
    block = parts[row].extent.number
    assert block is not None
    resolve_sizes(value)
    single = [d for d, each in enumerate(parts) if not each.keep]
    with ir.InsertionPoint(op), op.location:
        outer = Indices()
        shape = [outer.build(size_of(value, d)) for d in range(shaped.rank)]
        length = size_of(value, row)
        count = arith.ceildivui(_index(outer.build(length)), rw.index(block))
        start = tensor.empty(shape, shaped.element_type)
        grid = scf.ForallOp(
            [0] * (len(single) + 1),
            [*(outer.build(size_of(value, d)) for d in single), count],
            [1] * (len(single) + 1),
            [start],
        )
    *places, tile = list(grid.induction_variables)
    with ir.InsertionPoint(grid.body), op.location:
        first = arith.muli(tile, rw.index(block))
        left = Linear(0, ((arith.minui(arith.subi(_index(outer.build(length)), first), rw.index(block)), 1),))
        size = Linear(block) if length.divided(block) is not None and not length.terms else left
        of_value: list[Part] = []
        for d in range(shaped.rank):
            if d == row:
                padded = None if size.number is not None else block
                of_value.append(Part(Linear(0, ((first, 1),)), size, True, False, padded))
            elif d in single:
                of_value.append(Part(Linear(0, ((places[single.index(d)], 1),)), Linear(1), False, False))
            else:
                of_value.append(whole(value, d))
        indices = Indices()
        plan = Planner(stays).plan(value, tuple(of_value))
        result = plan.build(indices, {})
        offsets = [indices.build(each.offset) for each in of_value]
        sizes = [indices.build(each.size) for each in of_value]
        if is_padded(plan.parts):
            stored = kept(sizes, plan.parts)
            result = rw.cut(result, [0] * len(stored), stored, [1] * len(stored))
        ending = scf.InParallelOp()
    with ir.InsertionPoint(ending.block):
        rw.parallel_insert_slice(result, grid.body.arguments[-1], offsets, sizes)
    followed = followed_values([plan])
    value.replace_all_uses_with(grid.results[0])
    erase_unused(followed)


def _index(value: int | ir.Value) -> ir.Value:
    return rw.index(value) if isinstance(value, int) else value
