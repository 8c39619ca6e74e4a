"""Tiles of tensors that are computed element by element: the loops of a program of a grid, and slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tensor_elements import Expression, Loop, Positions, loops_of
from aecompiler.passes.tensor_parts import Linear


@dataclasses.dataclass(frozen=True)
class Range:
    """The part of a loop in a tile: the first index, how many there are, and the static size of the tile."""

    first: ir.Value
    count: int | ir.Value
    block: int

    @property
    def is_full(self) -> bool:
        """Whether there are always as many as the tile has."""
        return self.count == self.block

    @property
    def is_exact(self) -> bool:
        """Whether targets compute nothing beyond it: they round tiles up to powers of two of 16 or more."""
        return self.is_full and self.block >= 16 and self.block & (self.block - 1) == 0


def range_of(number: ir.Value | None, size: ir.Value, block: int) -> Range:
    """The range of a loop with the number of a tile, None for the only one; there must be some of it."""
    if number is None:
        return Range(rw.index(0), block, block)
    first = arith.muli(number, rw.index(block))
    known = rw.constant_value(size)
    if known is not None and known % block == 0:
        return Range(first, block, block)
    return Range(first, arith.minui(arith.subi(size, first), rw.index(block)), block)


@dataclasses.dataclass(frozen=True)
class Space:
    """The loops around a tile: `single` have one index in it, `ranges` are dimensions of tiles."""

    single: Mapping[int, ir.Value]
    ranges: Mapping[int, Range]
    sources: Mapping[ir.Value, ir.Value]
    """Tensors that are read in the place of others."""

    def within(self, single: Mapping[int, ir.Value], ranges: Mapping[int, Range]) -> Space:
        """The space with more loops."""
        return dataclasses.replace(self, single={**self.single, **single}, ranges={**self.ranges, **ranges})

    def before(self) -> Positions:
        """Positions of the first element of a tile."""
        loops: dict[int, Callable[[], ir.Value]] = {
            number: lambda value=value: value  # type: ignore[misc]
            for number, value in self.single.items()
        }
        loops.update(
            {number: lambda each=each: each.first for number, each in self.ranges.items()}  # type: ignore[misc]
        )
        return Positions(loops, self.sources)

    def inside(self, order: Sequence[int]) -> Positions:
        """Positions in the body of an operation on a tile whose dimensions are the loops `order`.

        Beyond the elements that there are stands the last one: what is read there is in the tensor.
        """

        def position(number: int) -> ir.Value:
            each = self.ranges[number]
            place = rw.loop_index(order.index(number))
            if not each.is_exact:
                count = rw.index(each.count) if isinstance(each.count, int) else each.count
                place = arith.minui(place, arith.subi(count, rw.index(1)))
            return arith.addi(each.first, place)

        loops: dict[int, Callable[[], ir.Value]] = {
            number: lambda value=value: value  # type: ignore[misc]
            for number, value in self.single.items()
        }
        loops.update({number: lambda number=number: position(number) for number in order})  # type: ignore[misc]
        return Positions(loops, self.sources)

    def is_inside(self, number: int, order: Sequence[int]) -> ir.Value:
        """In such a body: whether the index of a loop is one that there is."""
        each = self.ranges[number]
        count = rw.index(each.count) if isinstance(each.count, int) else each.count
        return arith.cmpi(arith.CmpIPredicate.ult, rw.loop_index(order.index(number)), count)


def sliced_loops(expression: Expression, order: Sequence[int], space: Space) -> list[int] | None:
    """The loops of a tile that the dimensions of a slice are, if an element is read, and lies in one.

    Each dimension has one loop of the tile, from some place on, or none; None for other places.
    """
    if expression.read is None or expression.read[0] in space.sources:
        return None
    places = expression.read[1]
    found: list[int] = []
    for place in places:
        inner = loops_of(place) & set(order)
        if not inner:
            continue
        terms = [(symbol, factor) for symbol, factor in place.terms if isinstance(symbol, Loop)]
        moving = [each for each in terms if each[0].number in inner]
        if len(inner) != 1 or len(moving) != 1 or moving[0][1] != 1:
            return None
        rest = place + Linear(0, ((moving[0][0], -1),))
        if loops_of(rest) & set(order) or moving[0][0].number in found:
            return None
        found.append(moving[0][0].number)
    return found


def _slice(expression: Expression, loops: Sequence[int], space: Space) -> ir.Value:
    """The tile of a tensor's elements, with zeros where there are none."""
    assert expression.read is not None
    value, places = expression.read
    positions = space.before()
    offsets = [positions.build(place) for place in places]
    sizes: list[int | ir.Value] = []
    kept: list[int] = []
    ranges: list[Range] = []
    for d, place in enumerate(places):
        inner = loops_of(place) & set(loops)
        sizes.append(1)
        if inner:
            ranges.append(space.ranges[next(iter(inner))])
            sizes[d] = ranges[-1].count
            kept.append(d)
    tile = rw.extract_slice(value, offsets, sizes, kept)
    if all(each.is_full for each in ranges):
        return tile
    high = [
        0 if isinstance(each.count, int) else arith.subi(rw.index(each.block), each.count) for each in ranges
    ]
    shaped = ir.RankedTensorType.get([each.block for each in ranges], value.type.element_type)
    return rw.pad(tile, shaped, [0] * len(high), high, rw.constant(shaped.element_type, 0))


def slices(
    expressions: Sequence[Expression], order: Sequence[int], space: Space
) -> dict[Expression, list[int]]:
    """The elements in memory that tiles of `order` are slices of, with the loops of their dimensions."""
    found: dict[Expression, list[int]] = {}
    for each in dict.fromkeys(inner for outer in expressions for inner in outer.every()):
        if loops := sliced_loops(each, order, space):
            found[each] = loops
    return found


Combine = Callable[[list[ir.Value], list[ir.Value]], list[ir.Value]]
"""From elements, and what a result holds, to what it then holds."""


def compute(
    expressions: Sequence[Expression],
    order: Sequence[int],
    space: Space,
    outs: Sequence[ir.Value],
    out_order: Sequence[int],
    combine: Combine,
) -> list[ir.Value]:
    """One `linalg.generic` over the loops `order` that puts what `combine` makes of elements into `outs`."""
    read = slices(expressions, order, space)
    number = {each: n for n, each in enumerate(order)}
    ins = [(_slice(each, loops, space), [number[loop] for loop in loops]) for each, loops in read.items()]
    iterators = "".join("p" if each in out_order else "r" for each in order)

    def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
        positions = space.inside(order)
        built = dict(zip(read, inputs, strict=True))
        return combine([each.build(positions, built) for each in expressions], outputs)

    return rw.generic(ins, [(out, [number[loop] for loop in out_order]) for out in outs], iterators, body)


def tiles_of(
    expressions: Sequence[Expression], types: Sequence[ir.Type], order: Sequence[int], space: Space
) -> list[ir.Value]:
    """Tiles of elements, whose dimensions are the loops `order`."""
    shape = [space.ranges[number].block for number in order]
    outs = [tensor.empty(shape, element) for element in types]
    return compute(expressions, order, space, outs, order, lambda values, _outputs: values)


def factor(
    expression: Expression, element: ir.Type, order: Sequence[int], summed: int, space: Space
) -> tuple[ir.Value, Sequence[int]]:
    """A tile of a factor of a product, 0 where the summed loop has ended, and the loops of its dimensions.

    These are `order`, or in the order in memory.
    """
    loops = sliced_loops(expression, order, space)
    if loops is not None and set(loops) == set(order):
        return _slice(expression, loops, space), loops
    shape = [space.ranges[number].block for number in order]

    def inside(values: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
        if space.ranges[summed].is_full:
            return values
        return [arith.select(space.is_inside(summed, order), values[0], rw.constant(element, 0))]

    return compute([expression], order, space, [tensor.empty(shape, element)], order, inside)[0], order
