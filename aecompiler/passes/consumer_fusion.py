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
    """Let every grid compute what follows from its results element by element.

    A conditional that hands on the results of a grid in each of its branches counts as a grid.
    """
    for anchor in rw.walk_list(op, "scf."):
        if anchor.name in ("scf.forall", "scf.if"):
            while any(_fuse_one(anchor, n) for n in range(len(anchor.results))):
                pass


@dataclasses.dataclass(frozen=True)
class _Store:
    """How a grid stores a tile of one of its results."""

    insert: ir.Operation
    parts: Parts
    tile: ir.Value


@dataclasses.dataclass(frozen=True)
class _Site:
    """A grid that computes a result, and the stores of it and of others."""

    path: list[ir.Value]
    """The result of the grid, and as what it is handed on."""
    stores: dict[ir.Value, _Store]

    @property
    def grid(self) -> ir.Operation:
        return self.path[0].owner.operation

    @property
    def place(self) -> int:
        """Which of the grid's results it is."""
        return list(self.grid.results).index(self.path[0])


def _outputs(grid: ir.Operation) -> list[ir.Value]:
    """The block arguments that stand for the results."""
    arguments = list(grid.regions[0].blocks[0].arguments)
    return arguments[len(arguments) - len(grid.results) :]


def _ending(block: ir.Block) -> ir.Operation:
    *_, ending = block.operations
    return ending.operation


def _paths(value: ir.Value) -> list[list[ir.Value]] | None:
    """The results of grids that are handed on as `value`, with what they are on the way."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name == "scf.forall":
        return [[value]]
    if op.name != "scf.if":
        return None
    number = list(op.results).index(value)
    found: list[list[ir.Value]] = []
    for region in op.regions:
        inner = _ending(region.blocks[0]).operands[number]
        paths = _paths(inner) if len(list(inner.uses)) == 1 else None
        if paths is None:
            return None
        found += [[*path, value] for path in paths]
    return found


def _sites(anchor: ir.Operation, number: int) -> list[_Site]:
    """The grids that compute a result; none if one of them does not store it once."""
    every = {result: _paths(result) for result in anchor.results}
    found = []
    for n, path in enumerate(every[anchor.results[number]] or []):
        grid = path[0].owner
        stores = {}
        for result, paths in every.items():
            if paths is not None and paths[n][0].owner == grid:
                store = _store(result, paths[n][0])
                if store is not None:
                    stores[result] = store
        if anchor.results[number] not in stores:
            return []
        found.append(_Site(path, stores))
    return found


def _store(value: ir.Value, result: ir.Value) -> _Store | None:
    """The store of a result of a grid, that is handed on as `value`, if it is one and reads nothing."""
    grid = result.owner.operation
    argument = _outputs(grid)[list(grid.results).index(result)]
    users = [use.owner.operation for use in argument.uses]
    if len(users) != 1 or users[0].name != "tensor.parallel_insert_slice":
        return None
    (insert,) = users
    offsets, sizes, strides = slice_parts(insert, 2)
    if insert.operands[1] != argument or any(stride != 1 for stride in strides):
        return None
    dropped = dropped_dimensions(sizes, ir.RankedTensorType(insert.operands[0].type))
    return _Store(insert, parts_of_slice(value, offsets, sizes, dropped), insert.operands[0])


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


def _fuse_one(anchor: ir.Operation, number: int) -> bool:
    """Let result `number` be the first value after it that everything else needs of it, if there is one."""
    result = anchor.results[number]
    sites = _sites(anchor, number) if list(result.uses) else []
    if not sites:
        return False
    resolve_sizes(result)
    sites = [
        dataclasses.replace(site, stores={value: _with_padding(each) for value, each in site.stores.items()})
        for site in sites
    ]
    chain: list[ir.Operation] = []
    parts = [{result: site.stores[result].parts} for site in sites]
    # Resolving sizes erases the operations that ask for them.
    for op in [each for each in _following(anchor) if each.name != "tensor.dim"]:
        value, *_ = [_step(op, each) for each in parts]
        if value is None:
            continue
        if any(value not in each for each in parts):
            return False
        resolve_sizes(value)
        chain.append(op)
        if op.name != "tensor.cast" and _is_closed(parts[0], value):  # a cast is left behind a grid
            fusion = _plan(anchor, sites, [each[value] for each in parts], chain)
            if fusion is not None:
                _commit(anchor, result, sites, fusion, chain)
                return True
    return False


def _following(anchor: ir.Operation) -> list[ir.Operation]:
    """The operations after a grid in its block."""
    ops = [each.operation for each in anchor.block.operations]
    return ops[ops.index(anchor) + 1 :]


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
    parts: list[Parts]
    """For each site the part of `value` that it stores, and below how it computes it."""
    plans: list[Plan]
    moved: list[ir.Operation]
    """What must stand before the grid."""
    followed: list[ir.Value]


def _plan(
    anchor: ir.Operation, sites: list[_Site], parts: list[Parts], chain: list[ir.Operation]
) -> _Fusion | None:
    value = chain[-1].results[0]
    dependent = _dependent(anchor)
    moved = _to_move(anchor, chain, dependent)
    rank = ir.RankedTensorType(value.type).rank
    if moved is None or any(size_of(value, d).uses(dependent) for d in range(rank)):
        return None

    def plans(stays: set[ir.Value]) -> list[Plan]:
        found = []
        for site, each in zip(sites, parts, strict=True):
            given = {result: (store.parts, store.tile) for result, store in site.stores.items()}
            found.append(Planner(stays, given).plan(value, each))
        return found

    try:
        stays = needed_otherwise(plans(set()), {value}) - dependent
        made = plans(stays)
    except NoPlan:
        return None
    for plan in made:
        if any(False in follows and source in dependent for source, follows in plan.values().items()):
            return None
    computed = {*anchor.results, *(op.results[0] for op in chain)}
    followed = [each for each in followed_values(made) if each not in computed]
    return _Fusion(value, parts, made, moved, followed)


def _dependent(anchor: ir.Operation) -> set[ir.Value]:
    """The results of the grid, and what is computed from them in the same block."""
    found = set(anchor.results)
    for op in _following(anchor):
        if any(value in found for value in _used_by(op)):
            found.update(op.results)
    return found


def _to_move(
    anchor: ir.Operation, chain: list[ir.Operation], dependent: set[ir.Value]
) -> list[ir.Operation] | None:
    """The operations after the grid that compute what the chain needs besides its results; None if one of
    them can't be moved."""
    following = _following(anchor)
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
    anchor: ir.Operation, result: ir.Value, sites: list[_Site], fusion: _Fusion, chain: list[ir.Operation]
) -> None:
    for op in fusion.moved:
        op.move_before(anchor)
    value = fusion.value
    shaped = ir.RankedTensorType(value.type)
    with ir.InsertionPoint(anchor), chain[-1].location:
        outer = Indices()
        shape = [outer.build(size_of(value, d)) for d in range(shaped.rank)]
        start = tensor.empty(shape, shaped.element_type)
    unused: list[ir.Value] = []
    for site, parts, plan in zip(sites, fusion.parts, fusion.plans, strict=True):
        with chain[-1].location:
            unused += _store_instead(site, site.stores[result], start, parts, plan)
    for handed_on in dict.fromkeys(each for site in sites for each in site.path):
        handed_on.set_type(start.type)
    # Sizes may be known to be static that the type of the value does not say.
    with ir.InsertionPoint(chain[-1]), chain[-1].location:
        value.replace_all_uses_with(result if start.type == value.type else rw.cast(result, value.type))
    ends = [op.results[0] for op in chain]
    unused += [operand for op in chain for operand in op.operands if operand not in ends]
    unused = [each for each in unused if _is_leftover(each)]
    for op in reversed(chain):
        op.erase()
    erase_unused(dict.fromkeys([*fusion.followed, *unused]))


def _store_instead(site: _Site, store: _Store, start: ir.Value, parts: Parts, plan: Plan) -> list[ir.Value]:
    """Store what `plan` computes in place of the tile; returns what may be unused after that."""
    grid = site.grid
    indices = Indices()
    with ir.InsertionPoint(_ending(grid.regions[0].blocks[0])):
        tile = plan.build(indices, {})
        offsets = [indices.build(each.offset) for each in parts]
        sizes = [indices.build(each.size) for each in parts]
        if is_padded(parts):
            stored = kept(sizes, parts)
            tile = rw.cut(tile, [0] * len(stored), stored, [1] * len(stored))
    argument = _outputs(grid)[site.place]
    place = len(grid.operands) - len(grid.results) + site.place
    before = [grid.operands[place], store.insert.operands[0]]
    grid.operands[place] = start
    argument.set_type(start.type)
    with ir.InsertionPoint(store.insert):
        rw.parallel_insert_slice(tile, argument, offsets, sizes)
    store.insert.erase()
    return before


def _is_leftover(value: ir.Value) -> bool:
    names = (*LEFTOVERS, "tensor.extract_slice")
    made = not isinstance(value.owner, ir.Block) and isinstance(value.type, ir.RankedTensorType)
    return made and value.owner.operation.name in names
