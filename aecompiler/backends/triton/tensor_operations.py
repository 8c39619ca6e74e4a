"""Operations on tensors of tile programs in kernels: tiles, parts of them, and of tensors in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.elementwise import evaluate
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.memory import Global, Region, tile_positions
from aecompiler.backends.triton.parts import Part, element, part_of, put, put_at, take
from aecompiler.backends.triton.tiles import Tile, merge
from aecompiler.backends.triton.tt_keep_loops import HIDDEN
from aecompiler.backends.triton.windows import Window, is_written_in_pieces
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.structured_ops import UnsupportedTile, is_structured, operand_loops

if TYPE_CHECKING:
    from aecompiler.backends.triton.kernel import KernelBuilder


def _empty(kernel: KernelBuilder, op: ir.Operation) -> None:
    zero = tt.constant(_stored(op.results[0].type.element_type), 0)
    kernel.entries[op.results[0]] = Tile(None, Lanes(zero), tuple(op.results[0].type.shape))


def _constant(kernel: KernelBuilder, op: ir.Operation) -> None:
    type_ = op.results[0].type
    if not isinstance(type_, ir.RankedTensorType):
        kernel.entries[op.results[0]] = evaluate(op, (), (), kernel.library)
        return
    attribute = op.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
        raise UnsupportedTile("a tensor of different constants")
    number = attribute.get_splat_value().value
    scalar = Lanes(tt.constant(_stored(type_.element_type), number))
    kernel.entries[op.results[0]] = Tile(None, scalar, tuple(type_.shape))


def _fill(kernel: KernelBuilder, op: ir.Operation) -> None:
    shape = tuple(op.results[0].type.shape)
    kernel.entries[op.results[0]] = Tile(None, kernel.lanes(op.operands[0]), shape)


def _splat(kernel: KernelBuilder, op: ir.Operation) -> None:
    shape = tuple(op.results[0].type.shape)
    if rw.DYNAMIC in shape:
        raise UnsupportedTile("a tile whose size is not known")
    kernel.entries[op.results[0]] = Tile(None, kernel.lanes(op.operands[0]), shape)


def _concat(kernel: KernelBuilder, op: ir.Operation) -> None:
    """Tiles one after the other."""
    zero = Lanes(tt.constant(_stored(op.results[0].type.element_type), 0))
    parts = [kernel.tile(operand) for operand in op.operands]
    axis = op.attributes["dim"].value
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    whole = Tile(None, zero, tuple(shape))
    offset = 0
    for part in parts:
        offsets = [0] * len(shape)
        offsets[axis] = offset
        whole = _put(kernel, part, whole, Part(tuple(offsets), (1,) * len(shape), part.shape))
        offset += part.shape[axis]
    kernel.entries[op.results[0]] = whole


def _put(kernel: KernelBuilder, small: Tile, tile: Tile, part: Part) -> Tile:
    """A tile with a part of it replaced."""
    if small.merged > 1 or tile.merged > 1:
        raise UnsupportedTile("tiles put together whose dimensions are one in registers")
    if small.has_limits or tile.has_limits or any(step != 1 for step in part.steps):
        raise UnsupportedTile("a tile that is put into others with steps, or whose size is not known")
    padded, own = (tt.register_sizes(each.shape) for each in (tile, small))
    return put(small, tile, part, padded, own)


def _extract(kernel: KernelBuilder, op: ir.Operation) -> None:
    source = kernel.entry(op.operands[0])
    places = [kernel.lanes(place) for place in list(op.operands)[1:]]
    if isinstance(source, Tile):
        found = element(source, places)
        if isinstance(op.results[0].type, ir.IndexType):
            found = ln.number(found.value, (), (-(1 << 63), (1 << 63) - 1))
        kernel.entries[op.results[0]] = found
        return
    kernel.entries[op.results[0]] = kernel.gather(op, places, ())


def _extract_slice(kernel: KernelBuilder, op: ir.Operation) -> None:
    source = kernel.entry(op.operands[0])
    if isinstance(source, Tile):
        kernel.entries[op.results[0]] = _part_of_tile(kernel, op, source)
        return
    offsets, sizes, kept = _slice_of(kernel, op)
    if not isinstance(source, Global):
        raise UnsupportedTile("a part of a scalar, or of a part of a result that a loop writes")
    if op.operands[0] in kernel.outs and is_written_in_pieces(op.results[0]):
        kernel.entries[op.results[0]] = Window(source, tuple(offsets), tuple(kept), op)
        return
    shape, limits = [], []
    for position, axis in enumerate(kept):
        size = sizes[axis]
        whole = _size_of_tile(op.results[0], position)
        if whole is None and not isinstance(size, int):
            raise UnsupportedTile("a part of a tensor that is not padded to a known size")
        shape.append(size if whole is None and isinstance(size, int) else whole or 0)
        limits.append(None if whole in (None, size) else _as_lanes(kernel, size))
    merged = _merged_in_users(kernel, op.results[0])
    sizes_there = merge(shape, merged)
    padded = tt.register_sizes(sizes_there)
    region = Region(source, tuple(offsets), tuple(kept), tuple(shape), padded, tuple(limits), merged)
    value = kernel.descriptors.load(op, region) if kernel.options.descriptors else None
    clean = value is None or padded == sizes_there
    value = region.load() if value is None else value
    if not shape:
        kernel.entries[op.results[0]] = Tile(None, Lanes(value), ())
        return
    kernel.entries[op.results[0]] = Tile(value, None, tuple(shape), clean, tuple(limits), True, merged)


def _part_of_tile(kernel: KernelBuilder, op: ir.Operation, source: Tile) -> Tile:
    """A part of known size, or of a size that is known in the kernel only, from the first element on.

    What is only written has the tile's size as well, with limits.
    """
    sizes = _mixed(kernel, op, 1)[1]
    if _is_only_written(op.results[0]):
        sizes = [
            size if size == whole else _as_lanes(kernel, size)
            for size, whole in zip(sizes, source.shape, strict=True)
        ]
    full = tuple(
        size if isinstance(size, int) else whole for size, whole in zip(sizes, source.shape, strict=True)
    )
    part = part_of(op, full)
    known = source.limits or (None,) * len(sizes)
    limits: list[Lanes | None] = []
    for axis, (size, limit) in enumerate(zip(sizes, known, strict=True)):
        is_known = isinstance(size, int) and limit is None
        if not part.is_beginning(axis) and not is_known:
            raise UnsupportedTile("a part of a tile of unknown size that is not its beginning")
        limits.append(limit if size == source.shape[axis] else size if isinstance(size, Lanes) else None)
    if source.merged > 1:
        if full != source.shape or not all(map(part.is_beginning, range(len(full)))):
            raise UnsupportedTile("a part of a tile whose dimensions are one in registers")
        return dataclasses.replace(source, limits=tuple(limits))
    taken = take(source, part, tt.register_sizes(full))
    is_clean = source.clean and full == source.shape
    return dataclasses.replace(taken, limits=tuple(limits), clean=is_clean)


def _is_only_written(part: ir.Value) -> bool:
    """Whether a part of a tile from its first element on is stored, and nothing else."""
    offsets = list(part.owner.operation.attributes["static_offsets"])
    return not any(offsets) and all(
        use.owner.operation.name == "tensor.parallel_insert_slice" and not use.operand_number
        for use in part.uses
    )


def _insert_slice(kernel: KernelBuilder, op: ir.Operation) -> None:
    small, into = kernel.tile(op.operands[0]), kernel.entry(op.operands[1])
    if isinstance(into, Window):
        offsets, _, kept = _slice_of(kernel, op)
        padded = tt.register_sizes(small.in_registers)
        into.region(offsets, kept, small, padded).store(small.whole(padded).value)
        kernel.entries[op.results[0]] = into
        return
    tile = kernel.tile(op.operands[1])
    if rw.DYNAMIC in op.attributes["static_offsets"]:
        kernel.entries[op.results[0]] = _put_row(kernel, op, small, tile)
        return
    kernel.entries[op.results[0]] = _put(kernel, small, tile, part_of(op, small.shape))


def _put_row(kernel: KernelBuilder, op: ir.Operation, small: Tile, tile: Tile) -> Tile:
    """A tile with one row replaced, or one of another dimension, at a place that is computed."""
    offsets, sizes, kept = _slice_of(kernel, op)
    places = {axis: place for axis, place in enumerate(offsets) if axis not in kept}
    is_whole = all(
        sizes[axis] == tile.shape[axis] and rw.constant_value(offsets[axis].value) == 0 for axis in kept
    )
    if not is_whole or small.has_limits or tile.has_limits or max(small.merged, tile.merged) > 1:
        raise UnsupportedTile("a part of a tile that is put at places that are computed, and is no row")
    return put_at(small, tile, kept, places, tt.register_sizes(tile.shape))


def _select(kernel: KernelBuilder, op: ir.Operation) -> None:
    """One of two scalars, or of two tiles: a branch that computes nothing becomes such a choice."""
    if not isinstance(op.results[0].type, ir.RankedTensorType):
        operands = [kernel.lanes(operand) for operand in op.operands]
        kernel.entries[op.results[0]] = evaluate(op, operands, (), kernel.library)
        return
    condition, *tiles = kernel.lanes(op.operands[0]), *map(kernel.tile, list(op.operands)[1:])
    if any(tile.has_limits or tile.merged > 1 for tile in tiles):
        raise UnsupportedTile("a choice of tiles whose size is not known or whose dimensions are one there")
    padded = tt.register_sizes(tiles[0].shape)
    yes, no = (tile.whole(padded) for tile in tiles)
    value = ln.choose(condition, yes, no, padded)
    kernel.entries[op.results[0]] = Tile(value.value, None, tiles[0].shape)


def _as_lanes(kernel: KernelBuilder, size: int | Lanes) -> Lanes:
    return ln.constant(size) if isinstance(size, int) else size


def _slice_of(kernel: KernelBuilder, op: ir.Operation) -> tuple[list[Lanes], list[int | Lanes], list[int]]:
    """Offsets, sizes and the kept dimensions of a slice whose steps are 1."""
    is_read = op.name == "tensor.extract_slice"
    places, sizes, steps = _mixed(kernel, op, 1 if is_read else 2)
    offsets = [_as_lanes(kernel, place) for place in places]
    if any(step != 1 for step in steps):
        raise UnsupportedTile("a slice with steps")
    small = (op.results if is_read else op.operands)[0].type
    kept = _kept(sizes, list(small.shape))
    return offsets, sizes, kept


def _mixed(kernel: KernelBuilder, op: ir.Operation, fixed: int) -> list[list[int | Lanes]]:
    """Offsets, sizes and steps of a slice; its first `fixed` operands are tensors."""
    dynamic = iter(list(op.operands)[fixed:])
    return [
        [kernel.lanes(next(dynamic)) if value == rw.DYNAMIC else value for value in op.attributes[name]]
        for name in ("static_offsets", "static_sizes", "static_strides")
    ]


def _pad(kernel: KernelBuilder, op: ir.Operation) -> None:
    """A tile with a number where the tensor has nothing."""
    source = kernel.tile(op.operands[0])
    shape, low = tuple(op.results[0].type.shape), tuple(op.attributes["static_low"])
    *_, terminator = op.regions[0].blocks[0].operations
    value = terminator.operands[0]
    number = rw.float_value(value)
    number = rw.constant_value(value) if number is None else number
    element = _stored(op.results[0].type.element_type)
    pad = kernel.lanes(value) if number is None else Lanes(tt.constant(element, number))
    if source.shape == shape and not any(low):
        kernel.entries[op.results[0]] = _filled(kernel, source, pad, number == 0)
        return
    if source.has_limits or rw.DYNAMIC in (*low, *shape):
        raise UnsupportedTile(
            "padding of a part of a tensor whose size is not known, but by elements after it"
        )
    part = Part(low, (1,) * len(low), source.shape)
    kernel.entries[op.results[0]] = _put(kernel, source, Tile(None, pad, shape), part)


def _filled(kernel: KernelBuilder, source: Tile, pad: Lanes, with_zeros: bool) -> Tile:
    """A tile with a number beyond its limits."""
    if not source.has_limits or (with_zeros and (source.clean or source.filled)):
        return dataclasses.replace(source, limits=())
    padded = tt.register_sizes(source.in_registers)
    lanes = source.whole(padded)
    positions = tile_positions(source.shape, source.merged, padded)
    for position, limit in zip(positions, source.limits, strict=True):
        if limit is not None:
            lanes = ln.choose(ln.less(position, limit, padded), lanes, pad, padded)
    return Tile(lanes.value, None, source.shape, merged=source.merged)


def _collapse_shape(kernel: KernelBuilder, op: ir.Operation) -> None:
    """Dimensions that are one in registers as one."""
    tile, shape = kernel.tile(op.operands[0]), tuple(op.results[0].type.shape)
    if tile.value is not None and merge(tile.shape, tile.merged) != shape:
        if [each for each in tile.shape if each != 1] == [each for each in shape if each != 1]:
            raise UnsupportedTile("a dimension of size 1 left out of a tile that is in registers")
        raise UnsupportedTile("dimensions as one that are not the first ones of a part of a tensor in memory")
    if tile.has_limits:
        raise UnsupportedTile("dimensions as one whose size is not known")
    kernel.entries[op.results[0]] = dataclasses.replace(tile, shape=shape, limits=(), merged=1)


def _expand_shape(kernel: KernelBuilder, op: ir.Operation) -> None:
    """The first dimension as several, which stay one in registers; or dimensions of size 1 added."""
    tile, shape = kernel.tile(op.operands[0]), tuple(op.results[0].type.shape)
    if not kernel.has_merged_tiles and (places := _added_ones(op, tile)) is not None:
        kernel.entries[op.results[0]] = _with_ones(kernel, tile, shape, places)
        return
    merged = len(shape) - len(tile.shape) + 1
    if tile.merged > 1 or tile.has_limits or merge(shape, merged) != tile.shape:
        raise UnsupportedTile("another dimension than the first one as several")
    kernel.entries[op.results[0]] = dataclasses.replace(tile, shape=shape, limits=(), merged=merged)


def _added_ones(op: ir.Operation, tile: Tile) -> list[int] | None:
    """Where the dimensions of a tile stand among those of an expansion that adds dimensions of size 1."""
    shape, groups = op.results[0].type.shape, op.attributes["reassociation"]
    if tile.has_limits or tile.merged > 1 or rw.DYNAMIC in shape:
        return None
    places = []
    for size, group in zip(tile.shape, groups, strict=True):
        axes = [axis.value for axis in group]
        longer = [axis for axis in axes if shape[axis] != 1]
        if [shape[axis] for axis in longer] not in ([size], []):
            return None
        places.append((longer or axes)[0])
    return places


def _with_ones(kernel: KernelBuilder, tile: Tile, shape: tuple[int, ...], places: list[int]) -> Tile:
    """A tile with more dimensions; its own are those at `places`."""
    if tile.value is None:
        return Tile(None, tile.everywhere, shape)
    loops = tuple(range(len(shape)))
    lanes = ln.spread(tile.lanes(places), loops, tt.register_sizes(shape))
    return Tile(lanes.value, None, shape)


def _dim(kernel: KernelBuilder, op: ir.Operation) -> None:
    """The size of a tile; those of tensors in memory are arguments."""
    if isinstance(kernel.entries.get(op.operands[0]), Global):
        return
    tile = kernel.tile(op.operands[0])
    axis = rw.constant_value(op.operands[1])
    if axis is None:
        raise UnsupportedTile("the size of a dimension that varies")
    limit = tile.limits[axis] if tile.limits else None
    kernel.entries[op.results[0]] = limit or ln.constant(tile.shape[axis])


def _in_parallel(kernel: KernelBuilder, op: ir.Operation) -> None:
    for view in op.regions[0].blocks[0].operations:
        if view.operation in kernel.stored:
            continue
        with view.location:
            try:
                _insert(kernel, view.operation)
            except UnsupportedTile as reason:
                raise PassFailure(view.operation, f"unsupported in a kernel: {reason}") from None


def _insert(kernel: KernelBuilder, op: ir.Operation) -> None:
    """The store of a tile; what loops have written is in its place."""
    entry, target = kernel.entry(op.operands[0]), kernel.memory(op.operands[1])
    if isinstance(entry, Window):
        if entry.memory != target:
            raise UnsupportedTile("a part of another result")
        entry.check_end(op)
        return
    tile = kernel.tile(op.operands[0])
    offsets, _, kept = _slice_of(kernel, op)
    limits = tile.limits or (None,) * len(tile.shape)
    padded = tt.register_sizes(tile.in_registers)
    region = Region(target, tuple(offsets), tuple(kept), tile.shape, padded, limits, tile.merged)
    value = tile.whole(padded).value
    if not (kernel.options.descriptors and kernel.descriptors.store(op, region, value)):
        region.store(value)


def _cast(kernel: KernelBuilder, op: ir.Operation) -> None:
    kernel.entries[op.results[0]] = kernel.entry(op.operands[0])


def _size_of_tile(part: ir.Value, axis: int) -> int | None:
    """The size that a part of a tensor is padded to, wherever it is; None if it is not."""
    for use in part.uses:
        user = use.owner.operation
        if user.name == "tensor.pad" and not any(user.attributes["static_low"]):
            size = user.results[0].type.shape[axis]
            if size != rw.DYNAMIC:
                return size
        if not is_structured(user) or not user.results:
            continue
        loops = operand_loops(user)
        loop = loops[use.operand_number][axis]
        for result, out in zip(user.results, loops[len(loops) - len(user.results) :], strict=True):
            found = _size_of_tile(result, out.index(loop)) if loop in out else None
            if found is not None:
                return found
    return None


def _merged_in_users(kernel: KernelBuilder, part: ir.Value) -> int:
    """How many first dimensions of a part of a tensor are one where it is used."""
    for use in part.uses:
        user = use.owner.operation
        if user.name == "tensor.pad":
            return _merged_in_users(kernel, user.results[0])
        if user.name == "tensor.collapse_shape":
            return part.type.rank - user.results[0].type.rank + 1
        if is_structured(user) and user.results and user.results[0].type.rank == part.type.rank:
            beside = [kernel.entries.get(operand) for operand in user.operands]
            known = [tile.merged for tile in beside if isinstance(tile, Tile)]
            return max([*known, _merged_in_users(kernel, user.results[0])])
    return 1


def _kept(sizes: Sequence[int | Lanes], small: Sequence[int]) -> list[int]:
    """Which dimensions of a slice are those of a tensor of fewer dimensions: those dropped have size 1."""
    kept: list[int] = []
    for axis, size in enumerate(sizes):
        left = len(sizes) - axis - 1
        missing = len(small) - len(kept)
        static = rw.DYNAMIC if isinstance(size, Lanes) else size
        if missing and small[len(kept)] == static and not (static == 1 and left >= missing):
            kept.append(axis)
        elif static != 1:
            raise UnsupportedTile("a slice whose kept dimensions are not clear")
    if len(kept) != len(small):
        raise UnsupportedTile("a slice whose kept dimensions are not clear")
    return kept


def _stored(type_: ir.Type) -> ir.Type:
    return tt.integer(64) if isinstance(type_, ir.IndexType) else type_


HANDLERS = {
    "tensor.empty": _empty,
    "arith.constant": _constant,
    "arith.select": _select,
    "linalg.fill": _fill,
    "tensor.splat": _splat,
    "tensor.concat": _concat,
    "tensor.extract": _extract,
    "tensor.extract_slice": _extract_slice,
    "tensor.insert_slice": _insert_slice,
    "tensor.pad": _pad,
    "tensor.collapse_shape": _collapse_shape,
    "tensor.expand_shape": _expand_shape,
    "tensor.dim": _dim,
    "tensor.cast": _cast,
    "scf.forall.in_parallel": _in_parallel,
    "tensor.parallel_insert_slice": _insert,
    HIDDEN: _cast,
}
"""What makes operations of a kernel of those of a tile program."""
