"""The rules by which operations that move data, or make tensors of scalars, are read element by element."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.tensor_elements import (
    Condition,
    Elements,
    Expression,
    Places,
    Positions,
    Unreadable,
    choose,
    clamped,
    computes,
    constant,
    formula,
    moves,
    scalar,
)
from aecompiler.passes.tensor_parts import Linear, groups_of, index_of, padding_of, size_of

_MOST_ELEMENTS = 16
"""Of a tensor that is made of scalars, each of which is chosen by its place."""


def _result(op: ir.Operation) -> ir.RankedTensorType:
    return ir.RankedTensorType(op.results[0].type)


# ---- one value everywhere --------------------------------------------------------------------------


@moves("tensor.empty")
def _empty(_elements: Elements, op: ir.Operation, _number: int, _places: Places) -> Expression:
    return constant(_result(op).element_type, 0)


@moves("tensor.splat", "linalg.fill")
def _splat(_elements: Elements, op: ir.Operation, _number: int, _places: Places) -> Expression:
    if op.operands[0].type != _result(op).element_type:
        raise Unreadable(f"'{op.name}' of another type")
    return scalar(op.operands[0])


@moves("arith.constant")
def _constant(_elements: Elements, op: ir.Operation, _number: int, _places: Places) -> Expression:
    attribute = op.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
        raise Unreadable("a tensor of different constants")
    return constant(_result(op).element_type, attribute.get_splat_value().value)


@moves("tensor.from_elements")
def _from_elements(_elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    if len(op.operands) > _MOST_ELEMENTS:
        raise Unreadable(f"a tensor of more than {_MOST_ELEMENTS} scalars")
    at = Linear()
    for place, size in zip(places, _result(op).shape, strict=True):
        at = at * size + place
    *others, last = op.operands
    found = scalar(last)
    for number, value in reversed(list(enumerate(others))):
        found = choose([("eq", at, Linear(number))], scalar(value), found)
    return found


# ---- the order and the number of dimensions ----------------------------------------------------------


@moves("tensor.cast")
def _cast(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    return elements.at(op.operands[0], places)


@moves("linalg.transpose")
def _transpose(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    permutation = list(op.attributes["permutation"])
    return elements.at(op.operands[0], tuple(places[permutation.index(d)] for d in range(len(places))))


@moves("linalg.broadcast")
def _broadcast(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    added = set(op.attributes["dimensions"])
    return elements.at(op.operands[0], tuple(each for d, each in enumerate(places) if d not in added))


@moves("tensor.expand_shape")
def _expand(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    found = []
    for group in groups_of(op):
        place = Linear()
        for axis in group:
            size = size_of(op.results[0], axis)
            if size.number != 1:
                place = formula("muli", place, size) + places[axis]
        found.append(place)
    return elements.at(op.operands[0], tuple(found))


@moves("tensor.collapse_shape")
def _collapse(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    source = op.operands[0]
    found: dict[int, Linear] = {}
    for place, group in zip(places, groups_of(op), strict=True):
        longer = [axis for axis in group if size_of(source, axis).number != 1]
        found.update({axis: Linear() for axis in group})
        for axis in reversed(longer):
            size = size_of(source, axis)
            found[axis] = formula("remui", place, size) if axis != longer[0] else place
            place = formula("divui", place, size)
    return elements.at(source, tuple(found[axis] for axis in sorted(found)))


# ---- parts ------------------------------------------------------------------------------------------


@moves("tensor.extract_slice")
def _extract_slice(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    offsets, sizes, strides = slice_parts(op, 1)
    dropped = dropped_dimensions(sizes, _result(op))
    rest = iter(places)
    found = []
    for d, (offset, stride) in enumerate(zip(offsets, strides, strict=True)):
        place = Linear() if d in dropped else next(rest)
        found.append(index_of(offset) + formula("muli", place, index_of(stride)))
    return elements.at(op.operands[0], tuple(found))


@moves("tensor.insert_slice")
def _insert_slice(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    source, into = op.operands[0], op.operands[1]
    offsets, sizes, strides = slice_parts(op, 2)
    dropped = dropped_dimensions(sizes, ir.RankedTensorType(source.type))
    conditions: list[Condition] = []
    found, cut = [], []
    for d, (place, *numbers) in enumerate(zip(places, offsets, sizes, strides, strict=True)):
        offset, size, stride = map(index_of, numbers)
        if (offset, size, stride) == (Linear(), size_of(into, d), Linear(1)):
            found.append(place)
            continue
        place += offset * -1
        if offset != Linear():
            conditions.append(("sge", place, Linear()))
        if stride != Linear(1):
            conditions.append(("eq", formula("remsi", place, stride), Linear()))
            place = formula("divsi", place, stride)
        conditions.append(("slt", place, size))
        cut.append(size)
        if d not in dropped:
            found.append(clamped(place, size))
    return choose(conditions, elements.maybe_at(source, tuple(found), cut), elements.at(into, places))


@moves("tensor.insert")
def _insert(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    value, into, *at = op.operands
    conditions = [("eq", place, index_of(each)) for place, each in zip(places, at, strict=True)]
    return choose(conditions, scalar(value), elements.at(into, places))


@moves("tensor.concat")
def _concat(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    axis = op.attributes["dim"].value
    parts: list[tuple[Expression, Linear]] = []
    start = Linear()
    for part in op.operands:
        size = size_of(part, axis)
        inside = (*places[:axis], clamped(places[axis] + start * -1, size), *places[axis + 1 :])
        start += size
        parts.append((elements.maybe_at(part, inside, [size]), start))
    *others, (last, _) = parts
    return functools.reduce(
        lambda found, each: choose([("slt", places[axis], each[1])], each[0], found), reversed(others), last
    )


@moves("tensor.pad")
def _pad(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    source = op.operands[0]
    low, _ = padding_of(op)
    conditions: list[Condition] = []
    found, cut = [], []
    for d, (place, before) in enumerate(zip(places, map(index_of, low), strict=True)):
        size, inside = size_of(source, d), place + before * -1
        if before == Linear() and size == size_of(op.results[0], d):
            found.append(place)
            continue
        conditions += [("sge", inside, Linear()), ("slt", inside, size)]
        cut.append(size)
        found.append(clamped(inside, size))
    return choose(conditions, elements.maybe_at(source, tuple(found), cut), _of_block(op, places))


@computes("tensor.generate")
def _generate(_elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    return _of_block(op, places)


def _of_block(op: ir.Operation, places: Sequence[Linear]) -> Expression:
    """What a block of places computes."""
    block = op.regions[0].blocks[0]

    def make(_needs: list[ir.Value], positions: Positions) -> ir.Value:
        return rw.inline_block(block, [positions.value(place) for place in places])[0]

    return Expression([], make)
