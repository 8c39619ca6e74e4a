"""Tensors in global memory: the parameters of a kernel for them, pointers, loads and stores."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.kernel_abi import ALIGNMENT, ITEM_BYTES, parameter_types
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.bindings import arith, ir
from aecompiler.passes.structured_ops import UnsupportedTile


@dataclass(frozen=True)
class Global:
    """A tensor in global memory: a pointer, and the strides in elements of all dimensions but the last.

    The elements of the last dimension follow one another. `argument` is its position among the arguments.
    """

    argument: int
    element: ir.Type
    pointer: ir.Value
    strides: tuple[ir.Value, ...]


def parameters_of(type_: ir.Type) -> tuple[list[ir.Type], list[int]]:
    """The types of the parameters for an argument of a launch, and what each is a multiple of."""
    if not isinstance(type_, ir.RankedTensorType):
        return [ir.Type.parse(each) for each in parameter_types(str(type_), None)], [1]
    dtype = str(type_.element_type)
    types = [ir.Type.parse(each) for each in parameter_types(dtype, type_.rank)]
    return types, [ALIGNMENT, *[ALIGNMENT // ITEM_BYTES[dtype]] * (len(types) - 1)]


def memory_of(argument: int, element: ir.Type, parameters: Sequence[ir.Value]) -> Global:
    """The tensor that the parameters for an argument stand for."""
    pointer, *strides = parameters
    return Global(argument, element, pointer, tuple(strides))


@dataclass(frozen=True)
class Region:
    """A part of a tensor in memory: where it begins, and which dimensions it has, with their sizes.

    `kept` are the dimensions of the tensor that are left, `sizes` those of the tile along them, `limits` how
    many elements of each there are, None for all of the tile. The first `merged` of them are one dimension of
    the tile in registers (`Tile`); `padded` are the sizes there.
    """

    memory: Global
    offsets: tuple[Lanes, ...]
    kept: tuple[int, ...]
    sizes: tuple[int, ...]
    padded: tuple[int, ...]
    limits: tuple[Lanes | None, ...]
    merged: int = 1

    def pointers(self) -> tuple[ir.Value, ir.Value | None]:
        """Pointers to the tile, and the mask of what there is of it (None for all)."""
        positions, padded = tile_positions(self.sizes, self.merged, self.padded), self.padded
        places = list(self.offsets)
        terms: list[list[Lanes]] = [[place] for place in places]
        for axis, position in zip(self.kept, positions, strict=True):
            terms[axis].append(position)
        loops = tuple(range(len(padded)))
        pointers = ln.spread(_pointers(self.memory, terms, padded), loops, padded).value
        masks = []
        for position, size, limit in zip(positions, self.sizes, self.limits, strict=True):
            if limit is not None:
                masks.append(ln.less(position, limit, padded))
            assert position.range is not None
            if position.range[1] >= size:
                masks.append(ln.less(position, ln.constant(size), padded))
        if not masks:
            return pointers, None
        mask = masks[0]
        for other in masks[1:]:
            (a, b), both = ln.together([mask, other], padded)
            mask = Lanes(arith.andi(a.value, b.value), both)
        return pointers, ln.spread(mask, loops, padded).value

    def load(self) -> ir.Value:
        """The tile; 0 where there is nothing."""
        pointers, mask = self.pointers()
        stored = tt.pointee(tt.element_of(pointers))
        other = None if mask is None else tt.constant(tt.typed(self.padded, stored), 0)
        return as_element(tt.load(pointers, mask, other), self.memory.element)

    def store(self, value: ir.Value) -> None:
        """Write the tile where there is something of it."""
        pointers, mask = self.pointers()
        tt.store(pointers, as_stored(value), mask)


def tile_positions(shape: Sequence[int], merged: int, padded: Sequence[int]) -> list[Lanes]:
    """The positions along each dimension of a tile, as far as registers go.

    The first `merged` dimensions are one in registers, where sizes are `padded`.
    """
    found = [ln.number(tt.make_range(n), (d,), (0, n - 1)) for d, n in enumerate(padded)]
    if merged > 1:
        found[:1] = ln.digits(found[0], shape[:merged], padded)
    return found


def gather(
    memory: Global, places: Sequence[Lanes], sizes: Sequence[int], inside: Sequence[Lanes] = ()
) -> Lanes:
    """The elements at `places`, one for each dimension, where all of `inside` hold; 0 elsewhere."""
    pointers = _pointers(memory, [[place] for place in places], sizes)
    if not inside:
        return Lanes(as_element(tt.load(pointers.value), memory.element), pointers.loops)
    # a place that is 0 everywhere moves no pointer, but there is still where it holds
    (first, *masks), loops = ln.together([pointers, *inside], sizes)
    mask = functools.reduce(arith.andi, [each.value for each in masks])
    other = tt.constant(tt.typed(tt.shape_of(mask), tt.pointee(tt.element_of(first.value))), 0)
    return Lanes(as_element(tt.load(first.value, mask, other), memory.element), loops)


def as_element(value: ir.Value, element: ir.Type) -> ir.Value:
    """What was loaded as the element type of the tensor: a bit is a byte in memory."""
    if element != tt.integer(1):
        return value
    return arith.cmpi(arith.CmpIPredicate.ne, value, tt.constant(value.type, 0))


def as_stored(value: ir.Value) -> ir.Value:
    """A value as it stands in memory."""
    if tt.element_of(value) != tt.integer(1):
        return value
    return arith.extui(tt.typed(tt.shape_of(value), tt.integer(8)), value)


def _pointers(memory: Global, places: Sequence[Sequence[Lanes]], sizes: Sequence[int]) -> Lanes:
    """Pointers to the elements at the sums of `places`, by dimension.

    Offsets that are the same for all elements are added first, as scalars of 64 bits, then those of a row,
    and so on.
    """
    if len(memory.strides) != max(len(places) - 1, 0):
        raise UnsupportedTile("a tensor with other dimensions than its places")
    terms: list[Lanes] = []
    for axis, summands in enumerate(places):
        for place in summands:
            if place.range == (0, 0):
                continue
            if axis == len(places) - 1:
                terms.append(place)
                continue
            stride = tt.splat(memory.strides[axis], tt.shape_of(place.value))
            terms.append(Lanes(arith.muli(ln.wide(place), stride), place.loops))
    pointer = Lanes(memory.pointer)
    by_loops: dict[tuple[int, ...], Lanes] = {}
    for term in terms:
        known = by_loops.get(term.loops)
        by_loops[term.loops] = term if known is None else _sum(known, term)
    for loops in sorted(by_loops, key=lambda each: (len(each), [-loop for loop in each])):
        both = tuple(sorted({*pointer.loops, *loops}))
        base, offset = (ln.spread(each, both, sizes) for each in (pointer, by_loops[loops]))
        pointer = Lanes(tt.addptr(base.value, offset.value), both)
    return pointer


def _sum(a: Lanes, b: Lanes) -> Lanes:
    if a.range is not None and b.range is not None:
        return ln.compute("addi", a, b, ())
    return Lanes(arith.addi(ln.wide(a), ln.wide(b)), a.loops)
