"""Producers of q, k and v move into a tile program; a part of the pass `attn-fuse-elementwise`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from aecompiler.bindings import ir
from aecompiler.passes import part_moves, part_rules  # noqa: F401  (registers the rules)
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.part_plans import Plan, Planner
from aecompiler.passes.tensor_parts import Indices, Parts, padded_to, parts_of_slice, size_of
from aecompiler.passes.tile_rows import ONCE, OPERAND


@dataclasses.dataclass(frozen=True)
class Load:
    """A slice of an operand, and the operation that makes a tile of it: the slice, or its padding."""

    operand: str
    slice_: ir.Operation
    tile: ir.Operation
    parts: Parts

    @property
    def value(self) -> ir.Value:
        """The operand."""
        return self.slice_.operands[0]

    def planned(self, planner: Planner) -> Plan:
        """How the tile is computed."""
        return planner.plan(self.value, self.parts)

    def is_cheap(self, planner: Planner, repeated_work: int) -> bool:
        """Whether the tile may be computed inside the grid: once, or with little work."""
        once = self.operand == "q" or ONCE in self.slice_.attributes
        return once or self.planned(planner).work() <= repeated_work

    def row(self) -> int | None:
        """The dimension of which tiles have a range of static size, if it is one."""
        rows = [d for d, each in enumerate(self.parts) if each.keep and not each.whole]
        return rows[0] if len(rows) == 1 and self.parts[rows[0]].extent.number else None

    def may_have_grid(self, planner: Planner) -> bool:
        """Whether the operand can be computed in a grid of its own, and is computed at all."""
        plan = self.planned(planner)
        return self.row() is not None and plan.follows and plan.work() > 0


def loads_of(op: ir.Operation, operands: Collection[str]) -> list[Load]:
    """The loads of these operands in the grids in `op`."""
    slices = [each for each in rw.walk_list(op, "tensor.extract_slice") if _operand(each) in operands]
    return [load for each in slices if (load := _load(each)) is not None]


def fuse_producers(op: ir.Operation, operands: Collection[str], repeated_work: int) -> None:
    """Compute the tiles of these operands inside the grids, from slices of what they are computed from.

    Tiles of k and v that are computed for each tile of queries again are, only if that takes no more than
    `repeated_work` operations for each of their elements.
    """
    first = Planner()
    every = loads_of(op, operands)
    loads = [load for load in every if load.is_cheap(first, repeated_work)]
    # What gets a grid of its own needs no tensors, either.
    going = [load for load in every if load in loads or load.may_have_grid(first)]
    stays = needed_otherwise(
        [load.planned(first) for load in loads], {load.slice_.results[0] for load in going}
    )
    planner = Planner(stays)
    plans = [load.planned(planner) for load in loads]
    followed = followed_values(plans)
    for load, plan in zip(loads, plans, strict=True):
        if not plan.follows:
            continue
        with ir.InsertionPoint(load.tile), load.tile.location:
            tile = plan.build(Indices(), {})
        load.tile.results[0].replace_all_uses_with(tile)
        for replaced in dict.fromkeys([load.tile.results[0], load.slice_.results[0]]):
            replaced.owner.erase()
    erase_unused(followed)


def _load(slice_: ir.Operation) -> Load | None:
    """What a slice reads, padded if it is padded."""
    parts = _parts(slice_)
    if parts is None:
        return None
    name = slice_.attributes[OPERAND].value
    if (padding := _padding(slice_)) is not None:
        return Load(name, slice_, padding, padded_to(parts, padding.results[0].type.shape))
    return Load(name, slice_, slice_, parts)


def _padding(slice_: ir.Operation) -> ir.Operation | None:
    """The padding to a static size that is the only use of a slice."""
    users = [use.owner.operation for use in slice_.results[0].uses]
    if len(users) != 1 or users[0].name != "tensor.pad":
        return None
    block = users[0].regions[0].blocks[0]
    low = list(users[0].attributes["static_low"])
    static = ir.RankedTensorType(users[0].results[0].type).has_static_shape
    used = any(list(argument.uses) for argument in block.arguments)
    return None if any(low) or used or not static else users[0]


def _operand(op: ir.Operation) -> str | None:
    return op.attributes[OPERAND].value if OPERAND in op.attributes else None


def _parts(op: ir.Operation) -> Parts | None:
    """What a slice inside a grid reads of a tensor from outside of it."""
    grid = op.parent
    while grid is not None and grid.name != "scf.forall":
        grid = grid.operation.parent
    source = op.operands[0]
    offsets, sizes, strides = slice_parts(op, 1)
    if grid is None or _is_inside(source, grid.operation) or any(stride != 1 for stride in strides):
        return None
    dropped = dropped_dimensions(sizes, ir.RankedTensorType(op.results[0].type))
    return parts_of_slice(source, offsets, sizes, dropped)


def _is_inside(value: ir.Value, grid: ir.Operation) -> bool:
    owner = value.owner
    parent = owner.owner if isinstance(owner, ir.Block) else owner.operation.parent
    while parent is not None:
        if parent.operation == grid:
            return True
        parent = parent.operation.parent
    return False


def followed_values(plans: Iterable[Plan]) -> list[ir.Value]:
    """The values whose computation is repeated on parts."""
    found: dict[ir.Value, None] = {}
    for plan in plans:
        found.update(dict.fromkeys(value for value, follows in plan.values().items() if True in follows))
    return list(found)


def needed_otherwise(plans: Iterable[Plan], replaced: Collection[ir.Value]) -> set[ir.Value]:
    """The followed values that stay as tensors, because not all of their uses go away.

    `replaced` are the values that will have no uses.
    """
    plans = list(plans)
    followed = [value for value in followed_values(plans) if value not in replaced]
    going = {*followed, *replaced}
    going -= {value for plan in plans for value, follows in plan.values().items() if False in follows}
    changed = True
    while changed:
        changed = False
        for value in followed:
            if value in going and not all(_goes(use.owner.operation, going) for use in value.uses):
                going.discard(value)
                changed = True
    return {value for value in followed if value not in going}


def _goes(user: ir.Operation, going: Collection[ir.Value]) -> bool:
    return user.name == "tensor.dim" or (len(user.results) == 1 and user.results[0] in going)


def resolve_sizes(value: ir.Value) -> None:
    """Let nothing ask for the sizes of `value` that can be found without it."""
    for use in list(value.uses):
        user = use.owner.operation
        axis = rw.constant_value(user.operands[1]) if user.name == "tensor.dim" else None
        if axis is None or not 0 <= axis < ir.RankedTensorType(value.type).rank:
            continue
        size = size_of(value, axis)
        if size.uses([value]):
            continue
        with ir.InsertionPoint(user), user.location:
            new = Indices().build(size)
            user.results[0].replace_all_uses_with(rw.index(new) if isinstance(new, int) else new)
        user.erase()


LEFTOVERS = ("tensor.empty", "linalg.fill", "arith.constant", "tensor.dim")
"""What is erased with the last operation that used it."""


def erase_unused(values: Iterable[ir.Value]) -> None:
    """Erase what computes `values` where nothing uses them, and what only that needed."""
    left = list(values)
    changed = True
    while changed:
        changed = False
        for value in list(left):
            resolve_sizes(value)
            if list(value.uses):
                continue
            left.remove(value)
            changed = True
            _erase(value, left)


def _erase(value: ir.Value, kept: Collection[ir.Value]) -> None:
    op = value.owner.operation
    operands = list(op.operands)
    op.erase()
    for operand in dict.fromkeys(operands):
        if operand in kept or isinstance(operand.owner, ir.Block) or list(operand.uses):
            continue
        if operand.owner.operation.name in LEFTOVERS:
            _erase(operand, kept)
