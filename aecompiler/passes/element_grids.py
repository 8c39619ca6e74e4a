"""Grids that compute tensors around attention: a program for each tile of a result (`attn-tile-tensors`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.element_tiles import Range, Space, range_of, tiles_of
from aecompiler.passes.region_safety import may_be_empty, nonempty
from aecompiler.passes.tensor_elements import Expression
from aecompiler.passes.tensor_parts import Indices, Linear

TILE = 2048
"""The elements of a tile."""

MOST_COLUMNS = 128
"""The most elements of a row of a tile that has several."""


@dataclasses.dataclass(frozen=True)
class Target:
    """The tensors that a grid makes: their types, and their sizes, which are equal."""

    types: Sequence[ir.RankedTensorType]
    sizes: Sequence[Linear]

    @property
    def elements(self) -> list[ir.Type]:
        """The types of elements."""
        return [each.element_type for each in self.types]

    @property
    def long(self) -> list[int]:
        """The loops that may have more than one index."""
        return [number for number, size in enumerate(self.sizes) if size.number != 1]


Program = Callable[[Space, Sequence[int]], list[ir.Value]]
"""Builds the tiles of the results in a space, with the loops of their dimensions."""


def make_grid(
    target: Target, blocks: Mapping[int, int], guarded: set[ir.Value], program: Program
) -> list[ir.Value]:
    """The tensors, made by `program` in tiles of `blocks`, by loop; other loops have one index in a tile."""
    outer = Indices()

    def build(size: Linear) -> ir.Value:
        built = outer.build(size)
        return rw.index(built) if isinstance(built, int) else built

    sizes = [build(size) for size in target.sizes]
    sources = {each: nonempty(each, []) for each in guarded if may_be_empty(each)}
    starts = [
        tensor.empty([outer.build(size) for size in target.sizes], element) for element in target.elements
    ]
    order = sorted(blocks)
    others = [number for number in target.long if number not in blocks]
    cut = [number for number in order if target.sizes[number].number != blocks[number]]
    bounds = [sizes[number] for number in others]
    bounds += [arith.ceildivui(sizes[number], rw.index(blocks[number])) for number in cut]

    def body(indices: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
        zero = rw.index(0)
        single = {number: zero for number in range(len(sizes)) if number not in blocks}
        single.update(zip(others, indices, strict=False))
        tiles = dict(zip(cut, indices[len(others) :], strict=False))
        ranges = {n: range_of(tiles.get(n), sizes[n], blocks[n]) for n in order}
        space = Space(single, ranges, sources)
        return [
            _stored(value, out, single, ranges)
            for value, out in zip(program(space, order), outs, strict=True)
        ]

    return rw.forall(bounds or [rw.index(1)], starts, body)


def _stored(
    value: ir.Value, out: ir.Value, single: Mapping[int, ir.Value], ranges: Mapping[int, Range]
) -> rw.Part:
    """A tile and its place."""
    counts = [each.count for _, each in sorted(ranges.items())]
    if not all(each.is_full for each in ranges.values()):
        value = rw.cut(value, [0] * len(counts), counts, [1] * len(counts))
    rank = len(single) + len(ranges)
    offsets = [ranges[d].first if d in ranges else single[d] for d in range(rank)]
    sizes = [ranges[d].count if d in ranges else 1 for d in range(rank)]
    return value, out, offsets, sizes


def at_most(size: Linear, most: int) -> int:
    """All of a size, if that is no more than the most; at least 1."""
    return most if size.number is None else max(1, min(most, size.number))


def tile_blocks(target: Target, columns: int | None = None) -> dict[int, int]:
    """Sizes of a tile: of the last dimension, or of the one given, and of the last one before it."""
    if not target.long:
        return {}
    columns = target.long[-1] if columns is None else columns
    before = [number for number in target.long if number < columns]
    most = MOST_COLUMNS if before else TILE // 2
    found = {columns: at_most(target.sizes[columns], most)}
    if before:
        rows = max(1, TILE // max(found[columns], 16))
        found[before[-1]] = at_most(target.sizes[before[-1]], rows)
    return found


def elementwise(target: Target, expressions: Sequence[Expression], guarded: set[ir.Value]) -> list[ir.Value]:
    """Tensors of which each element is computed on its own; loop n is their dimension n."""
    return make_grid(
        target,
        tile_blocks(target),
        guarded,
        lambda space, order: tiles_of(expressions, target.elements, order, space),
    )
