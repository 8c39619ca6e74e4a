"""Affine functions of a matrix state in index notation.

A `StateMap` of a value with free indices is `sum over bound indices of coefficient * S[place] + constant`. A
place names the key and the value feature of S: each is a free index of the value, or bound, in which case the
coefficient is summed over it. `k @ S` over j has the place `(m, j)` with the coefficient `k[m]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.indexed import (
    BOUND_KEY,
    BOUND_VALUE,
    difference,
    indices_in,
    indices_of,
    renamed,
    summed,
)
from aecompiler.algebra.normal import equal, normal
from aecompiler.algebra.polynomials import Poly, combined, number, product, raised, scale_by, to_term
from aecompiler.algebra.terms import Term

Place = tuple[Term, Term]
ONE = Fraction(1)


class NotAffineError(Exception):
    """An operation on the state that no coefficients stand for; the text says what it does."""


@dataclass(frozen=True)
class StateMap:
    """An affine function of the state S."""

    linear: Mapping[Place, Poly]
    constant: Poly

    @staticmethod
    def state(key: Term, value: Term) -> StateMap:
        """S[key, value] itself."""
        return StateMap({(key, value): number(ONE)}, {})

    @staticmethod
    def of(term: Term) -> StateMap:
        """A value that does not depend on the state."""
        return StateMap({}, normal(term))

    def plus(self, other: StateMap, scale: Fraction = ONE) -> StateMap:
        """self + scale * other."""
        linear = {
            place: combined((self.linear.get(place, {}), other.linear.get(place, {})), (ONE, scale))
            for place in dict.fromkeys((*self.linear, *other.linear))
        }
        return StateMap(_without_zeros(linear), combined((self.constant, other.constant), (ONE, scale)))

    def times(self, factor: Poly) -> StateMap:
        """The product with what does not depend on the state."""
        linear = {place: product(poly, factor) for place, poly in self.linear.items()}
        return StateMap(_without_zeros(linear), product(self.constant, factor))

    def over(self, divisor: Term) -> StateMap:
        """The quotient by what does not depend on the state."""
        return self.times(raised(normal(divisor), Fraction(-1), False))

    def scaled(self, scale: Fraction) -> StateMap:
        """The product with a number."""
        linear = {place: scale_by(poly, scale) for place, poly in self.linear.items()}
        return StateMap(linear, scale_by(self.constant, scale))

    def renamed(self, names: Mapping[Term, Term]) -> StateMap:
        """The same value with its free indices replaced."""
        linear: dict[Place, Poly] = {}
        for (key, value), poly in self.linear.items():
            linear[names.get(key, key), names.get(value, value)] = renamed(poly, names)
        return StateMap(linear, renamed(self.constant, names))

    def summed(self, over: Term, size: int) -> StateMap:
        """The sum over a free index."""
        result = StateMap({}, summed(self.constant, over, size))
        for (key, value), poly in self.linear.items():
            if key is over and value is over:
                raise NotAffineError("the sum over the diagonal of the state")
            if key is over:
                part = {(BOUND_KEY, value): renamed(poly, {over: BOUND_KEY})}
            elif value is over:
                part = {(key, BOUND_VALUE): renamed(poly, {over: BOUND_VALUE})}
            else:
                part = {(key, value): summed(poly, over, size)}
            result = result.plus(StateMap(part, {}))
        return result

    def differs(self, other: StateMap) -> Place | str | None:
        """Where two functions are not proved equal: a place, or "constant"; None if they are."""
        for place in dict.fromkeys((*self.linear, *other.linear)):
            if not _equal(self.linear.get(place, {}), other.linear.get(place, {})):
                return place
        return None if _equal(self.constant, other.constant) else "constant"


def chosen(condition: Term, a: StateMap, b: StateMap) -> StateMap:
    """a where the condition holds, else b."""
    linear = {
        place: _chosen(condition, a.linear.get(place, {}), b.linear.get(place, {}))
        for place in dict.fromkeys((*a.linear, *b.linear))
    }
    return StateMap(_without_zeros(linear), _chosen(condition, a.constant, b.constant))


def _chosen(condition: Term, a: Poly, b: Poly) -> Poly:
    if a == b:
        return a
    if len(indices_in(a) | indices_in(b) | indices_of(condition)) <= 1:
        return normal(t.select(condition, to_term(a), to_term(b)))
    # As a sum, so that products of vectors stay products.
    holds, fails = t.select(condition, t.ONE, t.ZERO), t.select(condition, t.ZERO, t.ONE)
    return combined((product(normal(holds), a), product(normal(fails), b)), (ONE, ONE))


def _without_zeros(linear: Mapping[Place, Poly]) -> dict[Place, Poly]:
    return {place: poly for place, poly in linear.items() if poly}


def _equal(a: Poly, b: Poly) -> bool:
    return not difference(a, b) or equal(to_term(a), to_term(b))
