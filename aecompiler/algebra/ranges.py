"""Unions of half-open ranges whose order is known only where they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aecompiler.algebra.arithmetic import Arithmetic, Int, largest, smallest

Range = tuple[Int, Int]
"""First and one past the last; empty where they are equal. Never reversed."""


@dataclass
class Union:
    """What ranges in [0, size] cover together: those from 0, those up to `size`, and others.

    The ranges from 0 are given by their ends, those up to `size` by their beginnings.
    """

    size: Int
    heads: list[Int] = field(default_factory=list)
    tails: list[Int] = field(default_factory=list)
    middle: list[Range] = field(default_factory=list)

    def parts(self, on: Arithmetic) -> tuple[list[Range], list[Range]]:
        """The parts of the union in order, without overlaps, and the gaps between them."""
        parts: list[Range] = []
        gaps: list[Range] = []
        reach = largest(on, 0, *self.heads)
        if self.heads:
            parts.append((0, reach))
        tail = on.maximum(reach, smallest(on, self.size, *self.tails))
        for ends in _sorted(on, self.middle):
            begin, end = (on.minimum(on.maximum(each, reach), tail) for each in ends)
            gaps.append((reach, begin))
            parts.append((begin, end))
            reach = end
        gaps.append((reach, tail))
        if self.tails:
            parts.append((tail, self.size))
        return parts, gaps

    def hull(self, on: Arithmetic) -> Range:
        """The smallest range that holds all of them."""
        begin, end = smallest(on, self.size, *self.tails), largest(on, 0, *self.heads)
        if self.heads:
            begin = on.choose(on.at_most(end, 0), begin, 0)
        if self.tails:
            end = on.choose(on.at_most(self.size, smallest(on, self.size, *self.tails)), end, self.size)
        for first, last in self.middle:
            is_empty = on.at_most(last, first)
            begin = on.choose(is_empty, begin, on.minimum(begin, first))
            end = on.choose(is_empty, end, on.maximum(end, last))
        return on.minimum(begin, end), end


def _sorted(on: Arithmetic, ranges: Sequence[Range]) -> list[Range]:
    """By their beginnings, by exchanges of neighbours."""
    found = list(ranges)
    for last in range(len(found) - 1, 0, -1):
        for n in range(last):
            (a, b), (c, d) = found[n], found[n + 1]
            ordered = on.at_most(a, c)
            found[n] = (on.choose(ordered, a, c), on.choose(ordered, b, d))
            found[n + 1] = (on.choose(ordered, c, a), on.choose(ordered, d, b))
    return found


def intersection(on: Arithmetic, left: Range, right: Range) -> Range:
    """What is in both."""
    begin = on.maximum(left[0], right[0])
    return begin, on.maximum(begin, on.minimum(left[1], right[1]))
