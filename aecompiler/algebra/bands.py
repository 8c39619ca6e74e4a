"""Sets of (row, key) pairs that one alternative of a mask's normal form describes, projected onto the keys.

A band is `lower(i) <= j <= upper(i)` for rows and keys of a range, with whatever else its literals say. The
keys that some row of a tile meets are an interval, known in closed form, in three cases:

- the bounds are differences, `i + c`: the projection of a system of difference constraints, which is exact;
- the bounds are on one side only and grow with i: the last (or first) row decides;
- the bounds grow with i and enclose j = i: the rows' intervals overlap, their union has no gaps.

Elsewhere the interval is a hull, and `meets` decides whether a tile of keys is met: at once where the band
says something of i - j only (in a rectangle between two diagonals i - j takes every value of its range), else
row by row. Literals that read tensors are evaluated on ranges: they may be found to hold where they don't.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from aecompiler.algebra.arithmetic import (
    Arithmetic,
    Bool,
    Int,
    Span,
    evaluate,
    largest,
    smallest,
    span,
    subtract,
)
from aecompiler.algebra.formulas import Divides, Literal, NotPositive
from aecompiler.algebra.integers import (
    Linear,
    Symbol,
    grows_with,
    lower_bound,
    of,
    without,
)

HEAD, ROW, KEY = "h", "i", "j"
"""The names of the query head, the query position and the key position."""

LARGEST = 1 << 62
"""Expressions that may exceed it are not computed with."""

_FEW = 2
"""Candidates are tried one by one, not in a loop, for so many excluded residues."""

_I = of(Symbol(ROW, 0, LARGEST))


@dataclass(frozen=True)
class Rows:
    """The rows of a tile, none of them padding, and the number of keys.

    `symbols` has a value for each name but i and j. Where a tile has rows of several heads, `symbols` has the
    first of them, and `last_head` is the last. `reads` has the extremes of elements that the tile reads, as
    far as they are known, by how the elements are written.
    """

    on: Arithmetic
    symbols: Mapping[str, Int]
    first: Int
    last: Int
    keys: Int
    last_head: Int | None = None
    reads: Mapping[str, Span] = field(default_factory=dict)

    def at(self, row: Int) -> dict[str, Int]:
        """The values of all names but j in a row."""
        return {**self.symbols, ROW: row}

    def spans(self, first_key: Int, last_key: Int) -> dict[str, Span]:
        """The ranges of all names in a tile."""
        ends = {name: (value, value) for name, value in self.symbols.items()}
        if self.last_head is not None:
            ends[HEAD] = (self.symbols[HEAD], self.last_head)
        return {**self.reads, **ends, ROW: (self.first, self.last), KEY: (first_key, last_key)}


@dataclass(frozen=True, kw_only=True)
class Band:
    """One alternative, sorted by what its literals say; all of them hold at the pairs of the band."""

    conditions: tuple[Literal, ...] = ()
    """Of neither i nor j."""
    row_low: tuple[Linear, ...] = ()
    row_high: tuple[Linear, ...] = ()
    key_low: tuple[Linear, ...] = ()
    """Bounds of j that do not depend on i."""
    key_high: tuple[Linear, ...] = ()
    lower: tuple[Linear, ...] = ()
    """Bounds of j that depend on i."""
    upper: tuple[Linear, ...] = ()
    row_conditions: tuple[Literal, ...] = ()
    """Of i, but no bounds."""
    divisibility: tuple[Divides, ...] = ()
    """Of j, and perhaps of i."""
    ranged: tuple[Literal, ...] = ()
    """What can only be evaluated on ranges of the positions."""
    unknown: bool = False
    """Whether something else has to hold, too."""

    @cached_property
    def is_closed(self) -> bool:
        """Whether `interval` alone decides which keys are met."""
        return self._is_interval and not (self.divisibility or self.row_conditions or self.ranged)

    @cached_property
    def _is_interval(self) -> bool:
        """Whether the bounds alone leave an interval of keys."""
        return self._grows and (
            not (self.lower and self.upper) or self._between_diagonals or self._encloses_diagonal
        )

    @cached_property
    def _grows(self) -> bool:
        return all(grows_with(bound, ROW) for bound in (*self.lower, *self.upper))

    @cached_property
    def _between_diagonals(self) -> bool:
        return all(ROW not in (bound - _I).names for bound in (*self.lower, *self.upper))

    @cached_property
    def _encloses_diagonal(self) -> bool:
        return all(lower_bound(_I - bound) >= 0 for bound in self.lower) and all(
            lower_bound(bound - _I) >= 0 for bound in self.upper
        )

    @property
    def starts_at_zero(self) -> bool:
        """Whether the interval of keys begins with the first key, if it is not empty."""
        return not (self.key_low or self.lower)

    @property
    def ends_at_last(self) -> bool:
        """Whether the interval of keys ends with the last key, if it is not empty."""
        return not (self.key_high or self.upper)

    # ---- on a tile ----

    def holds(self, rows: Rows) -> Bool:
        """Whether any row is in the band; false is certain, true only for closed bands with some key."""
        on = rows.on
        first, last = self._row_range(rows)
        result = on.at_most(first, last) if self.row_low or self.row_high else True
        for condition in self.conditions:
            result = on.both(result, literal_holds(condition, on, rows.symbols))
        if self._between_diagonals:
            for low in self.lower:
                for high in self.upper:
                    distance = evaluate(low - high, on, rows.symbols)
                    result = on.both(result, on.at_most(distance, 0))
        return result

    def interval(self, rows: Rows) -> Span:
        """First and last key that some row meets, where `holds`; a hull of them if the band is not closed."""
        first, last = self._row_range(rows)
        return self._keys(rows, rows.at(first), rows.at(last), growing_only=True)

    def _keys(self, rows: Rows, low: Mapping[str, Int], high: Mapping[str, Int], growing_only: bool) -> Span:
        on = rows.on
        lower, upper = (
            [bound for bound in bounds if not growing_only or grows_with(bound, ROW)]
            for bounds in (self.lower, self.upper)
        )
        lows = [evaluate(bound, on, low) for bound in (*self.key_low, *lower)]
        highs = [evaluate(bound, on, high) for bound in (*self.key_high, *upper)]
        return largest(on, 0, *lows), smallest(on, subtract(on, rows.keys, 1), *highs)

    def _row_range(self, rows: Rows) -> Span:
        on = rows.on
        lows = [evaluate(bound, on, rows.symbols) for bound in self.row_low]
        highs = [evaluate(bound, on, rows.symbols) for bound in self.row_high]
        return largest(on, rows.first, *lows), smallest(on, rows.last, *highs)

    def meets(self, rows: Rows, first_key: Int, last_key: Int) -> Bool:
        """Whether the band has a pair in a tile; exact but for what is ranged or unknown."""
        on = rows.on
        result = self.holds(rows)
        spans = rows.spans(first_key, last_key)
        for literal in self.ranged:
            result = on.both(result, _may_hold(literal, on, spans))
        if self._bounds_decide:
            low, high = self.interval(rows)
            low, high = on.maximum(low, first_key), on.minimum(high, last_key)
            return on.both(result, on.at_most(low, high))
        if self._is_of_diagonals:
            return on.both(result, self._meets_on_diagonals(rows, first_key, last_key))
        first, last = self._row_range(rows)
        return on.both(
            result, on.any_of(first, last, lambda row: self._meets_in_row(rows, row, first_key, last_key))
        )

    @cached_property
    def takes_loop(self) -> bool:
        """Whether `meets` has a loop: over rows, or over what meets the literals on divisibility."""
        if self._bounds_decide:
            return False
        return not self._is_of_diagonals or self._tries_many

    @cached_property
    def _bounds_decide(self) -> bool:
        """Whether nothing but bounds, and what is ranged, says which tiles are met."""
        return self._is_interval and not (self.divisibility or self.row_conditions)

    @cached_property
    def _tries_many(self) -> bool:
        """Whether `_some_divides` tries numbers in a loop."""
        must = sum(each.holds for each in self.divisibility)
        return must > 1 or len(self.divisibility) - must > _FEW

    @cached_property
    def _is_of_diagonals(self) -> bool:
        """Whether i and j matter by their difference alone, but for bounds of each of them."""
        if self.row_conditions or not self._between_diagonals:
            return False
        return all(
            ROW not in (each.value + _I * without(each.value, KEY)[0]).names for each in self.divisibility
        )

    def _meets_on_diagonals(self, rows: Rows, first_key: Int, last_key: Int) -> Bool:
        """Some d = j - i that the tile has is in all bounds, and what must divide does."""
        on, at_zero = rows.on, rows.at(0)
        first, last = self._row_range(rows)
        low, high = self._keys_of_tile(rows, {}, {}, first_key, last_key, bounds=False)
        least = largest(on, subtract(on, low, last), *(evaluate(bound, on, at_zero) for bound in self.lower))
        most = smallest(
            on, subtract(on, high, first), *(evaluate(bound, on, at_zero) for bound in self.upper)
        )
        return on.both(on.at_most(low, high), self._some_divides(on, at_zero, least, most))

    def _meets_in_row(self, rows: Rows, row: Int, first_key: Int, last_key: Int) -> Bool:
        on, here = rows.on, rows.at(row)
        low, high = self._keys_of_tile(rows, here, here, first_key, last_key)
        result = self._some_divides(on, here, low, high)
        for condition in self.row_conditions:
            result = on.both(result, literal_holds(condition, on, here))
        return result

    def _keys_of_tile(
        self,
        rows: Rows,
        low: Mapping[str, Int],
        high: Mapping[str, Int],
        first_key: Int,
        last_key: Int,
        bounds: bool = True,
    ) -> Span:
        on = rows.on
        band = self if bounds else Band(key_low=self.key_low, key_high=self.key_high)
        first, last = band._keys(rows, low or rows.symbols, high or rows.symbols, growing_only=False)
        return on.maximum(first, first_key), on.minimum(last, last_key)

    def _some_divides(self, on: Arithmetic, symbols: Mapping[str, Int], low: Int, high: Int) -> Bool:
        """Whether some z in [low, high], in the place of j, meets the literals on divisibility.

        Those that must divide give a progression. Of the others n residues are excluded, and n progressions
        that cover 2^n successive numbers cover all [Crittenden and Vanden Eynden 1970]: 2^n candidates do.
        """
        residues: dict[bool, list[tuple[Int, Int]]] = {True: [], False: []}
        for each in self.divisibility:
            k, rest = without(each.value, KEY)  # k is 1 or -1
            residue = on.multiply(evaluate(rest, on, symbols), -k)
            residues[each.holds].append((residue, evaluate(each.by, on, symbols)))
        first, step = low, 1
        others = [(*each, False) for each in residues[False]]
        if residues[True]:
            (residue, step), *more = residues[True]
            first = on.add(low, on.remainder(subtract(on, residue, low), step))
            others += [(*each, True) for each in more]
        if not others:
            return on.at_most(first, high)
        last = on.quotient(subtract(on, high, first), step)

        def fits(n: Int) -> Bool:
            z = on.add(first, on.multiply(n, step))
            result: Bool = True
            for residue, by, holds in others:
                divides = on.at_most(on.remainder(subtract(on, z, residue), by), 0)
                result = on.both(result, divides if holds else on.opposite(divides))
            return result

        if self._tries_many:
            return on.any_of(0, last, fits)
        found: Bool = False
        for n in range(1 << len(others)):
            found = on.either(found, on.both(on.at_most(n, last), fits(n)))
        return found


def literal_holds(literal: Literal, on: Arithmetic, symbols: Mapping[str, Int]) -> Bool:
    """Whether a literal holds for known values of its symbols."""
    if isinstance(literal, Divides):
        divides = on.at_most(
            on.remainder(*(evaluate(v, on, symbols) for v in (literal.value, literal.by))), 0
        )
        return divides if literal.holds else on.opposite(divides)
    if isinstance(literal, NotPositive):
        left, right = _sides(literal.value)
        return on.at_most(evaluate(left, on, symbols), evaluate(right, on, symbols))
    return True


def _sides(value: Linear) -> tuple[Linear, Linear]:
    """left and right of `left <= right`, both without negative factors, so that neither overflows."""
    left = Linear(tuple((atom, k) for atom, k in value.terms if k > 0), 0)
    right = Linear(tuple((atom, -k) for atom, k in value.terms if k < 0), 0)
    if not left.terms:
        return left + value.constant, right
    return left, right - value.constant


def _may_hold(literal: Literal, on: Arithmetic, spans: Mapping[str, Span]) -> Bool:
    """Whether a literal can hold at all, as far as the ranges of its parts tell."""
    if isinstance(literal, NotPositive):
        left, right = _sides(literal.value)
        return on.at_most(span(left, on, spans)[0], span(right, on, spans)[1])
    if isinstance(literal, Divides):
        by = evaluate(literal.by, on, {name: ends[0] for name, ends in spans.items()})
        low, high = span(literal.value, on, spans)
        if literal.holds:
            return on.at_most(low, on.multiply(on.quotient(high, by), by))
        alone = on.at_most(high, low)
        divides = on.at_most(on.remainder(low, by), 0)
        return on.opposite(on.both(alone, divides))
    return True
