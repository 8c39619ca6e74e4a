"""Matrices of rank one among polynomials with two indices: C(i, m) = x(i) y(m)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from aecompiler.algebra.indexed import indices_in, indices_of, split
from aecompiler.algebra.polynomials import (
    UNIT,
    Monomial,
    Poly,
    combined,
    monomial_order,
    product,
    to_term,
)
from aecompiler.algebra.terms import Term

ONE = Fraction(1)


class RankError(Exception):
    """A sum of products is no single product; `parts` are the ways along its first index, as terms."""

    def __init__(self, parts: Sequence[Term]):
        super().__init__(parts)
        self.parts = list(parts)


@dataclass(frozen=True)
class Outer:
    """x(i) (y_1, y_2, ...): one vector on the left, and several rows on the right."""

    left: Poly
    rights: list[Poly]


def outer(polys: Iterable[tuple[Poly, Term]], left: Term) -> Outer | None:
    """One x for several matrices: each is x(left) times its own y(right).

    `polys` are the matrices, each with the index of its columns. None if all are 0. Raises `MixedError` for a
    part that depends on both indices, and `RankError` where no x serves all.
    """
    table: dict[Monomial, dict[tuple[int, Monomial], Poly]] = {}
    count = 0
    for position, (poly, right) in enumerate(polys):
        count += 1
        for monomial, coefficient in poly.items():
            on_left, on_right, rest = split(monomial, left, right)
            entry = table.setdefault(on_left, {}).setdefault((position, on_right), {})
            entry[rest] = entry.get(rest, Fraction(0)) + coefficient
    if not table:
        return None
    rows = sorted(table, key=monomial_order)
    pivot = rows[0]
    columns = list(table[pivot])
    first = columns[0]
    x: list[Poly] = []
    for row in rows:
        ratio = _ratio(table[row].get(first, {}), table[pivot][first])
        if ratio is None or any(
            table[row].get(column, {}) != product(ratio, table[pivot].get(column, {}))
            for column in dict.fromkeys((*columns, *table[row]))
        ):
            raise RankError([to_term({each: ONE}) for each in rows])
        x.append(product(ratio, {row: ONE}))
    rights: list[Poly] = [{} for _ in range(count)]
    for (position, monomial), entry in table[pivot].items():
        rights[position] = combined((rights[position], product(entry, {monomial: ONE})), (ONE, ONE))
    return Outer(combined(x, [ONE] * len(x)), rights)


def _ratio(a: Poly, b: Poly) -> Poly | None:
    """A single monomial r with a = r b."""
    return quotient(a, b) if a else None


def quotient(a: Poly, b: Poly) -> Poly | None:
    """A polynomial of one monomial q with a = q b, with no division that may be by 0; None without one."""
    if not a or not b:
        return None
    divisor = min(b, key=monomial_order)
    for monomial, coefficient in a.items():
        if (rest := divided(monomial, divisor)) is not None:
            found = {rest: coefficient / b[divisor]}
            if product(found, b) == a:
                return found
    return None


def divided(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """The monomial without the factors of another one, which must be among its own."""
    factors, powers = dict(monomial[0]), dict(monomial[1])
    for base, power in divisor[0]:
        have = factors.get(base, Fraction(0))
        if have == power:
            del factors[base]
        elif have * power > 0 and abs(have) > abs(power):
            factors[base] = have - power
        else:
            return None
    for inner, scale in divisor[1]:
        if powers.pop(inner, None) != scale:
            return None
    return frozenset(factors.items()), frozenset(powers.items())


def scalar_content(sides: Sequence[tuple[Poly, Term]]) -> tuple[Poly, list[Poly]]:
    """A common factor without indices, and what is left of each polynomial; each stands with its index.

    The factor is what all monomials have in common. Its number is theirs where they have the same one.
    """
    parts = [without(monomial, index) for poly, index in sides for monomial in poly]
    if not parts:
        return {UNIT: ONE}, [poly for poly, _ in sides]
    common = parts[0]
    for other in parts[1:]:
        common = _shared(common, other)
    coefficients = [c for poly, _ in sides for c in poly.values()]
    sizes = set(map(abs, coefficients))
    scale = sizes.pop() if len(sizes) == 1 else ONE
    if len([poly for poly, _ in sides if poly]) == 1 and all(c < 0 for c in coefficients):
        scale = -scale
    left = []
    for poly, _ in sides:
        rest: Poly = {}
        for monomial, coefficient in poly.items():
            kept = divided(monomial, common)
            assert kept is not None, "a common factor divides"
            rest[kept] = coefficient / scale
        left.append(rest)
    return {common: scale}, left


def without(monomial: Monomial, index: Term) -> Monomial:
    """The factors of a monomial that do not depend on an index."""
    factors, exponent = monomial
    return (
        frozenset((base, power) for base, power in factors if index not in indices_of(base)),
        frozenset(part for part in exponent if index not in indices_in({part[0]: ONE})),
    )


def _shared(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(b[0])
    factors = {}
    for base, power in a[0]:
        other = powers.get(base, Fraction(0))
        if power * other > 0:
            factors[base] = min(power, other, key=abs)
    exponent = frozenset(a[1] & b[1])
    return frozenset(factors.items()), exponent
