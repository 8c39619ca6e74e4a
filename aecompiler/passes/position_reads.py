"""Reads of captured tensors that go along with the position: `gate[b, h, t]` and `gate[b, h, t, :]`.

A chunk of positions reads a slice of such a tensor. That holds where the slice lies inside, which a region's
rules do not ask for: they clamp indices. So reads are found here while the region is as it was written, and
taken out of it before the rules are written out (`region_safety`), which then concern the others only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from aecompiler.bindings import arith, ir
from aecompiler.dialect import regions
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.region_safety import clamp_index
from aecompiler.passes.same_sizes import are_equal, comparable_size

Dimension = tuple[ir.Value, int]
"""A tensor and the number of one of its dimensions."""


@dataclasses.dataclass(frozen=True)
class PositionRead:
    """A read of `source` at the position along `axis`, at `offsets` elsewhere (values of the region).

    Dimensions of `whole` are read as a whole and stay.
    """

    source: ir.Value
    axis: int
    offsets: tuple[int | ir.Value, ...]
    whole: tuple[int, ...]


def dependent_values(block: ir.Block, arguments: Sequence[ir.Value]) -> set[ir.Value]:
    """The values of a region that depend on some of its arguments."""
    found = set(arguments)
    for op in block.operations:
        used = (v for each in (op.operation, *regions.nested(op)) for v in each.operation.operands)
        if any(value in found for value in used):
            found.update(op.operation.results)
    return found


def take_reads(
    op: ir.OpView, positions: tuple[ir.Value, int], counts: Mapping[ir.Value, Dimension]
) -> dict[ir.Value, PositionRead]:
    """Replace the reads of a chunked form's region by arguments of its block, which are the keys.

    `positions` is a dimension that has as many places as there are positions; `counts` says which dimensions
    an argument of the region counts: it lies in those of the same size.
    """
    block = op.operation.regions[0].blocks[0]
    t = block.arguments[5]
    moving = dependent_values(block, [*list(block.arguments)[:3], t])
    reads: dict[ir.Value, PositionRead] = {}
    for view in list(block.operations):
        each = view.operation
        if each.name not in ("tensor.extract", "tensor.extract_slice"):
            continue
        found = _read(each, block, positions, moving, counts)
        if found is not None:
            argument = block.add_argument(each.results[0].type, each.location)
            reads[argument] = found
            each.results[0].replace_all_uses_with(argument)
            each.erase()
    return reads


def _read(
    op: ir.Operation,
    block: ir.Block,
    positions: Dimension,
    moving: set[ir.Value],
    counts: Mapping[ir.Value, Dimension],
) -> PositionRead | None:
    source, t = op.operands[0], block.arguments[5]
    rank = ir.RankedTensorType(source.type).rank
    definer = rw.definer(source)
    if source in moving or (definer is not None and definer.block == block):
        return None  # a tensor of the region
    if op.name == "tensor.extract":
        offsets, sizes, strides = list(op.operands)[1:], [1] * rank, [1] * rank
        dropped = set(range(rank))
    else:
        offsets, sizes, strides = slice_parts(op, 1)
        dropped = dropped_dimensions(sizes, op.results[0].type)
    axes = [d for d, offset in enumerate(offsets) if offset == t]
    if len(axes) != 1 or axes[0] not in dropped or not are_equal(source, axes[0], *positions):
        return None
    (axis,) = axes
    whole = []
    for d, (offset, size, stride) in enumerate(zip(offsets, sizes, strides, strict=True)):
        if d == axis:
            continue
        if size == 1 and d in dropped:
            if offset in moving or not (_is_nonempty(source, d) or _is_counted(source, d, offset, counts)):
                return None
        elif d > axis and d not in dropped and (offset, stride, size) == (0, 1, comparable_size(source, d)):
            whole.append(d)
        else:
            return None
    return PositionRead(source, axis, tuple(offsets), tuple(whole))


def _is_nonempty(source: ir.Value, axis: int) -> bool:
    size = comparable_size(source, axis)
    return isinstance(size, int) and size > 0


def _is_counted(
    source: ir.Value, axis: int, offset: int | ir.Value, counts: Mapping[ir.Value, Dimension]
) -> bool:
    """Whether an index is an argument of the region that counts as many places as there are."""
    return isinstance(offset, ir.Value) and offset in counts and are_equal(source, axis, *counts[offset])


def place_of(
    read: PositionRead, heads: Mapping[ir.Value, ir.Value], counts: Mapping[ir.Value, Dimension]
) -> list[int | ir.Value]:
    """The offsets of a read outside of the region, 0 along the position, clamped where they may lie outside.

    `heads` has the values of the region that do not depend on the position.
    """
    found: list[int | ir.Value] = []
    for d, offset in enumerate(read.offsets):
        if d == read.axis or d in read.whole:
            found.append(0)
            continue
        value = rw.index(offset) if isinstance(offset, int) else heads.get(offset, offset)
        if _is_counted(read.source, d, offset, counts):
            found.append(value)
            continue
        size = comparable_size(read.source, d)
        last = size - 1 if isinstance(size, int) else arith.subi(rw.dim(read.source, d), rw.index(1))
        found.append(clamp_index(value, last))
    return found
