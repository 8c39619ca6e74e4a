"""Consumers of what a tile program computes move into it; a part of the pass `attn-fuse-elementwise`."""

from __future__ import annotations

import dataclasses

from aecompiler.bindings import ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.part_forward import part_after
from aecompiler.passes.part_plans import NoPlan, Plan, Planner
from aecompiler.passes.producer_fusion import (
    LEFTOVERS,
    erase_unused,
    followed_values,
    needed_otherwise,
    resolve_sizes,
)
from aecompiler.passes.tensor_parts import Indices, Parts, is_padded, kept, padded_to, parts_of_slice, size_of

_PURE = ("arith", "math", "linalg", "tensor", "affine")
"""Dialects whose operations on tensors and scalars may be moved."""


def fuse_consumers(op: ir.Operation) -> None:
    """Let every grid compute what follows from its results element by element."""
    for grid in rw.walk_list(op, "scf.forall"):
        while any(_fuse_one(grid, n) for n in range(len(grid.results))):
            pass


@dataclasses.dataclass(frozen=True)
class _Store:
    """How a grid stores a tile of one of its results."""

    insert: ir.Operation
    parts: Parts
    tile: ir.Value


def _outputs(grid: ir.Operation) -> list[ir.Value]:
    """The block arguments that stand for the results."""
    arguments = list(grid.regions[0].blocks[0].arguments)
    return arguments[len(arguments) - len(grid.results) :]


def _ending(grid: ir.Operation) -> ir.Operation:
    *_, ending = grid.regions[0].blocks[0].operations
    return ending.operation


def _stores(grid: ir.Operation) -> dict[ir.Value, _Store]:
    """The stores of the results that are stored by one insertion and not read."""
    found = {}
    for result, argument in zip(grid.results, _outputs(grid), strict=True):
        users = [use.owner.operation for use in argument.uses]
        if len(users) != 1 or users[0].name != "tensor.parallel_insert_slice":
            continue
        (insert,) = users
        offsets, sizes, strides = slice_parts(insert, 2)
        if insert.operands[1] != argument or any(stride != 1 for stride in strides):
            continue
        dropped = dropped_dimensions(sizes, ir.RankedTensorType(insert.operands[0].type))
        parts = parts_of_slice(result, offsets, sizes, dropped)
        found[result] = _Store(insert, parts, insert.operands[0])
    return found


def _with_padding(store: _Store) -> _Store:
    """The store of what a static tile holds, if a part of one is stored."""
    if isinstance(store.tile.owner, ir.Block) or store.tile.owner.operation.name != "tensor.extract_slice":
        return store
    slice_ = store.tile.owner.operation
    source = slice_.operands[0]
    shaped = ir.RankedTensorType(source.type)
    offsets, _, strides = slice_parts(slice_, 1)
    if not shaped.has_static_shape or shaped.rank != ir.RankedTensorType(store.tile.type).rank:
        return store
    if any(offset != 0 for offset in offsets) or any(stride != 1 for stride in strides):
        return store
    return _Store(store.insert, padded_to(store.parts, shaped.shape), source)


def _fuse_one(grid: ir.Operation, number: int) -> bool:
    """Let result `number` be the first value after it that everything else needs of it, if there is one."""
    stores = _stores(grid)
    result = grid.results[number]
    if result not in stores or not list(result.uses):
        return False
    resolve_sizes(result)
    static = {value: _with_padding(store) for value, store in stores.items()}
    return _fuse_after(grid, number, static) or _fuse_after(grid, number, stores)


def _fuse_after(grid: ir.Operation, number: int, stores: dict[ir.Value, _Store]) -> bool:
    result = grid.results[number]
    chain: list[ir.Operation] = []
    parts = {result: stores[result].parts}
    for op in _following(grid):
        value = _step(op, parts)
        if value is None:
            continue
        if value not in parts:
            return False
        resolve_sizes(value)
        chain.append(op)
        if _is_closed(parts, value):
            fusion = _plan(grid, stores, parts[value], chain)
            if fusion is not None:
                _commit(grid, number, stores[result], fusion, chain)
                return True
    return False


def _following(grid: ir.Operation) -> list[ir.Operation]:
    """The operations after the grid in its block."""
    ops = [each.operation for each in grid.block.operations]
    return ops[ops.index(grid) + 1 :]


def _used_by(op: ir.Operation) -> list[ir.Value]:
    """The operands of `op`, those in its regions included."""
    values = list(op.operands)
    if len(op.regions):
        for nested in rw.walk_list(op):
            values += nested.operands
    return values


def _step(op: ir.Operation, parts: dict[ir.Value, Parts]) -> ir.Value | None:
    """A result of `op` if it uses a value in `parts`; its part is entered if there is one."""
    sources = [value for value in _used_by(op) if value in parts]
    if not sources or not len(op.results):
        return None
    result = op.results[0]
    if len(op.results) == 1 and isinstance(result.type, ir.RankedTensorType):
        operands = list(op.operands)
        if all(source in operands for source in sources):
            found = part_after(op, operands.index(sources[0]), parts[sources[0]])
            if found is not None:
                parts[result] = found
    return result


def _is_closed(parts: dict[ir.Value, Parts], last: ir.Value) -> bool:
    """Whether all values but the last are used by what makes the others only."""
    return all(
        len(use.owner.operation.results) == 1 and use.owner.operation.results[0] in parts
        for value in parts
        if value != last
        for use in value.uses
    )


@dataclasses.dataclass(frozen=True)
class _Fusion:
    value: ir.Value
    parts: Parts
    plan: Plan
    moved: list[ir.Operation]
    """What must stand before the grid."""
    followed: list[ir.Value]


def _plan(
    grid: ir.Operation, stores: dict[ir.Value, _Store], parts: Parts, chain: list[ir.Operation]
) -> _Fusion | None:
    value = chain[-1].results[0]
    dependent = _dependent(grid)
    moved = _to_move(grid, chain, dependent)
    rank = ir.RankedTensorType(value.type).rank
    if moved is None or any(size_of(value, d).uses(dependent) for d in range(rank)):
        return None
    given = {result: (store.parts, store.tile) for result, store in stores.items()}
    try:
        first = Planner(given=given).plan(value, parts)
        stays = needed_otherwise([first], {value}) - dependent
        plan = Planner(stays, given).plan(value, parts)
    except NoPlan:
        return None
    if any(False in follows and source in dependent for source, follows in plan.values().items()):
        return None
    computed = {*grid.results, *(op.results[0] for op in chain)}
    followed = [each for each in followed_values([plan]) if each not in computed]
    return _Fusion(value, parts, plan, moved, followed)


def _dependent(grid: ir.Operation) -> set[ir.Value]:
    """The results of the grid, and what is computed from them in the same block."""
    found = set(grid.results)
    for op in _following(grid):
        if any(value in found for value in _used_by(op)):
            found.update(op.results)
    return found


def _to_move(
    grid: ir.Operation, chain: list[ir.Operation], dependent: set[ir.Value]
) -> list[ir.Operation] | None:
    """The operations after the grid that compute what the chain needs besides its results; None if one of
    them can't be moved."""
    following = _following(grid)
    place = {value: n for n, op in enumerate(following) for value in op.results}
    wanted: set[int] = set()
    pending = [value for op in chain for value in _used_by(op)]
    seen: set[ir.Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if value not in place:
            continue
        op = following[place[value]]
        if value not in dependent:
            if op.name.partition(".")[0] not in _PURE:
                return None
            wanted.add(place[value])
        pending += _used_by(op)
    return [following[n] for n in sorted(wanted)]


def _commit(
    grid: ir.Operation, number: int, store: _Store, fusion: _Fusion, chain: list[ir.Operation]
) -> None:
    for op in fusion.moved:
        op.move_before(grid)
    indices = Indices()
    ending = _ending(grid)
    with ir.InsertionPoint(ending), chain[-1].location:
        tile = fusion.plan.build(indices, {})
        offsets = [indices.build(each.offset) for each in fusion.parts]
        sizes = [indices.build(each.size) for each in fusion.parts]
        if is_padded(fusion.parts):
            stored = kept(sizes, fusion.parts)
            tile = rw.cut(tile, [0] * len(stored), stored, [1] * len(stored))
    value = fusion.value
    shaped = ir.RankedTensorType(value.type)
    with ir.InsertionPoint(grid), chain[-1].location:
        outer = Indices()
        shape = [outer.build(size_of(value, d)) for d in range(shaped.rank)]
        start = tensor.empty(shape, shaped.element_type)
    result, argument = grid.results[number], _outputs(grid)[number]
    place = len(grid.operands) - len(grid.results) + number
    before, stored_before = grid.operands[place], store.insert.operands[0]
    grid.operands[place] = start
    for each in (result, argument):
        each.set_type(shaped)
    with ir.InsertionPoint(store.insert), chain[-1].location:
        rw.parallel_insert_slice(tile, argument, offsets, sizes)
    store.insert.erase()
    value.replace_all_uses_with(result)
    ends = [op.results[0] for op in chain]
    operands = [operand for op in chain for operand in op.operands if operand not in ends]
    unused = [each for each in (before, *operands) if _is_leftover(each)]
    if not list(stored_before.uses) and stored_before != store.tile:
        unused.append(stored_before)
    for op in reversed(chain):
        op.erase()
    erase_unused(dict.fromkeys([*fusion.followed, *unused]))


def _is_leftover(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name in LEFTOVERS
