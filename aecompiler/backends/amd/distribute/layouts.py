"""Layouts: which element of a tile is in which register of which lane of which wave.

All sizes are powers of two, so an index has bits. A layout says for each bit of the number of a register, of
a lane and of a wave which bit of which index it is. What matrix instructions take and give, and what memory
is read by, are such layouts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LANE_BITS = 6
"""Waves have 64 lanes."""

Bit = tuple[int, int]
"""A dimension, and a bit of the index in it."""

Place = Bit | None
"""What a bit of the number of a lane or wave says; None where all have the same."""


def bits_of(size: int) -> int:
    """How many bits an index below `size` has; ValueError for a size that is no power of two."""
    if size < 1 or size & (size - 1):
        raise ValueError(f"expects a size that is a power of two, got {size}")
    return size.bit_length() - 1


@dataclass(frozen=True)
class Layout:
    """Where the elements of a tile of `shape` are; bits of `registers`, `lanes`, `waves` from the lowest on.

    Each bit of each index stands in one place. A tile of no dimensions is the same everywhere.
    """

    shape: tuple[int, ...]
    registers: tuple[Bit, ...]
    lanes: tuple[Place, ...]
    waves: tuple[Place, ...]

    def __post_init__(self) -> None:
        found = sorted(bit for bit in (*self.registers, *self.lanes, *self.waves) if bit is not None)
        wanted = [(dim, bit) for dim, size in enumerate(self.shape) for bit in range(bits_of(size))]
        if found != wanted or len(self.lanes) != LANE_BITS:
            raise ValueError(f"expects each bit of a tile of {self.shape} in one place, got {self}")

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def count(self) -> int:
        """How many elements a lane has."""
        return 1 << len(self.registers)

    def register_index(self, number: int) -> tuple[int, ...]:
        """What a register contributes to the index in each dimension."""
        index = [0] * self.rank
        for place, (dim, bit) in enumerate(self.registers):
            index[dim] |= (number >> place & 1) << bit
        return tuple(index)

    def register_of(self, index: Sequence[int]) -> int:
        """The register of an element that has these bits where registers say them."""
        return sum((index[dim] >> bit & 1) << place for place, (dim, bit) in enumerate(self.registers))

    def without(self, dim: int) -> Layout:
        """The layout of what has one value along a dimension: a reduction, or what is repeated along it."""

        def kept(bit: Place) -> Place:
            return None if bit is None or bit[0] == dim else (bit[0] - (bit[0] > dim), bit[1])

        shape = self.shape[:dim] + self.shape[dim + 1 :]
        registers = tuple(each for each in map(kept, self.registers) if each is not None)
        return Layout(shape, registers, tuple(map(kept, self.lanes)), tuple(map(kept, self.waves)))

    def narrowed(self, dim: int) -> Layout:
        """The same with a dimension of size 1 in place of `dim`."""
        return self.without(dim).with_unit(dim)

    def with_unit(self, dim: int) -> Layout:
        """The same with one more dimension, of size 1."""
        return self.renamed(
            {each: each + (each >= dim) for each in range(self.rank)},
            (*self.shape[:dim], 1, *self.shape[dim:]),
        )

    def permuted(self, order: Sequence[int]) -> Layout:
        """The layout of the transpose whose dimension d is `order[d]` of this."""
        places = {old: new for new, old in enumerate(order)}
        return self.renamed(places, tuple(self.shape[old] for old in order))

    def renamed(self, places: Mapping[int, int], shape: tuple[int, ...]) -> Layout:
        """The same with other numbers for the dimensions."""

        def new(bit: Place) -> Place:
            return None if bit is None else (places[bit[0]], bit[1])

        registers = tuple((places[dim], bit) for dim, bit in self.registers)
        return Layout(shape, registers, tuple(map(new, self.lanes)), tuple(map(new, self.waves)))

    def reshaped(self, shape: Sequence[int]) -> Layout:
        """The layout of the same elements, in the same order, in another shape."""
        names = dict(zip(_bits(self.shape), _bits(shape), strict=True))

        def new(bit: Place) -> Place:
            return None if bit is None else names[bit]

        return Layout(
            tuple(shape),
            tuple(names[bit] for bit in self.registers),
            tuple(map(new, self.lanes)),
            tuple(map(new, self.waves)),
        )

    def same_lanes(self, other: Layout) -> bool:
        """Whether each lane has the elements that it has in `other`, in other registers at most."""
        return (self.lanes, self.waves) == (other.lanes, other.waves)

    def contiguous(self, dim: int) -> int:
        """How many elements that follow each other along `dim` the first registers are."""
        run = 0
        while run < len(self.registers) and self.registers[run] == (dim, run):
            run += 1
        return 1 << run

    def runs_along(self, dim: int, most: int) -> list[list[int]]:
        """Registers in groups whose elements follow each other along `dim`, up to `most` of them."""
        places = {bit: place for place, bit in enumerate(self.registers)}
        chosen: list[int] = []
        while 2 << len(chosen) <= most and (dim, len(chosen)) in places:
            chosen.append(places[dim, len(chosen)])
        others = [place for place in range(len(self.registers)) if place not in chosen]

        def number(value: int, among: list[int]) -> int:
            return sum((value >> n & 1) << place for n, place in enumerate(among))

        return [
            [number(outer, others) | number(within, chosen) for within in range(1 << len(chosen))]
            for outer in range(1 << len(others))
        ]

    def __str__(self) -> str:
        def text(bits: Iterable[Place]) -> str:
            return " ".join("-" if bit is None else f"{'ijklmn'[bit[0]]}{bit[1]}" for bit in bits)

        parts = (f"{name} {text(getattr(self, name))}" for name in ("registers", "lanes", "waves"))
        return f"{self.shape} {'; '.join(parts)}"


def _bits(shape: Sequence[int]) -> list[Bit]:
    """The bits of all indices, in the order of the bits of an element's number."""
    return [(dim, bit) for dim in reversed(range(len(shape))) for bit in range(bits_of(shape[dim]))]


def dealt(shape: Sequence[int], first: Sequence[Bit], waves: int, order: Sequence[int]) -> Layout:
    """The bits `first` in registers, and others in lanes, then waves, and then registers, as `order` says.

    `order` has the dimensions, the one whose bits are dealt first in front.
    """
    left = [(dim, bit) for dim in order for bit in range(bits_of(shape[dim])) if (dim, bit) not in set(first)]
    places: list[Place] = [*left[: LANE_BITS + waves]]
    places += [None] * (LANE_BITS + waves - len(places))
    registers = (*first, *left[LANE_BITS + waves :])
    return Layout(tuple(shape), registers, tuple(places[:LANE_BITS]), tuple(places[LANE_BITS:]))


def dealt_within_waves(shape: Sequence[int], first: Sequence[Bit], waves: int, inner: int) -> Layout:
    """The bits `first` in registers, others in lanes and then registers, but none of dimension 0 in waves.

    Waves have the highest bits of the other dimensions that are left, those of `inner` first, and are alike
    where there are too few.
    """
    order = [inner, *reversed([dim for dim in range(1, len(shape)) if dim != inner])]
    left = [
        (dim, bit) for dim in order if dim for bit in range(bits_of(shape[dim])) if (dim, bit) not in first
    ]
    of_waves = left[max(len(left) - waves, 0) :]
    lanes = left[: len(left) - len(of_waves)]
    lanes += [(0, bit) for bit in range(bits_of(shape[0])) if (0, bit) not in first]
    places: list[Place] = [*lanes[:LANE_BITS], *[None] * (LANE_BITS - len(lanes))]
    alike: list[Place] = [*of_waves, *[None] * (waves - len(of_waves))]
    return Layout(tuple(shape), (*first, *lanes[LANE_BITS:]), tuple(places), tuple(alike))


def blocked(shape: Sequence[int], waves: int, contiguous: int, most: int, other: int | None = None) -> Layout:
    """Lanes that have up to `most` elements next to each other along `contiguous`, as memory is read best.

    With `other` a lane also has up to 4 neighbours along that dimension, where it has enough elements: they
    are written together where that dimension is the one along which elements follow each other.
    """
    elements = math.prod(shape)
    share = max(0, bits_of(elements) - LANE_BITS - waves)
    along_other = 0 if other is None else min(2, bits_of(shape[other]), share)
    if other is not None and share < 2 * along_other:
        along_other = share // 2
    run = min(bits_of(most), bits_of(shape[contiguous]), share - along_other)
    first = [(contiguous, bit) for bit in range(run)]
    if other is not None:
        first += [(other, bit) for bit in range(along_other)]
    order = [contiguous, *reversed([dim for dim in range(len(shape)) if dim != contiguous])]
    return dealt(shape, first, waves, order)


def uniform(waves: int) -> Layout:
    """The layout of a number."""
    return Layout((), (), (None,) * LANE_BITS, (None,) * waves)
