"""Producers of q, k and v move into a tile program; a part of the pass `attn-fuse-elementwise`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aecompiler.bindings import ir
from aecompiler.passes import part_moves, part_rules  # noqa: F401  (registers the rules)
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.part_plans import Plan, Planner
from aecompiler.passes.tensor_parts import Indices, Parts, parts_of_slice, size_of
from aecompiler.passes.tile_rows import OPERAND


def fuse_producers(op: ir.Operation, operands: Collection[str]) -> None:
    """Compute the tiles of these operands inside the grids, from slices of what they are computed from."""
    slices = [each for each in rw.walk_list(op, "tensor.extract_slice") if _operand(each) in operands]
    wanted = [(each, parts) for each in slices if (parts := _parts(each)) is not None]
    first = Planner()
    plans = [first.plan(each.operands[0], parts) for each, parts in wanted]
    stays = needed_otherwise(plans, {each.results[0] for each, _ in wanted})
    planner = Planner(stays)
    plans = [planner.plan(each.operands[0], parts) for each, parts in wanted]
    followed = followed_values(plans)
    for (each, _), plan in zip(wanted, plans, strict=True):
        if not plan.follows:
            continue
        with ir.InsertionPoint(each), each.location:
            tile = plan.build(Indices(), {})
        each.results[0].replace_all_uses_with(tile)
        each.erase()
    erase_unused(followed)


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
        if any(isinstance(symbol, tuple) and symbol[0] == value for symbol, _ in size.terms):
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
