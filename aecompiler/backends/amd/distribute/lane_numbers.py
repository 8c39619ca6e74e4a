"""Numbers that are made of the bits of the number of a lane, or of a wave."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.bindings import arith, ir

Weights = tuple[int, ...]
"""What each bit of a number adds to a place, in bytes."""


def moved_bits(value: ir.Value, places: Sequence[tuple[int, int]]) -> ir.Value | None:
    """The number whose bit `b` is bit `n` of a value, for each (n, b); None where there are none."""
    parts: list[ir.Value] = []
    left = sorted(places)
    while left:
        first, to = left[0]
        run = 1
        while run < len(left) and left[run] == (first + run, to + run):
            run += 1
        left = left[run:]
        bits = arith.andi(value, fr.integer(((1 << run) - 1) << first))
        if first > to:
            bits = arith.shrui(bits, fr.integer(first - to))
        elif to > first:
            bits = arith.shli(bits, fr.integer(to - first))
        parts.append(bits)
    return functools.reduce(arith.ori, parts) if parts else None


def weighted(value: ir.Value, weights: Weights) -> ir.Value:
    """The sum of the weights of the bits that a number of i32 has."""
    total = fr.integer(0)
    known = [(number, weight) for number, weight in enumerate(weights) if weight]
    while known:
        first, weight = known[0]
        run = 1
        while run < len(known) and known[run] == (first + run, weight << run):
            run += 1
        known = known[run:]
        bits = arith.andi(arith.shrui(value, fr.integer(first)), fr.integer((1 << run) - 1))
        total = arith.addi(total, arith.muli(bits, fr.integer(weight)))
    return total
