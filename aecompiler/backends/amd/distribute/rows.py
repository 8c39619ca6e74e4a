"""How a tile that goes through local memory lies there: whole rows, with gaps after some of them.

The place of an element is a sum: each bit of each index that is set adds a number of its own, its *weight*.
So what registers add is a constant, and what lanes add is computed once, before any loop. Rows follow each
other in their order; there may be a gap after each row, and another one after each block of 2^n rows. The
first keeps lanes that are at neighbouring rows out of each other's banks, the second lanes that are at rows
further apart, as those that write a transposed tile are while those that read it are at neighbours.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aecompiler.backends.amd.banks import BANK_BYTES, conflict_cycles
from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Bit, Layout, bits_of

WIDEST_BITS = 128
"""The most that a lane reads or writes at a time."""


@dataclass(frozen=True)
class Rows:
    """Where the elements of a tile are, in elements: `weights` of the bits of indices, `size` up to the last.

    Elements follow each other along `inner`.
    """

    inner: int
    weights: Mapping[Bit, int]
    size: int

    def widest(self, bits: int) -> int:
        """How many elements of so many bits that begin where there is a row can be accessed together."""
        outer = [weight for (dim, _), weight in self.weights.items() if dim != self.inner]
        return math.gcd(WIDEST_BITS // bits, *outer)

    def shift(self, layout: Layout, register: int) -> int:
        """What a register adds to the place of the first."""
        index = layout.register_index(register)
        return sum(weight for (dim, bit), weight in self.weights.items() if index[dim] >> bit & 1)

    def factors(self, dim: int) -> list[tuple[int, int]]:
        """What an index in a dimension adds: the sum of (index >> n) * factor for these (n, factor)."""
        found: list[tuple[int, int]] = []
        before = 0
        for bit in range(sum(each == dim for each, _ in self.weights)):
            weight = self.weights[dim, bit]
            if weight != 2 * before:
                found.append((bit, weight - 2 * before))
            before = weight
        return found

    def lane_places(self, layout: Layout) -> list[int]:
        """The places of the first registers of all lanes of the first wave."""
        own = [0 if place is None else self.weights[place] for place in layout.lanes]
        return [
            sum(weight for bit, weight in enumerate(own) if lane >> bit & 1) for lane in range(1 << LANE_BITS)
        ]


@functools.cache
def choose_rows(writer: Layout, reader: Layout, inner: int, bits: int, banks: int) -> Rows:
    """The rows of a tile of elements of `bits` with the fewest conflicts when it is read, and then written.

    Of those the ones with the fewest instructions for addresses, and then the fewest bytes.
    """

    def effort(rows: Rows) -> tuple[int, int]:
        return _terms(rows, writer) + _terms(rows, reader), rows.size

    candidates = sorted(_candidates(writer.shape, reader, inner, bits, banks), key=effort)
    found: dict[tuple[int, int], Rows] = {}
    for rows in candidates:
        reads = _conflicts(rows, reader, bits, banks, writes=False)
        writes = _conflicts(rows, writer, bits, banks, writes=True)
        found.setdefault((reads, writes), rows)
        if not reads and not writes:
            break
    return found[min(found)]


def _candidates(shape: tuple[int, ...], reader: Layout, inner: int, bits: int, banks: int) -> Iterator[Rows]:
    """Rows without gaps, with one kind of them and with two.

    Gaps are multiples of what the reader reads at a time, which so stays aligned, up to those of all banks.
    """
    dims = [dim for dim in reversed(range(len(shape))) if dim != inner]
    outer = [(dim, bit) for dim in dims for bit in range(bits_of(shape[dim]))]
    unit = max(min(reader.contiguous(inner), WIDEST_BITS // bits), BANK_BYTES * 8 // bits)
    most = banks * BANK_BYTES * 8 // bits
    yield _rows(shape, inner, outer, {})
    if not outer:
        return
    few = [unit << n for n in range(bits_of(max(1, most // unit)))]
    for after in range(len(outer)):
        for gap in range(unit, most, unit):
            yield _rows(shape, inner, outer, {after: gap})
        for gap in few:
            for more in range(after + 1, len(outer)):
                yield from (_rows(shape, inner, outer, {after: gap, more: other}) for other in few)


def _rows(shape: tuple[int, ...], inner: int, outer: list[Bit], gaps: Mapping[int, int]) -> Rows:
    """Rows with gaps after each 2^n of them, by n."""
    weights: dict[Bit, int] = {(inner, bit): 1 << bit for bit in range(bits_of(shape[inner]))}
    block = shape[inner]
    for number, bit in enumerate(outer):
        weights[bit] = block = block + gaps.get(number, 0)
        block *= 2
    return Rows(inner, weights, 1 + sum(weights.values()))


def _terms(rows: Rows, layout: Layout) -> int:
    """How many products the place of a lane of its wave is the sum of."""
    varying = [place for place in (*layout.lanes, *layout.waves) if place is not None]
    return sum(
        any(own == dim and bit >= first for own, bit in varying)
        for dim in range(layout.rank)
        for first, _ in rows.factors(dim)
    )


def _conflicts(rows: Rows, layout: Layout, bits: int, banks: int, *, writes: bool) -> int:
    """Conflict cycles of all accesses of a wave: each is elsewhere in the same way as the first."""
    runs = layout.runs_along(rows.inner, rows.widest(bits))
    places = [place * bits // 8 for place in rows.lane_places(layout)]
    return len(runs) * conflict_cycles(places, banks, len(runs[0]) * bits // 8, writes)
