"""Whether what stands around a recurrence computes each position on its own."""

from __future__ import annotations

from collections.abc import Collection

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.part_moves import changed_dimensions
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.tensor_parts import Symbol, groups_of, index_of, size_of

_FREE = ("tensor.cast", "tensor.dim", "tensor.empty", "tensor.splat", "func.return")
_MOVES = ("tensor.extract_slice", "tensor.insert_slice", "tensor.concat", "tensor.pad")
_SIZED = ("tensor.empty", "tensor.splat", "tensor.expand_shape", "tensor.pad")
_RESHAPES = ("tensor.expand_shape", "tensor.collapse_shape")


def check_position_wise(block: ir.Block, recurrence: ir.Operation, lengths: Collection[Symbol]) -> None:
    """Refuse operations of a function that compute a position from others, or from its number.

    `lengths` are the sizes that are numbers of positions. In the one-step form there is one, which is not the
    first.
    """
    for view in block.operations:
        if view.operation != recurrence and not _computes_each_position(view.operation, lengths):
            raise PassFailure(
                view.operation,
                "unsupported: computing a position from others or from its number around the one-step form "
                "of a recurrence",
            )


def _computes_each_position(op: ir.Operation, lengths: Collection[Symbol]) -> bool:
    """Whether an operation, with what is inside it, computes a position from the same one."""
    inside = rw.walk_list(op)
    if any(_positions_in(each, lengths) for each in inside if each.name != "tensor.dim"):
        return False
    if op.name in _FREE or op.name.startswith(("arith.", "math.")):
        return True
    positions = _positions_in(op, lengths)
    return not positions or _keeps_positions(op, positions)


def _positions_in(op: ir.Operation, lengths: Collection[Symbol]) -> dict[ir.Value, set[int]]:
    """The operands and results of an operation that have positions, with those dimensions."""
    values = (*op.operands, *op.results)
    return {value: dims for value in values if (dims := positions_of(value, lengths))}


def positions_of(value: ir.Value, lengths: Collection[Symbol]) -> set[int]:
    """The dimensions of a value whose size has to do with the number of positions."""
    if not isinstance(value.type, ir.RankedTensorType):
        return set()
    sizes = [size_of(value, d) for d in range(value.type.rank)]
    return {d for d, size in enumerate(sizes) if any(symbol in lengths for symbol, _ in size.terms)}


def check_step_reads(recurrence: ir.Operation, lengths: Collection[Symbol]) -> None:
    """Refuse reads of a step at another position than t: the one-step form has no other."""
    block = recurrence.regions[0].blocks[0]
    position = block.arguments[6]
    for op in rw.walk_list(recurrence):
        if op.name == "tensor.extract":
            offsets, sizes = list(op.operands)[1:], [1] * (len(op.operands) - 1)
        elif op.name == "tensor.extract_slice":
            offsets, sizes, _ = slice_parts(op, 1)
        elif _positions_in(op, lengths) and op.name not in ("tensor.dim", "tensor.cast"):
            raise PassFailure(
                op,
                "unsupported: a step that computes with all positions of a tensor with as many as q, in the "
                "one-step form",
            )
        else:
            continue
        for d in positions_of(op.operands[0], lengths):
            if offsets[d] != position or sizes[d] != 1:
                raise PassFailure(
                    op,
                    "unsupported: a step that reads another position than t of a tensor with as many as q, "
                    "in the one-step form",
                )


def check_counts(function: ir.Operation, lengths: Collection[Symbol]) -> None:
    """Refuse what computes with the number of positions, which is 1 in each call of the one-step form."""
    pending = [op.results[0] for op in rw.walk_list(function, "tensor.dim") if _may_count(op, lengths)]
    seen: set[ir.Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        for use in value.uses:
            op = use.owner.operation
            if op.name.startswith("arith.") and all(str(each.type) == "index" for each in op.results):
                pending.extend(op.results)
            elif not _is_size(op, value):
                raise PassFailure(
                    op,
                    "unsupported: a program that computes with the number of positions, which is 1 in each "
                    "call of the one-step form",
                )


def _may_count(op: ir.Operation, lengths: Collection[Symbol]) -> bool:
    """Whether a `tensor.dim` may be the number of positions."""
    source, axis = op.operands
    if rw.constant_value(axis) is None:
        return bool(positions_of(source, lengths))
    return any(symbol in lengths for symbol, _ in index_of(op.results[0]).terms)


def _is_size(op: ir.Operation, value: ir.Value) -> bool:
    """Whether an operation takes an index for the size of a tensor, and for nothing else."""
    if op.name in ("tensor.extract_slice", "tensor.insert_slice"):
        offsets, _, strides = slice_parts(op, 1 if op.name == "tensor.extract_slice" else 2)
        return value not in (*offsets, *strides)
    return op.name in _SIZED


def _keeps_positions(op: ir.Operation, positions: dict[ir.Value, set[int]]) -> bool:
    if op.name.startswith("linalg."):
        return _loops_keep_positions(op, positions)
    if op.name in _MOVES:
        changed = changed_dimensions(op)
        if op.name in ("tensor.extract_slice", "tensor.insert_slice"):
            first, small = (1, op.results[0]) if op.name == "tensor.extract_slice" else (2, op.operands[0])
            changed |= dropped_dimensions(slice_parts(op, first)[1], ir.RankedTensorType(small.type))
            big = op.operands[first - 1]
            return not (changed & positions.get(big, set()))
        return not any(changed & dims for dims in positions.values())
    if op.name in _RESHAPES:
        narrow = op.operands[0] if op.name == "tensor.expand_shape" else op.results[0]
        wide = op.results[0] if op.name == "tensor.expand_shape" else op.operands[0]
        shape = ir.RankedTensorType(wide.type).shape
        concerned = (
            group
            for d, group in enumerate(groups_of(op))
            if d in positions.get(narrow, set()) or not positions.get(wide, set()).isdisjoint(group)
        )
        return all(sum(shape[axis] != 1 for axis in group) == 1 for group in concerned)
    return False


def _loops_keep_positions(op: ir.Operation, positions: dict[ir.Value, set[int]]) -> bool:
    """Whether loops over positions are parallel, index positions as they are, and nothing asks for them."""
    from aecompiler.bindings import linalg

    maps = [ir.AffineMapAttr(each).value for each in linalg.get_indexing_maps(op)]
    loops = set()
    for value, map_ in zip(op.operands, maps, strict=True):
        for d in positions.get(value, set()):
            if not isinstance(map_.results[d], ir.AffineDimExpr):
                return False
            loops.add(map_.results[d].position)
    outs = maps[len(maps) - len(op.results) :]
    kept = [{each.position for each in m.results if isinstance(each, ir.AffineDimExpr)} for m in outs]
    asked = {each.attributes["dim"].value for each in rw.walk_list(op, "linalg.index")}
    plain = all(
        isinstance(each, (ir.AffineDimExpr, ir.AffineConstantExpr)) for m in maps for each in m.results
    )
    return plain and not (loops & asked) and all(loops <= each for each in kept)
