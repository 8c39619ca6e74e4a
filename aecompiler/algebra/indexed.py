"""Terms with indices: elements of vectors and matrices, and sums over an index.

`element(k, (i,))` is the element of `k` at the index `i`, so a vector is a term in which one index is free,
and a matrix one with two; functions of them are those of `terms`, element by element."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache

from aecompiler.algebra import terms as t
from aecompiler.algebra.normal import normal
from aecompiler.algebra.polynomials import Monomial, Poly, combined, to_term
from aecompiler.algebra.sums import sum_over
from aecompiler.algebra.terms import Depends, Term

_INDEX = "index"


def index(name: str) -> Term:
    """A free index."""
    return t.symbol(name, Depends.FIXED, 0.0, key=_INDEX)


KEY, VALUE = index("i"), index("j")
"""A feature of the key and of the value: S[i, j]."""

BOUND_KEY, BOUND_VALUE = index("m"), index("n")
"""The same where they are summed over together with the state: sum_m k[m] S[m, j]."""


def axis(number: int | str) -> Term:
    """The index along an axis of a tensor, before it has a meaning."""
    return index(f"axis{number}")


def tensor(name: str, key: object = None) -> Term:
    """A tensor, of which only elements are numbers."""
    return t.symbol(name, Depends.FIXED, key=("tensor", key))


def element(source: Term, places: Iterable[Term]) -> Term:
    """The element of a tensor at some places; a tensor without axes is its element."""
    return t.make("at", (source, *places))


@lru_cache(maxsize=8192)
def indices_of(term: Term) -> frozenset[Term]:
    """The free indices of a term."""
    return frozenset(part for part in t.symbols(term) if part.data[4] == _INDEX)


def indices_in(poly: Poly) -> frozenset[Term]:
    """The free indices of a polynomial."""
    found: set[Term] = set()
    for monomial in poly:
        found |= _indices_in_monomial(monomial)
    return frozenset(found)


def _indices_in_monomial(monomial: Monomial) -> set[Term]:
    factors, exponent = monomial
    found: set[Term] = set()
    for base, _ in factors:
        found |= indices_of(base)
    for inner, _ in exponent:
        found |= _indices_in_monomial(inner)
    return found


def renamed(poly: Poly, names: Mapping[Term, Term]) -> Poly:
    """The polynomial with indices replaced."""
    used = {old: new for old, new in names.items() if old is not new}
    if not used or indices_in(poly).isdisjoint(used):
        return poly
    return normal(t.substitute(to_term(poly), used))


def summed(poly: Poly, over: Term, size: int) -> Poly:
    """The sum of a polynomial over an index, which takes `size` values."""
    return sum_over(poly, over, size, normal)


class MixedError(Exception):
    """A part of a product depends on both indices at once, so that it is no product of two."""

    def __init__(self, part: Term):
        super().__init__(part)
        self.part = part


def split(monomial: Monomial, left: Term, right: Term) -> tuple[Monomial, Monomial, Monomial]:
    """What of a monomial depends on `left`, on `right`, and on neither; raise `MixedError`."""
    factors, exponent = monomial
    bases: tuple[list, list, list] = ([], [], [])
    exponents: tuple[list, list, list] = ([], [], [])
    for base, power in factors:
        bases[_side(indices_of(base), left, right, base)].append((base, power))
    for inner, scale in exponent:
        found = _indices_in_monomial(inner)
        side = _side(found, left, right, t.exp(to_term({inner: Fraction(1)})))
        exponents[side].append((inner, scale))
    first, second, third = ((frozenset(b), frozenset(e)) for b, e in zip(bases, exponents, strict=True))
    return first, second, third


def _side(found: Iterable[Term], left: Term, right: Term, part: Term) -> int:
    on_left, on_right = left in found, right in found
    if on_left and on_right:
        raise MixedError(part)
    return 0 if on_left else 1 if on_right else 2


def difference(a: Poly, b: Poly) -> Poly:
    """a - b."""
    return combined((a, b), (Fraction(1), Fraction(-1)))
