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
from aecompiler.passes.tensor_parts import Indices, Linear, Part, is_padded, kept, size_of, whole


def tile_producers(op: ir.Operation, operands: Collection[str]) -> None:
    """Compute operands that are computed element by element in grids, in tiles as they are read."""
    first = Planner()
    loads: dict[ir.Value, Load] = {}
    for load in loads_of(op, operands):
        if load.may_have_grid(first):
            loads.setdefault(load.value, load)
    stays = needed_otherwise([load.planned(first) for load in loads.values()], loads.keys())
    for value, load in loads.items():
        _compute_in_grid(load, stays - {value})


def _first_use(value: ir.Value) -> ir.Operation:
    """The operation before which all uses of `value` come, in the innermost branch that has them all."""
    users = [use.owner.operation for use in value.uses]
    block = value.owner.operation.block
    while True:
        around = [_ancestor(user, block) for user in users]
        first = next(each.operation for each in block.operations if each.operation in around)
        if first.name != "scf.if" or any(each != first for each in around):
            return first
        inside = [
            region.blocks[0]
            for region in first.regions
            if len(region.blocks) and all(_ancestor(user, region.blocks[0]) is not None for user in users)
        ]
        if not inside:
            return first
        (block,) = inside


def _ancestor(op: ir.Operation, block: ir.Block) -> ir.Operation | None:
    """The operation of `block` that is or holds `op`, if one does."""
    while op.block != block:
        if op.parent is None or op.name == "func.func":
            return None
        op = op.parent.operation
    return op


def _compute_in_grid(load: Load, stays: set[ir.Value]) -> None:
    """Let a grid compute an operand, in parts like those that are read."""
    value, parts, row = load.value, load.parts, load.row()
    shaped = ir.RankedTensorType(value.type)
    assert row is not None
    block = parts[row].extent.number
    assert block is not None
    resolve_sizes(value)
    op, location = _first_use(value), value.owner.operation.location
    single = [d for d, each in enumerate(parts) if not each.keep]
    with ir.InsertionPoint(op), location:
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
    with ir.InsertionPoint(grid.body), location:
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
    with ir.InsertionPoint(ending.block), location:
        rw.parallel_insert_slice(result, grid.body.arguments[-1], offsets, sizes)
    followed = followed_values([plan])
    value.replace_all_uses_with(grid.results[0])
    erase_unused(followed)


def _index(value: int | ir.Value) -> ir.Value:
    return rw.index(value) if isinstance(value, int) else value
