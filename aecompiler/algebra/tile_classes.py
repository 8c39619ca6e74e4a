"""Which tiles of a mask are empty, full or partial, from the mask as a formula.

For the rows of a tile let P be the keys that some row attends to, and N those that some row does not. Both
are unions of bands (`bands.py`): of the alternatives of the mask, and of those of its negation. A tile of
keys is empty if it misses P, full if it misses N and lies within the keys that exist, and partial otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

from aecompiler.algebra.arithmetic import Bool, Int, subtract
from aecompiler.algebra.bands import Band, Rows, literal_holds
from aecompiler.algebra.formulas import Formula, Literal, alternatives, negation
from aecompiler.algebra.integers import Read
from aecompiler.algebra.ranges import Range, Union, intersection
from aecompiler.algebra.solving import band_of, reads_of

_ALTERNATIVES = 32
"""Formulas of more alternatives count as unknown."""
_MOST_FULL, _MOST_PARTIAL = 3, 6
"""Masks that would need more ranges have each tile tested."""


@dataclass(frozen=True)
class TileRanges:
    """Ranges of tiles along the keys, half-open and disjoint: the tiles that are not empty.

    If tiles have to be tested, there are no full ones, and `partial` is one range around all that matter.
    """

    full: tuple[Range, ...]
    partial: tuple[Range, ...]


@dataclass(frozen=True)
class TileClasses:
    """The bands of a mask and of its negation, and what must hold for them to be right."""

    unmasked: tuple[Band, ...]
    masked: tuple[Band, ...]
    guards: tuple[Literal, ...] = ()
    """Where one of them does not hold, all tiles are partial."""
    limit: int | None = None
    """All tiles are partial where there are more positions than this."""

    @cached_property
    def needs_test(self) -> bool:
        """Whether ranges can't tell: each tile has to be tested."""
        if not all(band.is_closed for band in (*self.unmasked, *self.masked)):
            return True
        full, partial = self._counts
        return full > _MOST_FULL or partial > _MOST_PARTIAL

    @cached_property
    def takes_loop(self) -> bool:
        """Whether `test` has a loop, but for what is read of tensors."""
        return any(band.takes_loop for band in (*self.unmasked, *self.masked))

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """The elements of tensors at positions that `test` asks for the extremes of."""
        bands = (*self.unmasked, *self.masked)
        literals = (literal for band in bands for literal in band.ranged)
        found = (read for literal in literals for read in reads_of(literal))
        return tuple(dict.fromkeys(found))

    @property
    def is_guarded(self) -> bool:
        """Whether something has to be checked at run time."""
        return bool(self.guards) or self.limit is not None

    @property
    def full_count(self) -> int:
        """The number of full ranges of each row of tiles."""
        return 0 if self.needs_test else self._counts[0]

    @property
    def partial_count(self) -> int:
        """The number of partial ranges of each row of tiles."""
        return 1 if self.needs_test else max(self._counts[1], self.is_guarded)

    @property
    def _counts(self) -> tuple[int, int]:
        def count(bands: Sequence[Band], outside: bool = False) -> tuple[int, int]:
            head = any(band.starts_at_zero for band in bands)
            tail = outside or any(band.ends_at_last and not band.starts_at_zero for band in bands)
            middle = sum(not (band.starts_at_zero or band.ends_at_last) for band in bands)
            return head + tail + middle, 1 + middle

        parts, gaps = count(self.masked, outside=True)
        return gaps, count(self.unmasked)[0] * parts

    def ranges(self, rows: Rows, block: int) -> TileRanges:
        """The ranges of tiles of `block` keys."""
        on = rows.on
        tiles = on.quotient(on.add(rows.keys, block - 1), block)
        unmasked = _tiles(self.unmasked, rows, block, tiles)
        sound = self._is_sound(rows)
        if self.needs_test:
            begin, end = unmasked.hull(on)
            return TileRanges((), ((on.choose(sound, begin, 0), on.choose(sound, end, tiles)),))
        masked = _tiles(self.masked, rows, block, tiles)
        masked.tails.append(on.quotient(rows.keys, block))
        parts, full = masked.parts(on)
        partial = [intersection(on, a, b) for a in unmasked.parts(on)[0] for b in parts]
        if self.is_guarded:
            full, partial = (
                [tuple(on.choose(sound, each, 0) for each in ends) for ends in ranges]
                for ranges in (full, partial)
            )
            if partial:
                partial[0] = (partial[0][0], on.choose(sound, partial[0][1], tiles))
            else:
                partial = [(0, on.choose(sound, 0, tiles))]
        return TileRanges(tuple(full), tuple(partial))

    def test(self, rows: Rows, tile: Int, block: int) -> tuple[Bool, Bool]:
        """Whether a tile is not empty, and whether it is full. Exact where nothing is ranged or unknown."""
        on = rows.on
        first = on.multiply(tile, block)
        after = on.add(first, block)
        last = subtract(on, on.minimum(after, rows.keys), 1)
        unmasked, masked = (
            reduce(on.either, [band.meets(rows, first, last) for band in bands], False)
            for bands in (self.unmasked, self.masked)
        )
        sound = self._is_sound(rows)
        full = on.both(on.at_most(after, rows.keys), on.opposite(masked))
        return on.either(unmasked, on.opposite(sound)), on.both(sound, full)

    def _is_sound(self, rows: Rows) -> Bool:
        on = rows.on
        held = [literal_holds(guard, on, rows.symbols) for guard in self.guards]
        if self.limit is not None:
            held += [on.at_most(rows.keys, self.limit), on.at_most(rows.last, self.limit)]
        return reduce(on.both, held, True)


def tile_classes(
    mask: Formula, guards: Sequence[Literal] = (), limit: int | None = None, *, packed: bool = False
) -> TileClasses:
    """Analyse a mask; `packed`: the rows of a tile may be of several heads."""
    return TileClasses(_bands(mask, packed), _bands(negation(mask), packed), tuple(guards), limit)


def _bands(formula: Formula, packed: bool) -> tuple[Band, ...]:
    found = alternatives(formula, _ALTERNATIVES)
    if found is None:
        return (Band(unknown=True),)
    bands = [band_of(literals, packed=packed) for literals in sorted(found, key=_order)]
    return tuple(dict.fromkeys(band for band in bands if band is not None))


def _order(literals: frozenset[Literal]) -> list[str]:
    return sorted(map(str, literals))


def _tiles(bands: Sequence[Band], rows: Rows, block: int, tiles: Int) -> Union:
    """The tiles that bands meet, or more where they are not closed."""
    on = rows.on
    found = Union(tiles)
    for band in bands:
        holds = band.holds(rows)
        first, last = band.interval(rows)
        begin = on.quotient(first, block)
        end = on.add(on.quotient(last, block), 1)
        if band.starts_at_zero and band.ends_at_last:
            found.heads.append(on.choose(holds, tiles, 0))
        elif band.starts_at_zero:
            found.heads.append(on.choose(holds, on.maximum(end, 0), 0))
        elif band.ends_at_last:
            holds = on.both(holds, on.at_most(on.add(first, 1), rows.keys))
            found.tails.append(on.choose(holds, begin, tiles))
        else:
            holds = on.both(holds, on.at_most(first, last))
            found.middle.append((on.choose(holds, begin, 0), on.choose(holds, end, 0)))
    return found


def tile_map(classes: TileClasses, rows: Sequence[Rows], block: int) -> list[list[str]]:
    """The class of each tile, "empty", "partial" or "full", for rows of plain numbers."""
    grid = []
    for each in rows:
        count = -(-each.keys // block)
        line = ["empty"] * count
        ranges = classes.ranges(each, block)
        for kind, found in (("full", ranges.full), ("partial", ranges.partial)):
            for begin, end in found:
                line[begin:end] = [kind] * (end - begin)
        if classes.needs_test:
            for tile, kind in enumerate(line):
                if kind != "empty":
                    nonempty, full = classes.test(each, tile, block)
                    line[tile] = "full" if full else "partial" if nonempty else "empty"
        grid.append(line)
    return grid
