"""The rules by which operations that only move data work on parts of tensors (`part_plans.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.part_plans import Make, Plan, Planner, pass_on, rule
from aecompiler.passes.part_rules import empty
from aecompiler.passes.tensor_parts import (
    Indices,
    Linear,
    Part,
    Parts,
    groups_of,
    index_of,
    kept,
    padding_of,
    part,
    part_type,
    size_of,
    whole,
)

Rules = tuple[list[Plan], Make] | None


# ---- one value everywhere --------------------------------------------------------------------------


@rule("tensor.empty", moves=True)
def _empty(_planner: Planner, op: ir.Operation, parts: Parts, _shared: bool) -> Rules:
    return [], lambda _tiles, indices: empty(op.results[0], parts, indices)


@rule("tensor.splat", moves=True)
def _splat(_planner: Planner, op: ir.Operation, parts: Parts, _shared: bool) -> Rules:
    def make(_tiles: list[ir.Value], indices: Indices) -> ir.Value:
        sizes = [indices.build(each.extent) for each in parts if each.keep]
        dynamic = [size for size in sizes if not isinstance(size, int)]
        return tensor.splat(part_type(op.results[0], parts), op.operands[0], dynamic)

    return [], make


@rule("linalg.fill", moves=True)
def _fill(_planner: Planner, op: ir.Operation, parts: Parts, _shared: bool) -> Rules:
    value, into = op.operands
    if isinstance(value.type, ir.RankedTensorType):
        return None
    return [], lambda _tiles, indices: rw.fill(value, empty(into, parts, indices))


@rule("arith.constant", moves=True)
def _constant(_planner: Planner, op: ir.Operation, parts: Parts, _shared: bool) -> Rules:
    attribute = op.attributes["value"]
    shaped = part_type(op.results[0], parts)
    if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
        return None
    scalar = attribute.get_splat_value()

    def make(_tiles: list[ir.Value], indices: Indices) -> ir.Value:
        element = arith.constant(shaped.element_type, scalar)
        return rw.fill(element, empty(op.results[0], parts, indices))

    return [], make


# ---- the order of dimensions -----------------------------------------------------------------------


@rule("linalg.transpose", moves=True)
def _transpose(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    permutation = list(op.attributes["permutation"])
    of_source = [parts[permutation.index(d)] for d in range(len(parts))]
    need = planner.plan(op.operands[0], tuple(of_source), shared)
    left = [d for d, each in zip(permutation, parts, strict=True) if each.keep]
    order = [sorted(left).index(d) for d in left]
    if order == sorted(order):
        return [need], pass_on

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        return rw.transpose(tiles[0], empty(op.results[0], parts, indices), order)

    return [need], make


@rule("linalg.broadcast", moves=True)
def _broadcast(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    added = set(op.attributes["dimensions"])
    source = [d for d in range(len(parts)) if d not in added]
    repeated = any(not parts[d].whole for d in added)
    need = planner.plan(op.operands[0], tuple(parts[d] for d in source), shared or repeated)
    if not any(parts[d].keep for d in added):
        return [need], pass_on
    left = [d for d in range(len(parts)) if parts[d].keep]

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        loops = [n for n, d in enumerate(left) if d not in added]
        out = empty(op.results[0], parts, indices)
        every = list(range(len(left)))
        return rw.generic([(tiles[0], loops)], [(out, every)], "p" * len(left), lambda ins, _outs: ins)[0]

    return [need], make


# ---- slices ----------------------------------------------------------------------------------------


def changed_dimensions(op: ir.Operation) -> set[int]:
    """The dimensions in which an operation that moves data does not keep each element at its place.

    Such a dimension may have another size, or elements may come from elsewhere: a part of an operand there is
    no part of the result, unless it is all of the dimension.
    """
    match op.name:
        case "tensor.extract_slice":
            return _not_whole(op.operands[0], slice_parts(op, 1))
        case "tensor.insert_slice":
            return _not_whole(op.operands[1], slice_parts(op, 2))
        case "tensor.concat":
            return {op.attributes["dim"].value}
        case "tensor.pad":
            return {d for d, edges in enumerate(zip(*padding_of(op), strict=True)) if edges != (0, 0)}
    return set()


def _not_whole(value: ir.Value, box: tuple[list[int | ir.Value], ...]) -> set[int]:
    """The dimensions of `value` of which a slice at these offsets, sizes and strides does not have all."""
    return {
        d
        for d, (offset, size, stride) in enumerate(zip(*box, strict=True))
        if index_of(offset) != Linear() or index_of(size) != size_of(value, d) or stride != 1
    }


@rule("tensor.cast", moves=True)
def _cast(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    source = op.operands[0]
    of_source = [whole(source, d, each.keep) if each.whole else each for d, each in enumerate(parts)]
    return [planner.plan(source, tuple(of_source), shared)], pass_on


@rule("tensor.extract_slice", moves=True)
def _extract_slice(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    """A part of a slice is a part of its source; what is sliced of a dimension that tiles have whole is cut
    from the whole dimension, so that what the source is computed from is computed once for several slices."""
    source = op.operands[0]
    offsets, sizes, strides = slice_parts(op, 1)
    dropped = dropped_dimensions(sizes, ir.RankedTensorType(op.results[0].type))
    of_result = iter(parts)
    direct: list[Part] = []
    wide: list[Part] = []
    unit = True
    for d, (offset, size, stride) in enumerate(zip(offsets, sizes, strides, strict=True)):
        first, count = index_of(offset), index_of(size)
        each = Part(Linear(), Linear(1), False, True) if d in dropped else next(of_result)
        cut_size = count if each.whole else each.size
        cut = part(source, d, first + each.offset, cut_size, each.keep, each.padded)
        direct.append(cut)
        wide.append(cut)
        if stride == 1 or count.number == 1:
            full = size_of(source, d).number
            if each.whole and each.keep and full and 2 * (count.number or 0) >= full:
                wide[-1] = whole(source, d)
        elif each.whole and each.keep:
            unit = False
            wide[-1] = whole(source, d)
        else:
            return None
    need = planner.plan(source, tuple(wide), shared)
    if unit and (wide == direct or not need.follows):
        return [planner.plan(source, tuple(direct), shared)], pass_on

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        box = []
        for d, each in enumerate(wide):
            if each.keep and each != direct[d]:
                box.append((offsets[d], sizes[d], strides[d]))
            elif each.keep:
                box.append((0, indices.build(each.extent), 1))
        return rw.cut(tiles[0], *zip(*box, strict=True))

    return [need], make


@rule("tensor.insert_slice", moves=True)
def _insert_slice(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    """Of dimensions of which a tile has a part, all must be inserted."""
    source, into = op.operands[0], op.operands[1]
    offsets, sizes, strides = slice_parts(op, 2)
    if len(parts) != ir.RankedTensorType(source.type).rank:
        return None
    changed = changed_dimensions(op)
    of_source = []
    for d, each in enumerate(parts):
        if d not in changed and not each.whole:
            of_source.append(each)
        elif each.whole and (each.keep or d not in changed):
            of_source.append(whole(source, d, each.keep))
        else:
            return None
    needs = [planner.plan(source, tuple(of_source), shared), planner.plan(into, parts, shared)]

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        box = [
            (offsets[d], sizes[d], strides[d]) if each.whole else (0, indices.build(each.extent), 1)
            for d, each in enumerate(parts)
            if each.keep
        ]
        return rw.insert_slice(tiles[0], tiles[1], *zip(*box, strict=True))

    return needs, make


@rule("tensor.concat", moves=True)
def _concat(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    axis = op.attributes["dim"].value
    if not (parts[axis].whole and parts[axis].keep):
        return None
    needs = [
        planner.plan(each, (*parts[:axis], whole(each, axis), *parts[axis + 1 :]), shared)
        for each in op.operands
    ]
    place = sum(each.keep for each in parts[:axis])
    shaped = part_type(op.results[0], parts)
    return needs, lambda tiles, _indices: tensor.concat(shaped, place, tiles)


@rule("tensor.pad", moves=True)
def _pad(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    """Dimensions of which a tile has a part must not be padded, and the value must be one everywhere."""
    source = op.operands[0]
    block = op.regions[0].blocks[0]
    if any(list(argument.uses) for argument in block.arguments):
        return None
    if not all(parts[d].whole and parts[d].keep for d in changed_dimensions(op)):
        return None
    of_source = [whole(source, d, each.keep) if each.whole else each for d, each in enumerate(parts)]
    low, high = (kept(edge, parts) for edge in padding_of(op))
    shaped = part_type(op.results[0], parts)

    def make(tiles: list[ir.Value], _indices: Indices) -> ir.Value:
        (value,) = rw.inline_block(block, list(block.arguments))
        return rw.pad(tiles[0], shaped, low, high, value)

    return [planner.plan(source, tuple(of_source), shared)], make


# ---- the number of dimensions ----------------------------------------------------------------------


@rule("tensor.expand_shape", moves=True)
def _expand(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    source, groups = op.operands[0], groups_of(op)
    of_source = [
        joined(source, d, op.results[0], group, [parts[axis] for axis in group])
        for d, group in enumerate(groups)
    ]
    if None in of_source:
        return None
    need = planner.plan(source, tuple(each for each in of_source if each), shared)
    left = _kept_groups(groups, parts)
    if all(len(group) == 1 for group in left):
        return [need], pass_on

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        sizes = [indices.build(each.extent) for each in parts if each.keep]
        return rw.expand(tiles[0], part_type(op.results[0], parts), left, sizes)

    return [need], make


@rule("tensor.collapse_shape", moves=True)
def _collapse(planner: Planner, op: ir.Operation, parts: Parts, shared: bool) -> Rules:
    source, groups = op.operands[0], groups_of(op)
    of_source: list[Part] = []
    for each, group in zip(parts, groups, strict=True):
        split = divided(source, group, each)
        if split is None:
            return None
        of_source += split
    need = planner.plan(source, tuple(of_source), shared)
    left = _kept_groups(groups, of_source)
    if all(len(group) == 1 for group in left):
        return [need], pass_on

    def make(tiles: list[ir.Value], _indices: Indices) -> ir.Value:
        return tensor.collapse_shape(part_type(op.results[0], parts), tiles[0], left)

    return [need], make


def _kept_groups(groups: Sequence[Sequence[int]], parts: Sequence[Part]) -> list[list[int]]:
    """The groups of the dimensions that are kept, in their numbers; `parts` are of all that are grouped."""
    found = []
    number = 0
    for group in groups:
        count = sum(parts[axis].keep for axis in group)
        if count:
            found.append(list(range(number, number + count)))
        number += count
    return found


def joined(
    value: ir.Value, d: int, split: ir.Value, group: Sequence[int], parts: Sequence[Part]
) -> Part | None:
    """The part of dimension `d` of `value` that is these parts of the dimensions `group` of `split`.

    They are one range if all before some dimension have size 1, and all after it are whole.
    """
    keep = any(each.keep for each in parts)
    if all(each.whole for each in parts):
        return whole(value, d, keep)
    last = len(parts) - 1
    longest = next((n for n, each in enumerate(parts) if each.extent.number != 1), last)
    if not all(each.whole for each in parts[longest + 1 :]):
        return None
    if any(each.padded is not None for n, each in enumerate(parts) if n != longest):
        return None
    offset, size, padded, inner = Linear(), parts[longest].size, parts[longest].padded, 1
    for n in range(last, -1, -1):
        offset += parts[n].offset * inner
        if n:
            full = size_of(split, group[n]).number
            if full is None:
                return None
            inner *= full
            if n > longest:
                size, padded = size * full, None if padded is None else padded * full
    return part(value, d, offset, size, keep, padded)


def divided(value: ir.Value, group: Sequence[int], each: Part) -> list[Part] | None:
    """The parts of the dimensions `group` of `value` that are a part of the one they are joined to."""
    if each.whole:
        return [whole(value, axis, each.keep) for axis in group]
    sizes = [size_of(value, axis).number for axis in group]
    longer = [n for n, size in enumerate(sizes) if size != 1]
    found = [whole(value, axis, keep=False) for axis in group]
    if len(longer) <= 1:
        n = longer[0] if longer else 0
        found[n] = part(value, group[n], each.offset, each.size, each.keep, each.padded)
        return found
    inner = 1
    for n in longer[:0:-1]:
        size = sizes[n]
        if size is None:
            return None
        inner *= size
        found[n] = whole(value, group[n])
    offset = each.offset.divided(inner)
    if offset is None or each.size.number != inner or not each.keep or each.padded is not None:
        return None
    found[longer[0]] = part(value, group[longer[0]], offset, Linear(1), keep=False)
    return found
