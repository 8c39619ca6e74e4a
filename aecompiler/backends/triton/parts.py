"""Parts of tiles in registers, as halves of features that are rotated: taken and put together by gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.tiles import Tile
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import UnsupportedTile


@dataclass(frozen=True)
class Part:
    """A part of a tile: element p of dimension d is element offsets[d] + p * steps[d] of the tile."""

    offsets: tuple[int, ...]
    steps: tuple[int, ...]
    shape: tuple[int, ...]

    def is_beginning(self, axis: int) -> bool:
        """Whether the dimension has elements of the tile from the first on, without steps."""
        return self.offsets[axis] == 0 and self.steps[axis] == 1


def part_of(op: ir.Operation, shape: tuple[int, ...]) -> Part:
    """The part of a tile that a slice of this shape reads or replaces."""
    offsets, steps = (tuple(op.attributes[f"static_{each}"]) for each in ("offsets", "strides"))
    if rw.DYNAMIC in (*offsets, *steps) or len(offsets) != len(shape):
        raise UnsupportedTile("a part of a tile at places that are computed, or of fewer dimensions")
    return Part(offsets, steps, shape)


def take(tile: Tile, part: Part, padded: Sequence[int]) -> Tile:
    """A part of a tile, whose shape in registers is `padded`."""
    if tile.value is None:
        return Tile(None, tile.everywhere, part.shape)
    value = tile.value
    for axis, size in enumerate(padded):
        old = tt.shape_of(value)
        if part.is_beginning(axis) and old[axis] == size:
            continue
        place = ln.compute("muli", _positions(size), ln.constant(part.steps[axis]), (size,))
        place = ln.compute("addi", place, ln.constant(part.offsets[axis]), (size,))
        value = _gathered(value, axis, ln.compute("minsi", place, ln.constant(old[axis] - 1), (size,)))
    return Tile(value, None, part.shape)


def put(small: Tile, tile: Tile, part: Part, padded: Sequence[int], own: Sequence[int]) -> Tile:
    """A tile, of shape `padded` in registers, with a part of it replaced; `own` is that of the part.

    The part has no steps.
    """
    loops = tuple(range(len(padded)))
    inside: list[Lanes] = []
    value = small.whole(own)
    for axis, size in enumerate(padded):
        offset, count = part.offsets[axis], part.shape[axis]
        is_whole = offset == 0 and count == tile.shape[axis]
        if is_whole and own[axis] == size:
            continue
        place = ln.compute("subi", _positions(size), ln.constant(offset), (size,))
        if not is_whole:
            starts = ln.less(place, ln.constant(0), (size,))
            ends = ln.less(place, ln.constant(count), (size,))
            within = arith.andi(ends.value, arith.xori(starts.value, tt.constant(starts.value.type, 1)))
            inside.append(Lanes(within, (axis,)))
        if small.value is not None:
            place = ln.compute("maxsi", place, ln.constant(0), (size,))
            place = ln.compute("minsi", place, ln.constant(own[axis] - 1), (size,))
            value = Lanes(_gathered(value.value, axis, place), loops)
    if small.value is None:
        value = small.lanes(loops)
    old = tile.lanes(loops)
    for condition in inside[1:]:
        (a, b), both = ln.together([inside[0], condition], padded)
        inside[0] = Lanes(arith.andi(a.value, b.value), both)
    if inside:
        value = ln.choose(inside[0], value, old, padded)
    return Tile(ln.spread(value, loops, padded).value, None, tile.shape)


def put_at(
    small: Tile, tile: Tile, kept: Sequence[int], places: Mapping[int, Lanes], padded: Sequence[int]
) -> Tile:
    """A tile, of shape `padded` in registers, with what stands at `places` of some dimensions replaced.

    The part has the other dimensions, `kept`, whole.
    """
    loops = tuple(range(len(padded)))
    value, old = small.lanes(tuple(kept)), tile.lanes(loops)
    for axis, place in places.items():
        here = ln.equal(Lanes(_positions(padded[axis]).value, (axis,), (0, padded[axis] - 1)), place, padded)
        value = ln.choose(here, value, old, padded)
    return Tile(ln.spread(value, loops, padded).value, None, tile.shape)


def element(tile: Tile, places: Sequence[Lanes]) -> Lanes:
    """One element of a tile: the sum of all, of which those at other places are taken for 0."""
    if tile.value is None:
        return tile.lanes(())
    value = tile.value
    if tile.merged > 1:
        raise UnsupportedTile("an element of a tile whose dimensions are one in registers")
    for place in reversed(places):
        *_, size = shape = tt.shape_of(value)
        axis, kind = len(shape) - 1, tt.element_of(value)
        is_float = not isinstance(kind, ir.IntegerType)
        positions = Lanes(_positions(size).value, (axis,), (0, size - 1))
        zero = Lanes(tt.constant(kind, 0.0 if is_float else 0))
        loops = tuple(range(len(shape)))
        chosen = ln.choose(ln.equal(positions, place, shape), Lanes(value, loops), zero, shape)
        value = tt.reduce(ln.spread(chosen, loops, shape).value, axis, arith.addf if is_float else arith.addi)
    return Lanes(value)


def _positions(size: int) -> Lanes:
    return ln.number(tt.make_range(size), (0,), (0, size - 1))


def _gathered(value: ir.Value, axis: int, place: Lanes) -> ir.Value:
    """The elements at places along an axis."""
    shape = list(tt.shape_of(value))
    (shape[axis],) = tt.shape_of(place.value)
    loops = tuple(range(len(shape)))
    return tt.gather(value, ln.spread(Lanes(place.value, (axis,)), loops, shape).value, axis)
