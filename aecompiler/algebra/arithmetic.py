"""What computes integer expressions: numbers here, operations in `passes/mask_arithmetic.py`, or text.

An algorithm that is written over an `Arithmetic` runs on plain numbers and builds the same computation as IR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Protocol

from aecompiler.algebra.integers import (
    Linear,
    Maximum,
    Product,
    Quotient,
    Read,
    Remainder,
    Symbol,
)

Int = Any
"""An integer of an `Arithmetic`; plain ints are always accepted."""
Bool = Any
"""A truth value of an `Arithmetic`; plain bools are always accepted."""


class Arithmetic(Protocol):
    """Operations on integers and truth values."""

    def add(self, a: Int, b: Int) -> Int:
        """a + b."""

    def multiply(self, a: Int, b: Int) -> Int:
        """a * b."""

    def quotient(self, a: Int, b: Int) -> Int:
        """floor(a / b); where b is not positive, any number."""

    def remainder(self, a: Int, b: Int) -> Int:
        """a - b * floor(a / b); where b is not positive, any number."""

    def maximum(self, a: Int, b: Int) -> Int:
        """The larger one."""

    def minimum(self, a: Int, b: Int) -> Int:
        """The smaller one."""

    def at_most(self, a: Int, b: Int) -> Bool:
        """a <= b."""

    def both(self, a: Bool, b: Bool) -> Bool:
        """a and b."""

    def either(self, a: Bool, b: Bool) -> Bool:
        """a or b."""

    def opposite(self, a: Bool) -> Bool:
        """not a."""

    def choose(self, condition: Bool, a: Int, b: Int) -> Int:
        """a where the condition holds, else b."""

    def any_of(self, first: Int, last: Int, holds: Callable[[Int], Bool]) -> Bool:
        """Whether `holds(n)` for some n in [first, last]."""

    def extremes(self, tensor: str, ranges: Sequence[tuple[Int, Int]]) -> tuple[Int, Int]:
        """The least and the largest element of a tensor over ranges of (clamped) indices, none empty."""


class Numbers:
    """Arithmetic on Python's numbers; `tensors` are nested sequences or arrays."""

    def __init__(self, tensors: Mapping[str, Any] | None = None):
        self._tensors = tensors or {}

    def add(self, a: int, b: int) -> int:
        """a + b."""
        return a + b

    def multiply(self, a: int, b: int) -> int:
        """a * b."""
        return a * b

    def quotient(self, a: int, b: int) -> int:
        """floor(a / b)."""
        return a // max(b, 1)

    def remainder(self, a: int, b: int) -> int:
        """a - b * floor(a / b)."""
        return a % max(b, 1)

    def maximum(self, a: int, b: int) -> int:
        """The larger one."""
        return max(a, b)

    def minimum(self, a: int, b: int) -> int:
        """The smaller one."""
        return min(a, b)

    def at_most(self, a: int, b: int) -> bool:
        """a <= b."""
        return a <= b

    def both(self, a: bool, b: bool) -> bool:
        """a and b."""
        return a and b

    def either(self, a: bool, b: bool) -> bool:
        """a or b."""
        return a or b

    def opposite(self, a: bool) -> bool:
        """not a."""
        return not a

    def choose(self, condition: bool, a: int, b: int) -> int:
        """a where the condition holds, else b."""
        return a if condition else b

    def any_of(self, first: int, last: int, holds: Callable[[int], bool]) -> bool:
        """Whether `holds(n)` for some n in [first, last]."""
        return any(holds(n) for n in range(first, last + 1))

    def extremes(self, tensor: str, ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The least and the largest element over ranges of clamped indices; 0 for a tensor without any."""
        parts: list[Any] = [self._tensors[tensor]]
        for first, last in ranges:
            inner = []
            for part in parts:
                size = len(part)
                low, high = (max(min(at, size - 1), 0) for at in (first, last))
                inner += list(part[low : high + 1])
            parts = inner
        values = [int(part) for part in parts] or [0]
        return min(values), max(values)


def evaluate(value: Linear, on: Arithmetic, symbols: Mapping[str, Int]) -> Int:
    """The value of an expression."""
    total: Int = value.constant
    positive_first = sorted(value.terms, key=lambda term: term[1] < 0)
    for atom, k in positive_first:
        total = on.add(total, on.multiply(_evaluate_atom(atom, on, symbols), k))
    return total


def _evaluate_atom(atom: Any, on: Arithmetic, symbols: Mapping[str, Int]) -> Int:
    if isinstance(atom, Symbol):
        return symbols[atom.name]
    if isinstance(atom, (Quotient, Remainder)):
        value, by = (evaluate(part, on, symbols) for part in (atom.value, atom.by))
        return on.remainder(value, by) if isinstance(atom, Remainder) else on.quotient(value, by)
    if isinstance(atom, (Product, Maximum)):
        left, right = (evaluate(part, on, symbols) for part in (atom.left, atom.right))
        return on.multiply(left, right) if isinstance(atom, Product) else on.maximum(left, right)
    if isinstance(atom, Read):
        at = [evaluate(index, on, symbols) for index in atom.indices]
        return on.extremes(atom.tensor, [(index, index) for index in at])[0]
    raise TypeError(f"{type(atom).__name__} has no value here: comparisons split it into cases")


def subtract(on: Arithmetic, a: Int, b: Int) -> Int:
    """a - b."""
    return on.add(a, on.multiply(b, -1))


def largest(on: Arithmetic, first: Int, *others: Int) -> Int:
    """The largest of several numbers."""
    return reduce(on.maximum, others, first)


def smallest(on: Arithmetic, first: Int, *others: Int) -> Int:
    """The smallest of several numbers."""
    return reduce(on.minimum, others, first)


Span = tuple[Int, Int]
"""The least and the largest value that an expression may have."""


def span(value: Linear, on: Arithmetic, symbols: Mapping[str, Span]) -> Span:
    """Bounds of an expression whose symbols lie in ranges; each atom on its own, so they may be wide.

    Elements of tensors whose extremes are known are among the symbols, by how they are written.
    """
    low: Int = value.constant
    high: Int = value.constant
    for atom, k in value.terms:
        ends = _span_of_atom(atom, on, symbols)
        low = on.add(low, on.multiply(ends[k < 0], k))
        high = on.add(high, on.multiply(ends[k > 0], k))
    return low, high


def _span_of_atom(atom: Any, on: Arithmetic, symbols: Mapping[str, Span]) -> Span:
    if isinstance(atom, Symbol):
        return symbols[atom.name]
    if isinstance(atom, Read):
        if (known := symbols.get(str(atom))) is not None:
            return known
        return on.extremes(atom.tensor, [span(index, on, symbols) for index in atom.indices])
    if isinstance(atom, (Quotient, Remainder)):
        by = evaluate(atom.by, on, {name: ends[0] for name, ends in symbols.items()})
        low, high = span(atom.value, on, symbols)
        first, last = on.quotient(low, by), on.quotient(high, by)
        if isinstance(atom, Quotient):
            return first, last
        together = on.at_most(last, first)
        return (
            on.choose(together, on.remainder(low, by), 0),
            on.choose(together, on.remainder(high, by), on.add(by, -1)),
        )
    (a, b), (c, d) = (span(part, on, symbols) for part in (atom.left, atom.right))
    if isinstance(atom, Maximum):
        return on.maximum(a, c), on.maximum(b, d)
    if isinstance(atom, Product):
        corners = [on.multiply(x, y) for x in (a, b) for y in (c, d)]
        return smallest(on, *corners), largest(on, *corners)
    return on.minimum(a, c), on.maximum(b, d)  # a Choice
