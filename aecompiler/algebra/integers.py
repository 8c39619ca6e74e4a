"""Integer expressions of positions and sizes, in a normal form: sums of atoms with numbers as factors.

Equal sums are equal objects, so that differences cancel: `i - (i - 3)` is 3. What an atom may be is static
(`low` and `high`), and `lower_bound`, `upper_bound` combine that with what holds of remainders.

```
c * floor(x / c)        is written   x - x mod c
max(a, b), |x|          are split where they are compared (`formulas.py`)
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecompiler.algebra.formulas import Formula


class Atom:
    """What sums are made of: immutable, equal to what is written alike."""

    low: int
    """A number that the value is never below, whatever the symbols are."""
    high: int
    """A number that the value is never above."""
    cases = 1
    """The number of cases that a comparison with the value is split into."""

    @property
    def parts(self) -> tuple[Linear, ...]:
        """What the value is computed from."""
        return ()

    @property
    def names(self) -> frozenset[str]:
        """The symbols that the value is computed from."""
        return frozenset[str]().union(*(part.names for part in self.parts))

    @property
    def size(self) -> int:
        """The number of atoms, those inside of this one included."""
        return 1 + sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Symbol(Atom):
    """An integer with a name, known to lie in [low, high]."""

    name: str
    low: int = field(compare=False)
    high: int = field(compare=False)

    @property
    def names(self) -> frozenset[str]:
        """Its own name."""
        return frozenset([self.name])

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _Division(Atom):
    value: Linear
    by: Linear

    @property
    def parts(self) -> tuple[Linear, ...]:
        """See `Atom`."""
        return self.value, self.by


class Quotient(_Division):
    """floor(value / by); `by` is positive."""

    @property
    def low(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return min(self.value.low // by for by in self._divisors)

    @property
    def high(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return max(self.value.high // by for by in self._divisors)

    @property
    def _divisors(self) -> tuple[int, int]:
        return max(self.by.low, 1), max(self.by.high, 1)

    def __str__(self) -> str:
        return f"floor({_factor(self.value)} / {_factor(self.by)})"


class Remainder(_Division):
    """value - by * floor(value / by); `by` is positive."""

    low = 0

    @property
    def high(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return max(self.by.high - 1, 0)

    def __str__(self) -> str:
        return f"{_factor(self.value)} mod {_factor(self.by)}"


@dataclass(frozen=True)
class _Pair(Atom):
    left: Linear
    right: Linear

    @property
    def parts(self) -> tuple[Linear, ...]:
        """See `Atom`."""
        return self.left, self.right


class Product(_Pair):
    """left * right, neither of them a number."""

    @property
    def low(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return min(self._corners)

    @property
    def high(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return max(self._corners)

    @property
    def _corners(self) -> list[int]:
        return [a * b for a in (self.left.low, self.left.high) for b in (self.right.low, self.right.high)]

    def __str__(self) -> str:
        return f"{_factor(self.left)} * {_factor(self.right)}"


class Maximum(_Pair):
    """max(left, right); a minimum is -max(-left, -right)."""

    @property
    def cases(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return self.left.cases + self.right.cases

    @property
    def low(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return max(self.left.low, self.right.low)

    @property
    def high(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return max(self.left.high, self.right.high)

    def __str__(self) -> str:
        return f"max({self.left}, {self.right})"


@dataclass(frozen=True)
class Choice(_Pair):
    """left where the condition holds, else right."""

    condition: Formula

    @property
    def names(self) -> frozenset[str]:
        """See `Atom`."""
        return self.condition.names | super().names

    @property
    def size(self) -> int:
        """See `Atom`."""
        return self.condition.size + super().size

    @property
    def cases(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return self.condition.size * (self.left.cases + self.right.cases)

    @property
    def low(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return min(self.left.low, self.right.low)

    @property
    def high(self) -> int:  # type: ignore[override]
        """See `Atom`."""
        return max(self.left.high, self.right.high)

    def __str__(self) -> str:
        return f"({self.left} if {self.condition} else {self.right})"


@dataclass(frozen=True)
class Read(Atom):
    """An element of a tensor, at indices that are clamped to its bounds."""

    tensor: str
    indices: tuple[Linear, ...]
    low: int
    high: int

    @property
    def parts(self) -> tuple[Linear, ...]:
        """See `Atom`."""
        return self.indices

    def __str__(self) -> str:
        return f"{self.tensor}[{', '.join(map(str, self.indices))}]"


@dataclass(frozen=True)
class Linear:
    """`sum(factor * atom) + constant`; make it with `number`, `of` and the operators."""

    terms: tuple[tuple[Atom, int], ...]
    constant: int

    @cached_property
    def names(self) -> frozenset[str]:
        """The symbols that the value is computed from."""
        return frozenset[str]().union(*(atom.names for atom, _ in self.terms))

    @cached_property
    def low(self) -> int:
        """A number that the value is never below, whatever the symbols are."""
        return self.constant + sum(k * (a.low if k > 0 else a.high) for a, k in self.terms)

    @cached_property
    def high(self) -> int:
        """A number that the value is never above."""
        return self.constant + sum(k * (a.high if k > 0 else a.low) for a, k in self.terms)

    @cached_property
    def magnitude(self) -> int:
        """A number that no partial sum of the terms exceeds, without its sign."""
        return abs(self.constant) + sum(abs(k) * max(abs(a.low), abs(a.high)) for a, k in self.terms)

    @cached_property
    def size(self) -> int:
        """The number of atoms, those inside of others included."""
        return 1 + sum(atom.size for atom, _ in self.terms)

    @cached_property
    def cases(self) -> int:
        """The number of cases that a comparison is split into."""
        return prod(atom.cases for atom, _ in self.terms)

    @property
    def number(self) -> int | None:
        """The value, if it is a plain number."""
        return None if self.terms else self.constant

    def __add__(self, other: Linear | int) -> Linear:
        other = number(other) if isinstance(other, int) else other
        return _sum([*self.terms, *other.terms], self.constant + other.constant)

    def __neg__(self) -> Linear:
        return self * -1

    def __sub__(self, other: Linear | int) -> Linear:
        return self + -other

    def __mul__(self, factor: int) -> Linear:
        return _sum([(atom, k * factor) for atom, k in self.terms], self.constant * factor)

    def factor(self, atom: Atom) -> int:
        """The factor of an atom, 0 where it does not occur."""
        return dict(self.terms).get(atom, 0)

    def __str__(self) -> str:
        text = ""
        for atom, k in sorted(self.terms, key=lambda term: term[1] < 0):
            sign = ("-" if k < 0 else "") if not text else (" - " if k < 0 else " + ")
            text += sign + (f"{abs(k)} * " if abs(k) != 1 else "") + str(atom)
        if not text:
            return str(self.constant)
        if self.constant:
            text += f" {'-' if self.constant < 0 else '+'} {abs(self.constant)}"
        return text


def _factor(value: Linear) -> str:
    """Text that may stand beside a multiplication sign."""
    text = str(value)
    return text if text.isalnum() else f"({text})"


def _sum(terms: Iterable[tuple[Atom, int]], constant: int) -> Linear:
    merged: dict[Atom, int] = {}
    for atom, k in terms:
        merged[atom] = merged.get(atom, 0) + k
    kept = [(atom, k) for atom, k in merged.items() if k]
    return Linear(tuple(sorted(kept, key=lambda term: str(term[0]))), constant)


def number(value: int) -> Linear:
    """A plain number."""
    return Linear((), value)


def of(atom: Atom) -> Linear:
    """One atom."""
    return Linear(((atom, 1),), 0)


def multiply(left: Linear, right: Linear) -> Linear:
    """left * right, multiplied out; `c * floor(x / c)` becomes `x - x mod c`."""
    for a, b in ((left, right), (right, left)):
        for atom, k in a.terms:
            by = _multiple(atom, b)
            if isinstance(atom, Quotient) and by is not None:
                aligned = atom.value - remainder(atom.value, atom.by)
                return aligned * (k * by) + multiply(a - of(atom) * k, b)
    if left.number is not None or right.number is not None:
        return left * right.constant if left.terms else right * left.constant
    total = number(left.constant * right.constant)
    total += _sum([(atom, k * right.constant) for atom, k in left.terms], 0)
    total += _sum([(atom, k * left.constant) for atom, k in right.terms], 0)
    for x, k in left.terms:
        for y, m in right.terms:
            total += of(Product(*sorted((of(x), of(y)), key=str))) * (k * m)
    return total


def _multiple(atom: Atom, value: Linear) -> int | None:
    """m, if `atom` is a quotient by something of which `value` is m times as much."""
    if not isinstance(atom, Quotient):
        return None
    by, whole = atom.by.number, value.number
    if by is not None and whole:
        return whole // by if whole % by == 0 else None
    return 1 if atom.by == value else None


def quotient(value: Linear, by: Linear) -> Linear:
    """floor(value / by) for a positive `by`."""
    if by.number == 1:
        return value
    if value.number is not None and by.number is not None:
        return number(value.number // by.number)
    return of(Quotient(value, by))


def remainder(value: Linear, by: Linear) -> Linear:
    """value mod by for a positive `by`, in [0, by)."""
    if by.number == 1:
        return number(0)
    if value.number is not None and by.number is not None:
        return number(value.number % by.number)
    return of(Remainder(value, by))


def maximum(left: Linear, right: Linear) -> Linear:
    """The larger of two values."""
    if (left - right).low >= 0:
        return left
    if (right - left).low >= 0:
        return right
    return of(Maximum(left, right))


def minimum(left: Linear, right: Linear) -> Linear:
    """The smaller of two values."""
    return -maximum(-left, -right)


_REPLACED = 6
"""The most remainders that a bound replaces in each order."""


def lower_bound(value: Linear) -> int:
    """A number that `value` is never below; remainders are bounded by their divisors, symbols or not."""
    known: dict[Linear, int] = {}

    def bound(part: Linear) -> int:
        if part not in known:
            best = part.low
            remainders = [(atom, k) for atom, k in part.terms if isinstance(atom, Remainder)]
            for atom, k in remainders if len(remainders) <= _REPLACED else remainders[:1]:
                rest = part - of(atom) * k
                best = max(best, bound(rest if k > 0 else rest + (atom.by - 1) * k))
            known[part] = best
        return known[part]

    return bound(value)


def upper_bound(value: Linear) -> int:
    """A number that `value` is never above."""
    return -lower_bound(-value)


def grows_with(value: Linear, name: str) -> bool:
    """Whether `value` is nondecreasing in the symbol `name`, the others held fixed."""
    rest = value
    for atom, k in value.terms:
        # x - x mod c = c * floor(x / c), for c that does not vary
        if isinstance(atom, Remainder) and name in atom.names and k < 0:
            if name in atom.by.names or not grows_with(atom.value, name):
                return False
            rest = rest + of(atom) * -k - atom.value * -k
    if any(isinstance(atom, Remainder) and name in atom.names for atom, _ in rest.terms):
        return False
    return all(_atom_grows(atom, k, name) for atom, k in rest.terms if name in atom.names)


def _atom_grows(atom: Atom, k: int, name: str) -> bool:
    if isinstance(atom, Symbol):
        return k > 0
    if isinstance(atom, Quotient) and name not in atom.by.names:
        return grows_with(atom.value * k, name)
    if isinstance(atom, Maximum):
        return grows_with(atom.left * k, name) and grows_with(atom.right * k, name)
    if isinstance(atom, Product):
        for fixed, other in ((atom.left, atom.right), (atom.right, atom.left)):
            if name not in fixed.names and fixed.low >= 0:
                return grows_with(other * k, name)
    return False


def without(value: Linear, name: str) -> tuple[int, Linear]:
    """The factor of a symbol that stands in a sum by itself, 0 where it does not, and the rest of the sum."""
    for atom, k in value.terms:
        if isinstance(atom, Symbol) and atom.name == name:
            return k, value - of(atom) * k
    return 0, value


def extent(value: Linear, blocks: Mapping[str, int]) -> int | None:
    """How far apart values are at most where symbols run over a block; None if nobody knows.

    A block is so many numbers, the first of them a multiple of how many they are. Other symbols are fixed.
    """
    total = 0
    for atom, k in value.terms:
        found = _extent_of_atom(atom, blocks)
        if found is None:
            return None
        total += abs(k) * found
    return total


def _extent_of_atom(atom: Atom, blocks: Mapping[str, int]) -> int | None:
    if not atom.names & blocks.keys():
        return 0
    if isinstance(atom, Symbol):
        return blocks[atom.name] - 1
    if isinstance(atom, Quotient) and not atom.by.names & blocks.keys():
        for name, size in blocks.items():
            if atom.value == of(Symbol(name, 0, 0)) and atom.by.number and size % atom.by.number == 0:
                return size // atom.by.number - 1
        found = extent(atom.value, blocks)
        return None if found is None else -(-found // max(atom.by.low, 1))
    return None


def reads(value: Linear) -> list[Read]:
    """The tensor elements that a value is computed from, but for those in conditions."""
    found: list[Read] = []
    for atom, _ in value.terms:
        if isinstance(atom, Read):
            found.append(atom)
        else:
            found += [read for part in atom.parts for read in reads(part)]
    return found


def has_choice(value: Linear) -> bool:
    """Whether a value depends on a condition; such a value can be compared, and nothing else."""
    return any(
        isinstance(atom, Choice)
        or (isinstance(atom, Maximum) and (has_choice(atom.left) or has_choice(atom.right)))
        for atom, _ in value.terms
    )
